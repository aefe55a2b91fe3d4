//! `/proc/meminfo`, and the files of the same form below `/sys/devices/system/node`.

use crate::scan::{self, Lossy, Malformed};

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// As the kernel spells it: `MemTotal`, `Active(anon)`.
    pub name: &'a str,
    /// In bytes, or a plain count.
    pub value: u64,
    /// Whether it is bytes: the line ended in `kB`, which the kernel means as KiB.
    pub bytes: bool,
}

/// Reads the file; lines are independent of each other.
///
/// # Errors
/// When there is no good line.
pub fn parse(bytes: &[u8]) -> Result<Lossy<Vec<Field<'_>>>, Malformed> {
    let lines = Lossy::of_lines(bytes, "expected \"Name: number\" or \"Name: number kB\"", field).or_all_bad()?;
    if lines.value.is_empty() {
        return Err(Malformed { line: 1, reason: "expected memory fields" });
    }
    Ok(lines)
}

fn field(line: &[u8]) -> Option<Field<'_>> {
    let (name, rest) = scan::cut(line, b':')?;
    let legal = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'(' | b')');
    let name = scan::text(name).filter(|n| !n.is_empty() && n.as_bytes().iter().all(legal))?;
    let mut fields = scan::fields(rest);
    let value = fields.next().and_then(scan::number)?;
    match fields.next() {
        None => Some(Field { name, value, bytes: false }),
        Some(b"kB") => Some(Field { name, value: value.checked_mul(1024)?, bytes: true }),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_in_kib_and_counts() {
        let got =
            parse(b"MemTotal:       15666184 kB\nActive(anon):    2068484 kB\nHugePages_Total:       3\n").unwrap();
        assert_eq!(
            got.value,
            [
                Field { name: "MemTotal", value: 15_666_184 * 1024, bytes: true },
                Field { name: "Active(anon)", value: 2_068_484 * 1024, bytes: true },
                Field { name: "HugePages_Total", value: 3, bytes: false },
            ]
        );
        assert_eq!(got.bad_lines, 0);
    }

    #[test]
    fn a_bad_line_costs_itself() {
        #[track_caller]
        fn check(bad: &[u8]) {
            let input = [b"MemTotal: 1 kB\n", bad, b"\nMemFree: 1 kB\n"].concat();
            let got = parse(&input).unwrap();
            assert_eq!((got.value.len(), got.bad_lines), (2, 1), "{bad:?}");
        }
        check(b"MemHalf");
        check(b"MemHalf:");
        check(b"MemHalf: x kB");
        check(b"MemHalf: 1 MB");
        check(b"MemHalf: 18446744073709551615 kB");
        check(b"Mem Half: 1 kB");
        check(b"Mem\"Half: 1 kB");
        check(b"\xff: 1 kB");
        check(b": 1 kB");
    }

    #[test]
    fn nothing_good_is_an_error() {
        assert_eq!(parse(b"").unwrap_err().line, 1);
        assert_eq!(parse(b"\ngarbage").unwrap_err().line, 2);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
