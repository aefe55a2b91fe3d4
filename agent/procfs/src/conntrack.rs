//! `/proc/net/stat/nf_conntrack`: what connection tracking has done, a line per CPU below a line of names.

use crate::scan::{self, Lossy};

/// Sums up each column over all CPUs; lines are independent of each other. Names differ between kernels.
pub fn parse(bytes: &[u8]) -> Lossy<Vec<(&str, u64)>> {
    let mut lines = scan::lines(bytes);
    let mut out = Lossy::new(Vec::new());
    let Some((number, names)) = lines.next() else { return out };
    let names: Option<Vec<&str>> =
        scan::fields(names).map(|n| Some(n).filter(|n| scan::is_word(n)).and_then(scan::text)).collect();
    let Some(names) = names else {
        out.skip(number, "expected names of columns");
        return out;
    };
    let mut sums = vec![0_u64; names.len()];
    let mut has_cpus = false;
    for (number, line) in lines {
        let values: Option<Vec<u64>> = scan::fields(line).map(scan::hex).collect();
        match values.filter(|values| values.len() == sums.len()) {
            Some(values) => {
                has_cpus = true;
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum = sum.saturating_add(value));
            }
            None => out.skip(number, "expected a hexadecimal number per column"),
        }
    }
    if has_cpus {
        out.value = names.into_iter().zip(sums).collect();
    }
    out
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
