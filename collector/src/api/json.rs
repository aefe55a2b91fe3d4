//! Query results in the API's JSON, written straight into a string: a range query can hold a million points.

use std::fmt::Write;

use collector_model::{Labels, Sample, TimestampMs};
use collector_promql::Value;

/// A string in quotes, escaped as JSON wants it.
pub fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A label set as an object.
pub fn push_labels(out: &mut String, labels: &Labels) {
    out.push('{');
    for (i, (name, value)) in labels.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_string(out, name);
        out.push(':');
        push_string(out, value);
    }
    out.push('}');
}

/// A sample's value as Prometheus prints it: shortest form, with an exponent below 1e-6 and from 1e21 upward.
pub fn push_value(out: &mut String, value: f64) {
    if value.is_finite() && value != 0.0 && (value.abs() < 1e-6 || value.abs() >= 1e21) {
        push_exponent(out, value);
    } else {
        push_plain(out, value);
    }
}

/// A number without an exponent, however long: how the API prints scalars, unlike samples.
pub fn push_plain(out: &mut String, value: f64) {
    if !push_special(out, value) {
        let _ = write!(out, "{value}");
    }
}

/// A number with an exponent, always: how the API prints the values of alerts.
pub fn push_exponent(out: &mut String, value: f64) {
    if push_special(out, value) {
        return;
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |d| ('-', d));
    let _ = write!(out, "{mantissa}e{sign}{digits:0>2}");
}

fn push_special(out: &mut String, value: f64) -> bool {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
    !value.is_finite()
}

/// A time in seconds with up to three decimals.
pub fn push_time(out: &mut String, at_ms: TimestampMs) {
    if at_ms < 0 {
        out.push('-');
    }
    let (seconds, ms) = (at_ms.unsigned_abs() / 1000, at_ms.unsigned_abs() % 1000);
    let _ = write!(out, "{seconds}");
    if ms != 0 {
        let _ = write!(out, ".{ms:03}");
        while out.ends_with('0') {
            out.pop();
        }
    }
}

/// A point: `[time, "value"]`.
pub fn push_point(out: &mut String, sample: Sample) {
    out.push('[');
    push_time(out, sample.timestamp_ms);
    out.push_str(",\"");
    push_value(out, sample.value);
    out.push_str("\"]");
}

/// The `data` of a query: result type and result. `at_ms` is the evaluation time of instant values.
pub fn push_result(out: &mut String, value: &Value, at_ms: TimestampMs) {
    let kind = match value {
        Value::Scalar(_) => "scalar",
        Value::String(_) => "string",
        Value::Vector(_) => "vector",
        Value::Matrix(_) => "matrix",
    };
    let _ = write!(out, "{{\"resultType\":\"{kind}\",\"result\":");
    match value {
        Value::Scalar(number) => {
            out.push('[');
            push_time(out, at_ms);
            out.push_str(",\"");
            push_plain(out, *number);
            out.push_str("\"]");
        }
        Value::String(text) => {
            out.push('[');
            push_time(out, at_ms);
            out.push(',');
            push_string(out, text);
            out.push(']');
        }
        Value::Vector(samples) => push_list(out, samples, |out, sample| {
            out.push_str("{\"metric\":");
            push_labels(out, &sample.labels);
            out.push_str(",\"value\":");
            push_point(out, Sample { timestamp_ms: at_ms, value: sample.value });
            out.push('}');
        }),
        Value::Matrix(series) => push_list(out, series, |out, series| {
            out.push_str("{\"metric\":");
            push_labels(out, &series.labels);
            out.push_str(",\"values\":");
            push_list(out, &series.points, |out, point| push_point(out, *point));
            out.push('}');
        }),
    }
    out.push('}');
}

/// `[item,item,…]`
pub fn push_list<T>(out: &mut String, items: &[T], mut push: impl FnMut(&mut String, &T)) {
    out.push('[');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push(out, item);
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_value(value: f64, want: &str) {
        let mut out = String::new();
        push_value(&mut out, value);
        assert_eq!(out, want);
    }

    #[test]
    fn numbers_look_as_prometheus_prints_them() {
        check_value(0.0, "0");
        check_value(-0.0, "-0");
        check_value(1.5, "1.5");
        check_value(1e20, "100000000000000000000");
        check_value(1e21, "1e+21");
        check_value(1e-6, "0.000001");
        check_value(1.25e-7, "1.25e-07");
        check_value(1e-300, "1e-300");
        check_value(f64::NAN, "NaN");
        check_value(f64::NEG_INFINITY, "-Inf");
    }

    #[test]
    fn scalars_have_no_exponent_and_alerts_always_have_one() {
        for (value, plain, exponent) in [
            (1e21, "1000000000000000000000", "1e+21"),
            (3e-7, "0.0000003", "3e-07"),
            (42.5, "42.5", "4.25e+01"),
            (0.0, "0", "0e+00"),
            (-0.0, "-0", "-0e+00"),
            (f64::INFINITY, "+Inf", "+Inf"),
        ] {
            let (mut a, mut b) = (String::new(), String::new());
            push_plain(&mut a, value);
            push_exponent(&mut b, value);
            assert_eq!((a.as_str(), b.as_str()), (plain, exponent));
        }
    }

    #[test]
    fn times_have_up_to_three_decimals() {
        for (ms, want) in [(1_700_000_000_000, "1700000000"), (1_500, "1.5"), (1_001, "1.001"), (-500, "-0.5")] {
            let mut out = String::new();
            push_time(&mut out, ms);
            assert_eq!(out, want);
        }
    }

    #[test]
    fn strings_are_escaped() {
        let mut out = String::new();
        push_string(&mut out, "a\"b\\c\n\u{1}é");
        assert_eq!(out, "\"a\\\"b\\\\c\\n\\u0001é\"");
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), "a\"b\\c\n\u{1}é");
    }
}
