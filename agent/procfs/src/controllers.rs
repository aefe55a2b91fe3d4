//! `/proc/cgroups`: the kernel's cgroup controllers.

use crate::scan::{self, Lossy};

/// A controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controller<'a> {
    /// Such as `memory`.
    pub name: &'a str,
    /// Number of the hierarchy it is mounted in; 0 for that of cgroup v2, or for none.
    pub hierarchy: u64,
    /// How many cgroups it has.
    pub cgroups: u64,
    /// Whether it was left on at boot.
    pub enabled: bool,
}

/// Reads the file; lines are independent of each other.
pub fn parse(bytes: &[u8]) -> Lossy<Vec<Controller<'_>>> {
    let mut out = Lossy::new(Vec::new());
    for (number, line) in scan::lines(bytes).filter(|(_, line)| !line.starts_with(b"#")) {
        match controller(line) {
            Some(controller) => out.value.push(controller),
            None => out.skip(number, "expected a name and three numbers"),
        }
    }
    out
}

fn controller(line: &[u8]) -> Option<Controller<'_>> {
    let mut fields = scan::fields(line);
    let name = scan::text(fields.next()?)?;
    let mut number = || fields.next().and_then(scan::number);
    let (hierarchy, cgroups, enabled) = (number()?, number()?, number()?);
    Some(Controller { name, hierarchy, cgroups, enabled: enabled != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_below_their_headings() {
        let got = parse(b"#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t2\t61\t1\nhugetlb\t0\t1\t0\n");
        let want = [
            Controller { name: "cpu", hierarchy: 2, cgroups: 61, enabled: true },
            Controller { name: "hugetlb", hierarchy: 0, cgroups: 1, enabled: false },
        ];
        assert_eq!((got.value.as_slice(), got.bad_lines), (want.as_slice(), 0));
    }

    #[test]
    fn a_bad_line_costs_itself() {
        let got = parse(b"cpu 2 61\ncpu 2 x 1\nmemory 3 4 1\n\xff 1 1 1\n");
        assert_eq!((got.value.len(), got.bad_lines), (1, 3));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
