//! Numbers as Prometheus reads them: Go's `strconv.ParseFloat` without hexadecimal and underscores.

/// The one bit pattern that every NaN of a page is read as, so that none is taken for a stale marker.
pub const NORMAL_NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

/// The exact powers of ten.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// Reads a number; `None` when it is none, or too large for one.
pub(super) fn parse_float(text: &str) -> Option<f64> {
    parse_decimal(text).or_else(|| parse_any(text))
}

/// Digits with an optional sign, point and exponent, whose digits fit in 53 bits and whose scale is an exact power of
/// ten: then one multiplication or division rounds once and the result is exact (Clinger's fast path).
fn parse_decimal(text: &str) -> Option<f64> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] | rest => (false, rest),
    };
    let mut mantissa = 0u64;
    let mut decimals = None::<i32>;
    let mut count = 0;
    let mut rest = digits.iter();
    let mut exponent = 0;
    while let Some(&byte) = rest.next() {
        match byte {
            b'0'..=b'9' => {
                count += 1;
                mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
                decimals = decimals.map(|n| n + 1);
            }
            b'.' if decimals.is_none() => decimals = Some(0),
            b'e' | b'E' => {
                exponent = parse_exponent(rest.as_slice())?;
                break;
            }
            _ => return None,
        }
    }
    if count == 0 || count > 19 || mantissa >= 1 << 53 {
        return None;
    }
    let scale = exponent - decimals.unwrap_or(0);
    let power = *POWERS.get(scale.unsigned_abs() as usize)?;
    let magnitude = if scale < 0 { mantissa as f64 / power } else { mantissa as f64 * power };
    Some(if negative { -magnitude } else { magnitude })
}

fn parse_exponent(text: &[u8]) -> Option<i32> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] | rest => (false, rest),
    };
    if digits.is_empty() || digits.len() > 4 {
        return None;
    }
    let mut exponent = 0;
    for byte in digits {
        exponent = exponent * 10 + i32::from(byte.checked_sub(b'0').filter(|d| *d < 10)?);
    }
    Some(if negative { -exponent } else { exponent })
}

fn parse_any(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.eq_ignore_ascii_case("nan") {
        // Go knows no sign here.
        return (unsigned.len() == text.len()).then_some(NORMAL_NAN);
    }
    let value: f64 = text.parse().ok()?;
    let named = unsigned.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    (value.is_finite() || named).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accepts_what_go_accepts() {
        for (text, want) in [
            ("0", 0.0),
            ("-0", -0.0),
            ("+1", 1.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("-.5e1", -5.0),
            ("1e5", 1e5),
            ("1E+05", 1e5),
            ("1e-400", 0.0),
            ("9007199254740993", 9_007_199_254_740_992.0),
            ("123456789012345678901234567890", 1.234_567_890_123_456_8e29),
            ("0.000000000000000000000000000001", 1e-30),
            ("1.7976931348623157e+308", f64::MAX),
            ("5e-324", 5e-324),
            ("00012", 12.0),
            ("inf", f64::INFINITY),
            ("+Inf", f64::INFINITY),
            ("-INF", f64::NEG_INFINITY),
            ("infinity", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(parse_float(text).map(f64::to_bits), Some(want.to_bits()), "{text}");
        }
    }

    #[test]
    fn every_nan_has_the_same_bits() {
        for text in ["NaN", "nan", "NAN"] {
            assert_eq!(parse_float(text).map(f64::to_bits), Some(0x7ff8_0000_0000_0001), "{text}");
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for text in [
            "", ".", "-", "+", "e5", "1e", "1e+", "1..2", "1.2.3", "1e5e5", "1 ", " 1", "--1", "+-1", "1_000", "0x10",
            "0x1p4", "1e400", "-1e400", "+NaN", "-NaN", "nanx", "infinit", "true", "1f", "½", "1,5",
        ] {
            assert_eq!(parse_float(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_standard_library(text in "[+-]?[0-9]{1,20}(\\.[0-9]{0,12})?([eE][+-]?[0-9]{1,3})?") {
            let want: f64 = text.parse().unwrap();
            let got = parse_float(&text);
            prop_assert_eq!(got.map(f64::to_bits), want.is_finite().then(|| want.to_bits()), "{}", text);
        }

        #[test]
        fn never_panics(text: String) {
            let _ = parse_float(&text);
        }
    }
}
