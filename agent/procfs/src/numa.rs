//! `/sys/devices/system/node/nodeN/meminfo` and `numastat`: the memory of one NUMA node.

use crate::scan::{self, Lossy};

/// A field of a node's `meminfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Such as `MemTotal` or `Active(anon)`.
    pub name: &'a str,
    /// In bytes where the kernel gives kB, otherwise a count.
    pub value: u64,
}

/// Reads a node's `meminfo`; lines are independent of each other.
pub fn meminfo(bytes: &[u8]) -> Lossy<Vec<Field<'_>>> {
    Lossy::of_lines(bytes, "expected a node, a name, a number and perhaps kB", |line| {
        let (before, after) = scan::cut(line, b':')?;
        let mut fields = scan::fields(before);
        if fields.next()? != b"Node" || scan::number(fields.next()?).is_none() {
            return None;
        }
        let name = scan::text(fields.next()?).filter(|name| is_name(name))?;
        let mut fields = scan::fields(after);
        let value = scan::number(fields.next()?)?;
        let value = match fields.next() {
            None => value,
            Some(b"kB") => value.checked_mul(1024)?,
            Some(_) => return None,
        };
        Some(Field { name, value })
    })
}

fn is_name(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'(' | b')'))
}

/// Reads a node's `numastat`: names and pages allocated since boot; lines are independent of each other.
pub fn numastat(bytes: &[u8]) -> Lossy<Vec<(&str, u64)>> {
    Lossy::of_lines(bytes, "expected a name and a number", |line| {
        let mut fields = scan::fields(line);
        let name = fields.next().filter(|name| scan::is_word(name)).and_then(scan::text)?;
        Some((name, fields.next().and_then(scan::number)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_counts() {
        let text = "Node 0 MemTotal:       2048 kB\nNode 0 Active(anon):   16 kB\nNode 0 HugePages_Free:     3\n";
        let got = meminfo(text.as_bytes());
        let want = [("MemTotal", 2_097_152), ("Active(anon)", 16384), ("HugePages_Free", 3)];
        assert_eq!(got.value, want.map(|(name, value)| Field { name, value }));
    }

    #[test]
    fn a_bad_line_costs_itself() {
        let text =
            "MemTotal: 1 kB\nNode 0 Mem-Total: 1 kB\nNode 0 A: 1 MB\nNode 0 B: x kB\nNode x C: 1\nNode 0 D: 1 kB\n";
        let got = meminfo(text.as_bytes());
        assert_eq!((got.value.len(), got.bad_lines), (1, 5));
        let got = numastat(b"numa_hit 7\nnuma-miss 1\nnuma_foreign\nlocal_node x\n");
        assert_eq!((got.value, got.bad_lines), (vec![("numa_hit", 7)], 3));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = (meminfo(&bytes), numastat(&bytes));
        }
    }
}
