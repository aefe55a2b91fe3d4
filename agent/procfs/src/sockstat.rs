//! `/proc/net/sockstat` and `/proc/net/sockstat6`: sockets in use by protocol.

use crate::scan::{self, Lossy};

/// One protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protocol<'a> {
    /// Such as `TCP` or `UDP6`.
    pub name: &'a str,
    /// Sockets in use.
    pub inuse: Option<u64>,
    /// Without a process.
    pub orphan: Option<u64>,
    /// In time-wait.
    pub tw: Option<u64>,
    /// Allocated.
    pub alloc: Option<u64>,
    /// Pages of buffers. Signed in the kernel, where it can be below zero for a moment; then it is absent here.
    pub mem: Option<u64>,
    /// Bytes of fragments.
    pub memory: Option<u64>,
}

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sockstat<'a> {
    /// `sockets: used`: sockets of all protocols. Not in the file of version 6.
    pub used: Option<u64>,
    /// The protocols, as listed.
    pub protocols: Vec<Protocol<'a>>,
}

/// Reads either file; lines are independent of each other.
pub fn parse(bytes: &[u8]) -> Lossy<Sockstat<'_>> {
    let mut out = Lossy::new(Sockstat::default());
    for (number, line) in scan::lines(bytes) {
        let name = scan::cut(line, b':').and_then(|(name, rest)| Some((scan::text(name)?, rest)));
        let Some((name, rest)) = name.filter(|(name, _)| scan::is_word(name.as_bytes())) else {
            out.skip(number, "expected a protocol and a colon");
            continue;
        };
        let protocol = protocol(name, rest);
        if name == "sockets" {
            out.value.used = used(rest);
        } else if protocol == (Protocol { name, ..Protocol::default() }) {
            out.skip(number, "expected names and numbers");
        } else {
            out.value.protocols.push(protocol);
        }
    }
    out
}

fn used(rest: &[u8]) -> Option<u64> {
    let mut fields = scan::fields(rest);
    fields.by_ref().find(|f| *f == b"used")?;
    fields.next().and_then(scan::number)
}

fn protocol<'a>(name: &'a str, rest: &[u8]) -> Protocol<'a> {
    let mut protocol = Protocol { name, ..Protocol::default() };
    let mut fields = scan::fields(rest);
    while let (Some(key), Some(value)) = (fields.next(), fields.next()) {
        let slot = match key {
            b"inuse" => &mut protocol.inuse,
            b"orphan" => &mut protocol.orphan,
            b"tw" => &mut protocol.tw,
            b"alloc" => &mut protocol.alloc,
            b"mem" => &mut protocol.mem,
            b"memory" => &mut protocol.memory,
            _ => continue,
        };
        *slot = scan::number(value);
    }
    protocol
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_4() {
        let got = parse(
            b"sockets: used 1602\nTCP: inuse 35 orphan 0 tw 4 alloc 59 mem 22\nUDP: inuse 12 mem 62\n\
              UDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 1 memory 64\n",
        );
        assert_eq!((got.bad_lines, got.value.used), (0, Some(1602)));
        let tcp = Protocol {
            name: "TCP",
            inuse: Some(35),
            orphan: Some(0),
            tw: Some(4),
            alloc: Some(59),
            mem: Some(22),
            memory: None,
        };
        assert_eq!(got.value.protocols[0], tcp);
        assert_eq!(got.value.protocols[4].memory, Some(64));
    }

    #[test]
    fn version_6_has_no_total() {
        let got = parse(b"TCP6: inuse 17\nFRAG6: inuse 0 memory 0\n");
        assert_eq!((got.value.used, got.value.protocols.len()), (None, 2));
    }

    #[test]
    fn a_bad_line_costs_itself() {
        let got = parse(b"TCP inuse 1\nU DP: inuse 1\nRAW: inuse\nFRAG: inuse 3 memory -5 new 7\n");
        assert_eq!(got.bad_lines, 3);
        assert_eq!(got.value.protocols, [Protocol { name: "FRAG", inuse: Some(3), ..Protocol::default() }]);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
