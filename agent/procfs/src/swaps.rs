//! `/proc/swaps`: where memory is swapped to.

use std::borrow::Cow;

use crate::mountinfo::unescape;
use crate::scan::{self, Lossy};

/// A partition or a file for swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swap<'a> {
    /// Its path, unescaped. Not always UTF-8.
    pub path: Cow<'a, [u8]>,
    /// `partition` or `file`.
    pub kind: &'a str,
    /// Its size in KiB.
    pub size: u64,
    /// How much is in use, in KiB.
    pub used: u64,
    /// Higher ones are used first; negative ones were chosen by the kernel.
    pub priority: i64,
}

/// Reads the file; lines are independent of each other.
pub fn parse(bytes: &[u8]) -> Lossy<Vec<Swap<'_>>> {
    let mut out = Lossy::new(Vec::new());
    // The first line is headings.
    for (number, line) in scan::lines(bytes).skip(1) {
        match swap(line) {
            Some(swap) => out.value.push(swap),
            None => out.skip(number, "expected a path, a kind and three numbers"),
        }
    }
    out
}

fn swap(line: &[u8]) -> Option<Swap<'_>> {
    let mut fields = scan::fields(line);
    let (path, kind) = (unescape(fields.next()?), scan::text(fields.next()?)?);
    let (size, used) = (scan::number(fields.next()?)?, scan::number(fields.next()?)?);
    Some(Swap { path, kind, size, used, priority: scan::signed(fields.next()?)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADINGS: &str = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";

    #[test]
    fn partitions_and_files() {
        let text = format!("{HEADINGS}/dev/sda5   partition 524284 1200 -2\n/var/my\\040swap file\t1048572\t0\t5\n");
        let got = parse(text.as_bytes());
        let [first, second] = got.value.as_slice() else { panic!("{got:?}") };
        assert_eq!(
            (&*first.path, first.kind, first.size, first.used),
            (b"/dev/sda5".as_slice(), "partition", 524_284, 1200)
        );
        assert_eq!((&*second.path, second.priority, first.priority), (b"/var/my swap".as_slice(), 5, -2));
    }

    #[test]
    fn a_bad_line_costs_itself() {
        let text = format!("{HEADINGS}/a file 1 2\n/b file 1 x 3\n/c file 1 2 3\n");
        let got = parse(text.as_bytes());
        assert_eq!((got.value.len(), got.bad_lines, got.first_bad.unwrap().line), (1, 2, 2));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
