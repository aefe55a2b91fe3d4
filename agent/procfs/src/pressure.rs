//! `/proc/pressure/*` and the `*.pressure` files of cgroups: time lost to waiting for a resource.

use crate::scan::{self, Malformed};

/// One line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stall {
    /// Share of time over the last 10, 60 and 300 seconds, in percent.
    pub averages: [f64; 3],
    /// Microseconds since boot.
    pub total_us: u64,
}

/// The file.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// At least one task waited. Absent for interrupts.
    pub some: Option<Stall>,
    /// All tasks that could run waited. Absent for the CPU before 5.13.
    pub full: Option<Stall>,
}

/// Reads the file.
///
/// # Errors
/// When neither line is there, or one of them makes no sense.
pub fn parse(bytes: &[u8]) -> Result<Pressure, Malformed> {
    let mut pressure = Pressure::default();
    for (number, line) in scan::lines(bytes) {
        let (kind, rest) = scan::cut(line, b' ').unwrap_or((line, &[]));
        let stall = stall(rest).ok_or(Malformed { line: number, reason: "expected averages and a total" });
        match kind {
            b"some" => pressure.some = Some(stall?),
            b"full" => pressure.full = Some(stall?),
            _ => return Err(Malformed { line: number, reason: "expected \"some\" or \"full\"" }),
        }
    }
    match pressure {
        Pressure { some: None, full: None } => Err(Malformed { line: 1, reason: "expected \"some\" or \"full\"" }),
        pressure => Ok(pressure),
    }
}

fn stall(rest: &[u8]) -> Option<Stall> {
    let mut total = None;
    let mut averages = [0.0; 3];
    let [avg10, avg60, avg300] = &mut averages;
    for field in scan::fields(rest) {
        let (key, value) = scan::cut(field, b'=')?;
        match key {
            b"avg10" => *avg10 = scan::fraction(value)?,
            b"avg60" => *avg60 = scan::fraction(value)?,
            b"avg300" => *avg300 = scan::fraction(value)?,
            b"total" => total = Some(scan::number(value)?),
            _ => {}
        }
    }
    Some(Stall { averages, total_us: total? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lines() {
        let got = parse(
            b"some avg10=0.10 avg60=2.00 avg300=3.85 total=14036781\nfull avg10=0.00 avg60=0.00 avg300=0.01 total=7\n",
        )
        .unwrap();
        assert_eq!(got.some, Some(Stall { averages: [0.10, 2.00, 3.85], total_us: 14_036_781 }));
        assert_eq!(got.full.unwrap().total_us, 7);
    }

    #[test]
    fn either_line_alone() {
        assert_eq!(parse(b"some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n").unwrap().full, None);
        assert_eq!(parse(b"full avg10=0.00 avg60=0.00 avg300=0.00 total=1\n").unwrap().some, None);
    }

    #[test]
    fn nonsense_is_an_error() {
        #[track_caller]
        fn check(input: &[u8], line: usize) {
            assert_eq!(parse(input).unwrap_err().line, line, "{input:?}");
        }
        check(b"", 1);
        check(b"none total=1", 1);
        check(b"some total=1\nfull total=x\n", 2);
        check(b"some avg10=0.00\n", 1);
        check(b"some avg10 total=1\n", 1);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
