//! `memory.numa_stat` of both versions.

use crate::scan;

/// One kind of memory by node, in the file's unit: pages (v1) or bytes (v2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumaStat<'a> {
    /// Such as `file`, `anon`, `hierarchical_anon`.
    pub kind: &'a str,
    nodes: &'a [u8],
}

impl<'a> NumaStat<'a> {
    /// The nodes' numbers and what is on each.
    pub fn nodes(&self) -> impl Iterator<Item = (&'a str, u64)> + use<'a> {
        scan::fields(self.nodes).filter_map(|field| {
            let (node, value) = scan::cut(field.strip_prefix(b"N")?, b'=')?;
            scan::number(node)?;
            Some((scan::text(node)?, scan::number(value)?))
        })
    }
}

/// The lines: `file=358 N0=358 N1=0` (v1, with the sum first) or `file N0=1466368 N1=0` (v2).
pub fn numa_stat(bytes: &[u8]) -> impl Iterator<Item = NumaStat<'_>> {
    scan::lines(bytes).filter_map(|(_, line)| {
        let (head, nodes) = scan::cut(line, b' ')?;
        let kind = scan::cut(head, b'=').map_or(head, |(kind, _)| kind);
        Some(NumaStat { kind: scan::text(kind).filter(|kind| scan::is_word(kind.as_bytes()))?, nodes })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: &[(&str, &[(&str, u64)])]) {
        let got: Vec<_> =
            numa_stat(text.as_bytes()).map(|stat| (stat.kind, stat.nodes().collect::<Vec<_>>())).collect();
        assert_eq!(got, want.iter().map(|(kind, nodes)| (*kind, nodes.to_vec())).collect::<Vec<_>>());
    }

    #[test]
    fn both_versions() {
        check(
            "total=5 N0=3 N1=2\nhierarchical_anon=7 N0=7 N1=0\n",
            &[("total", &[("0", 3), ("1", 2)]), ("hierarchical_anon", &[("0", 7), ("1", 0)])],
        );
        check("anon N0=4096 N1=8192\n", &[("anon", &[("0", 4096), ("1", 8192)])]);
    }

    #[test]
    fn what_makes_no_sense_is_passed_over() {
        check("\nfile\na-b N0=1\nfile=1 N0=x Nx=1 N=2 0=3 N1=4\n", &[("file", &[("1", 4)])]);
    }
}
