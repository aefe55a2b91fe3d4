//! `/proc/net/stat/nf_conntrack`: what connection tracking has done, a line per CPU below a line of names.

use crate::lnstat;
use crate::scan::Lossy;

/// Sums up each column over all CPUs; lines are independent of each other. Names differ between kernels.
pub fn parse(bytes: &[u8]) -> Lossy<Vec<(&str, u64)>> {
    let Lossy { value: table, bad_lines, first_bad } = lnstat::parse(bytes);
    let sum =
        |column| table.cpus.iter().filter_map(|cpu| cpu.get(column)).fold(0, |sum: u64, n| sum.saturating_add(*n));
    let value = match table.cpus.is_empty() {
        true => Vec::new(),
        false => table.columns.iter().enumerate().map(|(column, name)| (*name, sum(column))).collect(),
    };
    Lossy { value, bad_lines, first_bad }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_summed() {
        let got = parse(b"entries  searched found\n0000021e  00000000 00000003\n0000021e  00000001 0000000a\n");
        assert_eq!((got.value, got.bad_lines), (vec![("entries", 0x43c), ("searched", 1), ("found", 13)], 0));
    }

    #[test]
    fn a_bad_line_costs_itself() {
        let got = parse(b"a b\n1 2\n1\n1 x\n1 2 3\n3 4\n");
        assert_eq!((got.value, got.bad_lines), (vec![("a", 4), ("b", 6)], 3));
    }

    #[test]
    fn without_a_cpu_there_is_nothing() {
        assert_eq!(parse(b"").value, []);
        assert_eq!(parse(b"a b\n").value, []);
        assert_eq!(parse(b"a-b\n1\n").value, []);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
