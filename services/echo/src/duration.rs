//! Durations as Go writes them: `1m2s`, `1.5h`, `300ms`.

use std::time::Duration;

/// A text is no duration that can be used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DurationError {
    /// Not of the form.
    #[error("not a duration such as 1m2s, 1.5h or 300ms")]
    Form,
    /// A number stands alone.
    #[error("a unit (ns, us, ms, s, m or h) is missing: a duration is written as 1m2s, 1.5h or 300ms")]
    Unit,
    /// Begins with `-`.
    #[error("a duration below 0")]
    Negative,
    /// Longer than 2^63 ns, as in Go.
    #[error("longer than 290 years")]
    Long,
    /// Nothing to wait for.
    #[error("must be longer than 0, such as 10s")]
    Zero,
}

/// Go's `time.ParseDuration`, without durations below zero: numbers with a unit each, of ns, us (µs), ms, s, m, h,
/// in any order, decimals allowed; or a bare `0`.
///
/// # Errors
/// See [`DurationError`].
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    if text.starts_with('-') {
        return Err(DurationError::Negative);
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err(DurationError::Form);
    }
    let (mut rest, mut total) = (text, 0);
    while !rest.is_empty() {
        let (nanoseconds, after) = first(rest)?;
        rest = after;
        total += nanoseconds;
        if total > i64::MAX.unsigned_abs().into() {
            return Err(DurationError::Long);
        }
    }
    Ok(Duration::from_nanos(u64::try_from(total).map_err(|_| DurationError::Long)?))
}

/// As [`parse`], but not 0: for deadlines and periods.
///
/// # Errors
/// See [`DurationError`].
pub fn parse_some(text: &str) -> Result<Duration, DurationError> {
    parse(text).and_then(|duration| if duration.is_zero() { Err(DurationError::Zero) } else { Ok(duration) })
}

/// The first number with its unit, in nanoseconds, and what stands after it.
fn first(text: &str) -> Result<(u128, &str), DurationError> {
    let (whole, rest) = digits(text);
    let (part, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
    if whole.is_empty() && part.is_empty() {
        return Err(DurationError::Form);
    }
    let end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at_checked(end).ok_or(DurationError::Form)?;
    let unit: u128 = match unit {
        "ns" => 1,
        // The two signs are the micro sign and the Greek letter.
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "" => return Err(DurationError::Unit),
        _ => return Err(DurationError::Form),
    };
    // 2^63 has 19 digits: more cannot count.
    let number = |digits: &str| match digits.trim_start_matches('0') {
        "" => Ok(0),
        digits if digits.len() > 19 => Err(DurationError::Long),
        digits => digits.parse::<u128>().map_err(|_| DurationError::Form),
    };
    // Of the decimals, those below a nanosecond's worth of an hour are cut off.
    let part = part.get(..part.len().min(16)).unwrap_or_default();
    let scale = 10_u128.pow(u32::try_from(part.len()).unwrap_or(0));
    Ok((number(whole)? * unit + number(part)? * unit / scale, rest))
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Result<u64, DurationError>) {
        assert_eq!(parse(text), want.map(Duration::from_nanos), "{text:?}");
    }

    #[test]
    fn what_go_takes() {
        check("0", Ok(0));
        check("0s", Ok(0));
        check("1m2s", Ok(62_000_000_000));
        check("10s", Ok(10_000_000_000));
        check("1.5h", Ok(5_400_000_000_000));
        check("300ms", Ok(300_000_000));
        check("+5s", Ok(5_000_000_000));
        check(".5s", Ok(500_000_000));
        check("5.s", Ok(5_000_000_000));
        check("2s1m", Ok(62_000_000_000));
        check("1us2µs3μs4ns", Ok(6_004));
        check("0.100000000000000000000h", Ok(360_000_000_000));
        check("0.3333333333333333333h", Ok(1_199_999_999_999));
        check("9223372036854775807ns", Ok(9_223_372_036_854_775_807));
        check("00000000000000000000001s", Ok(1_000_000_000));
    }

    #[test]
    fn what_go_does_not_take() {
        check("", Err(DurationError::Form));
        check("+", Err(DurationError::Form));
        check("abc", Err(DurationError::Form));
        check(".s", Err(DurationError::Form));
        check("1d", Err(DurationError::Form));
        check("1 s", Err(DurationError::Form));
        check("1m 2s", Err(DurationError::Form));
        check("1S", Err(DurationError::Form));
        check("1.2.3s", Err(DurationError::Unit));
        check("10", Err(DurationError::Unit));
        check("1m2", Err(DurationError::Unit));
        check("-1s", Err(DurationError::Negative));
        check("9223372036854775808ns", Err(DurationError::Long));
        check("3000000h", Err(DurationError::Long));
        check("99999999999999999999999999999999999999h", Err(DurationError::Long));
    }

    #[test]
    fn a_deadline_is_not_0() {
        assert_eq!(parse_some("0ms"), Err(DurationError::Zero));
        assert_eq!(parse_some("1ms"), Ok(Duration::from_millis(1)));
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_it(text in "[-+0-9.nuµmsh ]{0,40}") {
            let _ = parse(&text);
        }
    }
}
