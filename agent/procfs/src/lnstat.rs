//! `/proc/net/stat/*`: what the network's caches have done, a line per CPU below a line of names.

use crate::scan::{self, Lossy};

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lnstat<'a> {
    /// Names of the columns.
    pub columns: Vec<&'a str>,
    /// The numbers of each CPU, in the order of [`columns`](Self::columns).
    pub cpus: Vec<Vec<u64>>,
}

/// Reads the file; lines are independent of each other.
pub fn parse(bytes: &[u8]) -> Lossy<Lnstat<'_>> {
    let mut lines = scan::lines(bytes);
    let mut out = Lossy::new(Lnstat::default());
    let Some((number, names)) = lines.next() else { return out };
    let names = scan::fields(names).map(|name| scan::text(name).filter(|name| scan::is_word(name.as_bytes())));
    let Some(columns) = names.collect::<Option<Vec<_>>>() else {
        out.skip(number, "expected names of columns");
        return out;
    };
    out.value.columns = columns;
    for (number, line) in lines {
        let numbers: Option<Vec<u64>> = scan::fields(line).map(scan::hex).collect();
        match numbers.filter(|numbers| numbers.len() == out.value.columns.len()) {
            Some(numbers) => out.value.cpus.push(numbers),
            None => out.skip(number, "expected a hexadecimal number per column"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_per_cpu() {
        let got = parse(b"entries  allocs\n0000000a 00000010\n0000000a 00000000\n");
        assert_eq!(got.value.columns, ["entries", "allocs"]);
        assert_eq!((got.value.cpus, got.bad_lines), (vec![vec![10, 16], vec![10, 0]], 0));
    }

    #[test]
    fn a_bad_line_costs_itself() {
        let got = parse(b"a b\n1 2\n1\n1 x\n3 4\n");
        assert_eq!((got.value.cpus, got.bad_lines), (vec![vec![1, 2], vec![3, 4]], 2));
        assert_eq!(parse(b"a-b c\n1 2\n").value, Lnstat::default());
        assert_eq!(parse(b"").value, Lnstat::default());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
