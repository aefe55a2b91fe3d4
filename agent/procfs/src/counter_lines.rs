//! Files whose lines are a name and its counters: `/proc/net/rpc/nfs` and `nfsd`, `/sys/fs/xfs/DEVICE/stats/stats`.

use crate::scan::{self, Lossy};

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters<'a> {
    /// Such as `rpc`.
    pub name: &'a str,
    /// The numbers after the name, up to the first thing that is no whole number.
    pub values: Vec<u64>,
}

/// Reads the file; lines are independent of each other.
pub fn parse(bytes: &[u8]) -> Lossy<Vec<Counters<'_>>> {
    Lossy::of_lines(bytes, "expected a name and numbers", |line| {
        let mut fields = scan::fields(line);
        let name = fields.next().filter(|name| scan::is_word(name)).and_then(scan::text)?;
        let values: Vec<_> = fields.map_while(scan::number).collect();
        (!values.is_empty()).then_some(Counters { name, values })
    })
}

/// The counters of that name; none where the kernel does not have them.
pub fn find<'a>(lines: &'a [Counters<'_>], name: &str) -> &'a [u64] {
    lines.iter().find(|line| line.name == name).map_or(&[], |line| &line.values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let got = parse(b"rc 0 6 18622\nth 8 0 0.000 0.000\nproc4ops 2 0 1\n");
        assert_eq!(find(&got.value, "rc"), [0, 6, 18_622]);
        assert_eq!(find(&got.value, "th"), [8, 0]);
        assert_eq!(find(&got.value, "ra"), [0_u64; 0]);
        assert_eq!(got.bad_lines, 0);
    }

    #[test]
    fn counters_have_64_bits() {
        assert_eq!(find(&parse(b"xpc 399724544 18446744073709551615").value, "xpc"), [399_724_544, u64::MAX]);
    }

    #[test]
    fn a_bad_line_costs_itself() {
        let got = parse(b"rpc\nnet x\n1-2 3\nio 7 -1 8\n\xff 1\n");
        assert_eq!(got.value, [Counters { name: "io", values: vec![7] }]);
        assert_eq!((got.bad_lines, got.first_bad.unwrap().line), (4, 1));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
