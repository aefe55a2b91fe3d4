//! `/proc/vmstat`, and every other file whose lines are a name and a number.

use crate::scan::{self, Lossy, Malformed};

/// Reads names and values; lines are independent of each other. Values are signed: some kernels print counters of
/// pages that way.
///
/// # Errors
/// When there is no good line.
pub fn parse(bytes: &[u8]) -> Result<Lossy<Vec<(&str, i64)>>, Malformed> {
    let lines = Lossy::of_lines(bytes, "expected a name and a number", |line| {
        let mut fields = scan::fields(line);
        let name = fields.next().filter(|n| scan::is_word(n)).and_then(scan::text)?;
        let value = fields.next().and_then(scan::signed)?;
        fields.next().is_none().then_some((name, value))
    })
    .or_all_bad()?;
    if lines.value.is_empty() {
        return Err(Malformed { line: 1, reason: "expected names and numbers" });
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let got = parse(b"nr_free_pages 977769\npgpgin 7344136\noom_kill 0\nnr_odd -3\n").unwrap();
        assert_eq!(got.value, [("nr_free_pages", 977_769), ("pgpgin", 7_344_136), ("oom_kill", 0), ("nr_odd", -3)]);
    }

    #[test]
    fn a_bad_line_costs_itself() {
        let got = parse(b"a 1\nb\nc x\nd 1 2\ne-f 1\n\xff 1\ng 2\n").unwrap();
        assert_eq!(got.value, [("a", 1), ("g", 2)]);
        assert_eq!((got.bad_lines, got.first_bad.unwrap().line), (5, 2));
    }

    #[test]
    fn nothing_good_is_an_error() {
        assert!(parse(b"").is_err());
        assert!(parse(b"pgpgin\n").is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
