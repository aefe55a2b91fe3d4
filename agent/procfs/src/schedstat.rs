//! `/proc/schedstat`: how long each CPU ran tasks, and how long they waited for it.

use crate::scan::{self, Lossy};

/// One CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedstat<'a> {
    /// Its number.
    pub cpu: &'a str,
    /// Nanoseconds that tasks ran.
    pub running_ns: u64,
    /// Nanoseconds that tasks waited.
    pub waiting_ns: u64,
    /// How many slices of time were given to tasks.
    pub timeslices: u64,
}

/// Reads the lines `cpuN`; others are passed over.
pub fn parse(bytes: &[u8]) -> Lossy<Vec<Schedstat<'_>>> {
    let mut out = Lossy::new(Vec::new());
    for (number, line) in scan::lines(bytes) {
        let Some(rest) = line.strip_prefix(b"cpu") else { continue };
        match cpu(rest) {
            Some(cpu) => out.value.push(cpu),
            None => out.skip(number, "expected a CPU and nine numbers"),
        }
    }
    out
}

fn cpu(rest: &[u8]) -> Option<Schedstat<'_>> {
    let mut fields = scan::fields(rest);
    let cpu = fields.next().filter(|digits| scan::number(digits).is_some()).and_then(scan::text)?;
    let mut numbers = fields.skip(6).map(scan::number);
    let mut number = || numbers.next().flatten();
    Some(Schedstat { cpu, running_ns: number()?, waiting_ns: number()?, timeslices: number()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_three_numbers_of_each_cpu() {
        let got =
            parse(b"version 15\ntimestamp 1\ncpu0 1 2 3 4 5 6 700 800 9\ndomain0 3 1 2\ncpu12 0 0 0 0 0 0 1 2 3\n");
        assert_eq!(got.value[0], Schedstat { cpu: "0", running_ns: 700, waiting_ns: 800, timeslices: 9 });
        assert_eq!((got.value[1].cpu, got.bad_lines), ("12", 0));
    }

    #[test]
    fn a_bad_line_costs_itself() {
        let got = parse(b"cpu0 1 2 3\ncpux 0 0 0 0 0 0 1 2 3\ncpu1 0 0 0 0 0 0 1 2 3\n");
        assert_eq!((got.value.len(), got.bad_lines), (1, 2));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
