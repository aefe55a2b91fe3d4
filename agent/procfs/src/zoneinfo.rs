//! `/proc/zoneinfo`: what each zone of memory holds, in pages.

use crate::scan::{self, Lossy};

/// A zone of memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zone<'a> {
    /// Number of the NUMA node.
    pub node: &'a str,
    /// Such as `DMA32` or `Normal`.
    pub zone: &'a str,
    /// Names and numbers, as listed. What holds for the whole node stands in its first zone only. The kernel's
    /// `pages free` is called `free` here.
    pub fields: Vec<(&'a str, u64)>,
    /// Pages kept back from those who could also use a lower zone, by zone.
    pub protection: Vec<u64>,
}

impl Zone<'_> {
    /// The first field of that name.
    pub fn field(&self, name: &str) -> Option<u64> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// Reads the file; a line that makes no sense is left out of its zone. The lists of CPUs are passed over.
pub fn parse(bytes: &[u8]) -> Lossy<Vec<Zone<'_>>> {
    let mut out = Lossy::new(Vec::<Zone>::new());
    for (number, line) in scan::lines(bytes) {
        let known = match (heading(line), out.value.last_mut()) {
            (Some((node, zone)), _) => {
                out.value.push(Zone { node, zone, ..Zone::default() });
                true
            }
            (None, Some(zone)) => zone.take(line).is_some(),
            (None, None) => false,
        };
        if !known {
            out.skip(number, "expected a zone, or a name and a number");
        }
    }
    out
}

/// `Node 0, zone   Normal`
fn heading(line: &[u8]) -> Option<(&str, &str)> {
    let (node, rest) = scan::cut(line.strip_prefix(b"Node ")?, b',')?;
    let mut fields = scan::fields(rest);
    let is_zone = fields.next()? == b"zone";
    Some((scan::text(node)?, scan::text(fields.next()?)?)).filter(|_| is_zone)
}

impl<'a> Zone<'a> {
    fn take(&mut self, line: &'a [u8]) -> Option<()> {
        if let Some(list) = line.strip_prefix(b"protection: (") {
            let numbers = list.strip_suffix(b")")?.split(|byte| *byte == b',').map(|n| scan::number(n.trim_ascii()));
            self.protection = numbers.collect::<Option<_>>()?;
            return Some(());
        }
        // `cpu: 0`, `count: 12`, `start_pfn: 1`, and headings such as `per-node stats` and `pagesets`.
        if memchr::memchr(b':', line).is_some() || matches!(line, b"per-node stats" | b"pagesets") {
            return Some(());
        }
        let mut fields = scan::fields(line.strip_prefix(b"pages ").unwrap_or(line));
        let name = scan::text(fields.next()?).filter(|name| scan::is_word(name.as_bytes()))?;
        self.fields.push((name, scan::number(fields.next()?)?));
        fields.next().is_none().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_with_their_fields() {
        let text = "Node 0, zone      DMA\n  per-node stats\n      nr_mapped    1062\n  pages free     3840\n\
                    \x20       min      20\n        protection: (0, 2904, 3906)\n      nr_free_pages 3841\n  pagesets\n    cpu: 0\n\
                    \x20             count: 1\n              high:  7\n  node_unreclaimable:  0\n  start_pfn:           1\n\
                    Node 1, zone   Normal\n        high     30\n";
        let got = parse(text.as_bytes());
        let [dma, normal] = got.value.as_slice() else { panic!("{got:?}") };
        assert_eq!((dma.node, dma.zone, normal.node, normal.zone), ("0", "DMA", "1", "Normal"));
        assert_eq!(dma.fields, [("nr_mapped", 1062), ("free", 3840), ("min", 20), ("nr_free_pages", 3841)]);
        assert_eq!((dma.field("min"), dma.field("high")), (Some(20), None));
        assert_eq!((dma.protection.as_slice(), normal.field("high")), ([0, 2904, 3906].as_slice(), Some(30)));
        assert_eq!(got.bad_lines, 0);
    }

    #[test]
    fn a_bad_line_costs_itself() {
        let got = parse(b"min 1\nNode 0, zone DMA\nlow x\nprotection: (1, y)\nhi gh 1\nhigh 3\nNode 0, area DMA\n");
        assert_eq!(got.value, [Zone { node: "0", zone: "DMA", fields: vec![("high", 3)], protection: vec![] }]);
        assert_eq!((got.bad_lines, got.first_bad.unwrap().line), (5, 1));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
            let _ = parse(&[b"Node 0, zone DMA\n".as_slice(), &bytes].concat());
        }
    }
}
