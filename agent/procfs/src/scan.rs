//! Cutting kernel text into lines, fields and numbers.
//!
//! Everything here works on bytes, borrows, and cannot fail on arbitrary input: what does not fit is `None`.

/// A line that could not be understood. [`at`](Self::at) adds the file that it stood in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Malformed {
    /// Counted from 1.
    pub line: usize,
    /// What was expected there.
    pub reason: &'static str,
}

impl Malformed {
    /// The error of the file that the line stood in.
    pub fn at(self, path: &std::path::Path) -> crate::Error {
        crate::Error::Parse { path: path.to_owned(), line: self.line, reason: self.reason.to_owned() }
    }
}

/// What a file of independent lines gave: a line that makes no sense costs itself and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lossy<T> {
    /// Everything that was understood.
    pub value: T,
    /// How many lines were not.
    pub bad_lines: usize,
    /// The first of those.
    pub first_bad: Option<Malformed>,
}

impl<T> Lossy<T> {
    /// Nothing lost yet.
    pub(crate) fn new(value: T) -> Self {
        Self { value, bad_lines: 0, first_bad: None }
    }

    /// Counts a line that was not understood.
    pub(crate) fn skip(&mut self, line: usize, reason: &'static str) {
        self.bad_lines += 1;
        self.first_bad.get_or_insert(Malformed { line, reason });
    }
}

impl<T> Lossy<Vec<T>> {
    /// Reads every line that is not empty with `parse`, which gives `None` for one that is not `expected`.
    pub(crate) fn of_lines<'a>(
        bytes: &'a [u8],
        expected: &'static str,
        mut parse: impl FnMut(&'a [u8]) -> Option<T>,
    ) -> Self {
        let mut out = Self::new(Vec::new());
        for (number, line) in lines(bytes) {
            match parse(line) {
                Some(item) => out.value.push(item),
                None => out.skip(number, expected),
            }
        }
        out
    }

    /// The good lines, or an error when there were lines but not a single good one.
    ///
    /// # Errors
    /// The first bad line.
    pub fn or_all_bad(self) -> Result<Self, Malformed> {
        match (&self.first_bad, self.value.is_empty()) {
            (Some(first), true) => Err(first.clone()),
            _ => Ok(self),
        }
    }
}

/// The lines that hold more than white space, with their numbers from 1.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut rest = bytes;
    let mut number = 0;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (line, after) = match memchr::memchr(b'\n', rest) {
                Some(end) => (rest.get(..end)?, rest.get(end + 1..)?),
                None => (rest, [].as_slice()),
            };
            rest = after;
            number += 1;
            let line = line.trim_ascii();
            if !line.is_empty() {
                return Some((number, line));
            }
        }
        None
    })
}

/// The fields of a line, between any run of white space.
pub fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty())
}

/// Decimal digits and nothing else; `None` also when the number does not fit.
pub fn number(field: &[u8]) -> Option<u64> {
    if field.is_empty() {
        return None;
    }
    field.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.checked_sub(b'0').filter(|d| *d < 10)?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// A number that may have a minus sign.
pub fn signed(field: &[u8]) -> Option<i64> {
    match field.strip_prefix(b"-") {
        Some(digits) => number(digits).and_then(|n| 0_i64.checked_sub_unsigned(n)),
        None => number(field).and_then(|n| i64::try_from(n).ok()),
    }
}

/// Hexadecimal digits and nothing else, as in `/proc/net/softnet_stat`.
pub fn hex(field: &[u8]) -> Option<u64> {
    let digits = text(field).filter(|t| t.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u64::from_str_radix(digits, 16).ok()
}

/// A file that is one number.
///
/// # Errors
/// When it is anything else.
pub fn single(bytes: &[u8]) -> Result<u64, Malformed> {
    number(bytes.trim_ascii()).ok_or(Malformed { line: 1, reason: "expected a number" })
}

/// A decimal fraction such as `0.25`. Words that Rust would take for numbers (`inf`, `nan`) are none.
pub fn fraction(field: &[u8]) -> Option<f64> {
    let plain = field.iter().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-'));
    text(field).filter(|_| plain)?.parse().ok()
}

/// The field as text.
pub fn text(field: &[u8]) -> Option<&str> {
    std::str::from_utf8(field).ok()
}

/// What stands before and after the first `separator`.
pub fn cut(line: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(separator, line)?;
    Some((line.get(..at)?, line.get(at + 1..)?))
}

/// Whether the word can be part of a metric name: ASCII letters, digits and underscores only, and not nothing.
pub fn is_word(field: &[u8]) -> bool {
    !field.is_empty() && field.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_skip_blanks_and_keep_their_numbers() {
        let got: Vec<_> = lines(b"a\n\n  \n b \nc").collect();
        assert_eq!(got, [(1, b"a".as_slice()), (4, b"b"), (5, b"c")]);
    }

    #[test]
    fn numbers_are_digits_that_fit() {
        #[track_caller]
        fn check(input: &str, want: Option<u64>) {
            assert_eq!(number(input.as_bytes()), want);
        }
        check("0", Some(0));
        check("18446744073709551615", Some(u64::MAX));
        check("18446744073709551616", None);
        check("", None);
        check("-1", None);
        check("+1", None);
        check("1 ", None);
        check("0x10", None);
    }

    #[test]
    fn signed_numbers_reach_both_ends() {
        #[track_caller]
        fn check(input: &str, want: Option<i64>) {
            assert_eq!(signed(input.as_bytes()), want);
        }
        check("-1", Some(-1));
        check("-9223372036854775808", Some(i64::MIN));
        check("-9223372036854775809", None);
        check("9223372036854775807", Some(i64::MAX));
        check("9223372036854775808", None);
        check("--1", None);
        check("-", None);
    }

    #[test]
    fn hexadecimal_numbers() {
        #[track_caller]
        fn check(input: &str, want: Option<u64>) {
            assert_eq!(hex(input.as_bytes()), want);
        }
        check("0000001f", Some(31));
        check("FFFFFFFFFFFFFFFF", Some(u64::MAX));
        check("10000000000000000", None);
        check("+1", None);
        check("0x1", None);
        check("", None);
    }

    #[test]
    fn fractions_are_plain() {
        #[track_caller]
        fn check(input: &str, want: Option<f64>) {
            assert_eq!(fraction(input.as_bytes()), want);
        }
        check("0.25", Some(0.25));
        check("12", Some(12.0));
        check("nan", None);
        check("inf", None);
        check("1e3", None);
        check("1.2.3", None);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            for (_, line) in lines(&bytes) {
                for field in fields(line) {
                    let _ = (number(field), hex(field), signed(field), fraction(field), text(field), is_word(field), cut(field, b':'));
                }
            }
        }

        #[test]
        fn a_number_reads_back(n: u64) {
            proptest::prop_assert_eq!(number(n.to_string().as_bytes()), Some(n));
        }

        #[test]
        fn a_signed_number_reads_back(n: i64) {
            proptest::prop_assert_eq!(signed(n.to_string().as_bytes()), Some(n));
        }
    }
}
