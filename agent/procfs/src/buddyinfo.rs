//! `/proc/buddyinfo`: free blocks of memory by size.

use crate::scan::{self, Lossy};

/// A zone of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone<'a> {
    /// Number of the NUMA node.
    pub node: &'a str,
    /// Such as `DMA32` or `Normal`.
    pub zone: &'a str,
    /// Free blocks of 1, 2, 4, 8, … pages.
    pub blocks: Vec<u64>,
}

/// Reads the file; lines are independent of each other.
pub fn parse(bytes: &[u8]) -> Lossy<Vec<Zone<'_>>> {
    Lossy::of_lines(bytes, "expected a node, a zone and its free blocks", |line| {
        let (node, rest) = scan::cut(line, b',')?;
        let node = scan::text(node.strip_prefix(b"Node ")?)?;
        let mut fields = scan::fields(rest);
        if fields.next()? != b"zone" {
            return None;
        }
        let zone = scan::text(fields.next()?)?;
        let blocks: Vec<u64> = fields.map(scan::number).collect::<Option<_>>()?;
        (!blocks.is_empty()).then_some(Zone { node, zone, blocks })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_of_two_nodes() {
        let got = parse(b"Node 0, zone    DMA32      7      0     12\nNode 1, zone   Normal      1      2      3\n");
        let want = [
            Zone { node: "0", zone: "DMA32", blocks: vec![7, 0, 12] },
            Zone { node: "1", zone: "Normal", blocks: vec![1, 2, 3] },
        ];
        assert_eq!((got.value.as_slice(), got.bad_lines), (want.as_slice(), 0));
    }

    #[test]
    fn a_bad_line_costs_itself() {
        let got =
            parse(b"Node 0, zone DMA 1\nNode 0 zone DMA 1\nNode 0, area DMA 1\nNode 0, zone DMA\nNode 0, zone DMA x\n");
        assert_eq!((got.value.len(), got.bad_lines), (1, 4));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
