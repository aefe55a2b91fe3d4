//! Numbers as Go's `strconv.FormatFloat(v, 'g', -1, 64)` prints them, which is what every Prometheus client writes:
//! the shortest digits that read back as the same number, an exponent from 1e+06 upward and below 1e-04.

/// Integers below this have no exponent.
const EXPONENT_FROM: f64 = 1e6;
/// Below this every integer is exact, so its own digits are the shortest.
pub(crate) const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;

/// Appends a number.
pub(crate) fn push_number(out: &mut String, value: f64) {
    if value.fract() == 0.0 && value.abs() < EXACT_BELOW {
        push_integer(out, value);
    } else if value.is_finite() {
        let mut buffer = ryu::Buffer::new();
        push_shortest(out, buffer.format_finite(value));
    } else {
        out.push_str(if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        });
    }
}

/// Appends a number so that it always reads as a float (`1.0`, never `1`): OpenMetrics wants that for `le` and
/// `quantile`.
pub(crate) fn push_float_label(out: &mut String, text: &str) {
    out.push_str(text);
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        out.push_str(".0");
    }
}

/// A number as it stands in the labels `le` and `quantile`: always a float (`1.0`, never `1`), and zero without sign.
pub fn float_label(value: f64) -> String {
    let mut out = String::new();
    push_number(&mut out, if value == 0.0 { 0.0 } else { value });
    if value.is_finite() && !out.contains(['.', 'e']) {
        out.push_str(".0");
    }
    out
}

fn push_integer(out: &mut String, value: f64) {
    if value == 0.0 && value.is_sign_negative() {
        out.push_str("-0");
        return;
    }
    let mut buffer = itoa::Buffer::new();
    #[expect(clippy::cast_possible_truncation, reason = "the caller checked that it is an integer below 2^53")]
    let digits = buffer.format(value as i64);
    if value.abs() < EXPONENT_FROM {
        out.push_str(digits);
        return;
    }
    let digits = match digits.strip_prefix('-') {
        Some(rest) => {
            out.push('-');
            rest
        }
        None => digits,
    };
    push_exponent_form(out, digits.trim_end_matches('0'), digits.len() as i32 - 1);
}

/// Takes ryu's text (`123.45`, `1e16`, `1.5e-7`, `0.0001`) apart and writes it Go's way.
fn push_shortest(out: &mut String, text: &str) {
    let text = match text.strip_prefix('-') {
        Some(rest) => {
            out.push('-');
            rest
        }
        None => text,
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // All digits in a row, with the decimal point after `whole.len() + exponent` of them.
    let mut digits = [0u8; 32];
    let mut length = 0;
    for (slot, digit) in digits.iter_mut().zip(whole.bytes().chain(fraction.bytes())) {
        *slot = digit;
        length += 1;
    }
    let all = digits.get(..length).and_then(|d| std::str::from_utf8(d).ok()).unwrap_or("0");
    let significant = all.trim_start_matches('0');
    let leading_zeros = (all.len() - significant.len()) as i32;
    let point = whole.len() as i32 + exponent - leading_zeros;
    let significant = significant.trim_end_matches('0');
    let decimal_exponent = point - 1;
    if !(-4..6).contains(&decimal_exponent) {
        push_exponent_form(out, significant, decimal_exponent);
    } else if point <= 0 {
        out.push_str("0.");
        (point..0).for_each(|_| out.push('0'));
        out.push_str(significant);
    } else {
        let (whole, fraction) = significant.split_at_checked(point as usize).unwrap_or((significant, ""));
        out.push_str(whole);
        (whole.len()..point as usize).for_each(|_| out.push('0'));
        if !fraction.is_empty() {
            out.push('.');
            out.push_str(fraction);
        }
    }
}

fn push_exponent_form(out: &mut String, digits: &str, exponent: i32) {
    let (first, rest) = digits.split_at_checked(1).unwrap_or((digits, ""));
    out.push_str(first);
    if !rest.is_empty() {
        out.push('.');
        out.push_str(rest);
    }
    out.push_str(if exponent < 0 { "e-" } else { "e+" });
    if exponent.abs() < 10 {
        out.push('0');
    }
    out.push_str(itoa::Buffer::new().format(exponent.abs()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(value: f64, want: &str) {
        let mut out = String::new();
        push_number(&mut out, value);
        assert_eq!(out, want, "{value:e}");
    }

    #[test]
    fn prints_as_go_does() {
        check(0.0, "0");
        check(-0.0, "-0");
        check(1.0, "1");
        check(-1.0, "-1");
        check(999_999.0, "999999");
        check(1e6, "1e+06");
        check(-1e6, "-1e+06");
        check(1_234_567.0, "1.234567e+06");
        check(999_999.5, "999999.5");
        check(1_000_000.5, "1.0000005e+06");
        check(123_456.789, "123456.789");
        check(0.1, "0.1");
        check(0.5, "0.5");
        check(0.0001, "0.0001");
        check(0.000_123_4, "0.0001234");
        check(0.00001, "1e-05");
        check(-0.000_012_5, "-1.25e-05");
        check(1e21, "1e+21");
        check(1e100, "1e+100");
        check(1.5e-300, "1.5e-300");
        check(5e-324, "5e-324");
        check(f64::MAX, "1.7976931348623157e+308");
        check(1_700_000_000.123, "1.700000000123e+09");
        check(9_007_199_254_740_991.0, "9.007199254740991e+15");
        check(9_007_199_254_740_992.0, "9.007199254740992e+15");
        check(1.844_674_407_370_955_2e19, "1.8446744073709552e+19");
        check(10.25, "10.25");
        check(100.0, "100");
        check(f64::NAN, "NaN");
        check(f64::INFINITY, "+Inf");
        check(f64::NEG_INFINITY, "-Inf");
    }

    proptest! {
        #[test]
        fn reads_back_as_the_same_number(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let mut out = String::new();
            push_number(&mut out, value);
            prop_assert_eq!(out.parse::<f64>().unwrap().to_bits(), bits, "{}", out);
        }

        #[test]
        fn integers_take_the_same_form_as_floats(value in -(1i64 << 53)..(1i64 << 53)) {
            let mut fast = String::new();
            push_number(&mut fast, value as f64);
            let mut slow = String::new();
            push_shortest(&mut slow, ryu::Buffer::new().format_finite(value as f64));
            prop_assume!(value != 0);
            prop_assert_eq!(fast, slow);
        }
    }
}
