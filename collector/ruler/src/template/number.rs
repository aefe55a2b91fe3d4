//! Numbers as Go's `fmt` prints them.

/// `%g`: with a precision, so many significant digits; without, as many as tell the value from its neighbours.
pub(super) fn general(value: f64, precision: Option<usize>) -> String {
    if let Some(text) = not_finite(value) {
        return text;
    }
    let precision = precision.map(|digits| digits.max(1));
    let scientific = match precision {
        Some(digits) => format!("{value:.*e}", digits - 1),
        None => format!("{value:e}"),
    };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let limit = precision.map_or(SHORTEST_LIMIT, |digits| i32::try_from(digits).unwrap_or(i32::MAX));
    let mantissa = match mantissa.contains('.') {
        true => mantissa.trim_end_matches('0').trim_end_matches('.'),
        false => mantissa,
    };
    if exponent < -4 || exponent >= limit {
        return format!("{mantissa}{}", exponent_part(exponent));
    }
    let after_point = mantissa.split_once('.').map_or(0, |(_, digits)| digits.len());
    let decimals = usize::try_from(i32::try_from(after_point).unwrap_or(0) - exponent).unwrap_or(0);
    format!("{value:.decimals$}")
}

/// Go's `%v` leaves plain notation at this exponent, however many digits it needs.
const SHORTEST_LIMIT: i32 = 6;

/// `%e`, six digits after the point unless told otherwise.
pub(super) fn scientific(value: f64, precision: Option<usize>) -> String {
    if let Some(text) = not_finite(value) {
        return text;
    }
    let text = format!("{value:.*e}", precision.unwrap_or(6));
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{mantissa}{}", exponent_part(exponent.parse().unwrap_or(0)))
}

/// `%f`, six digits after the point unless told otherwise.
pub(super) fn fixed(value: f64, precision: Option<usize>) -> String {
    not_finite(value).unwrap_or_else(|| format!("{value:.*}", precision.unwrap_or(6)))
}

fn exponent_part(exponent: i32) -> String {
    format!("e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

fn not_finite(value: f64) -> Option<String> {
    if value.is_nan() {
        return Some("NaN".to_owned());
    }
    value.is_infinite().then(|| if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: f64, precision: Option<usize>, want: &str) {
        assert_eq!(general(value, precision), want, "{value:?} {precision:?}");
    }

    #[test]
    fn prints_as_go_does() {
        check(0.0, None, "0");
        check(100.0, None, "100");
        check(999_999.0, None, "999999");
        check(1_000_000.0, None, "1e+06");
        check(0.000_1, None, "0.0001");
        check(0.000_01, None, "1e-05");
        check(-12.25, None, "-12.25");
        check(1e300, None, "1e+300");
        check(999.95, Some(4), "1000");
        check(9_999.5, Some(4), "1e+04");
        check(1.0, Some(4), "1");
        check(12.345_6, Some(4), "12.35");
        check(-0.012_345_6, Some(4), "-0.01235");
        check(f64::INFINITY, Some(4), "+Inf");
        assert_eq!(scientific(12.5, None), "1.250000e+01");
        assert_eq!(fixed(2.5, Some(1)), "2.5");
    }
}
