//! How a failed case reads, in promtool's words.

use std::fmt::Write;

use collector_model::Labels;

/// `{__name__="a", x="1"}`: the name among the labels.
pub(super) fn labels(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// Samples, or `nil` where there are none.
pub(super) fn samples(samples: &[(Labels, f64)]) -> String {
    if samples.is_empty() {
        return "nil".to_owned();
    }
    let shown: Vec<String> = samples.iter().map(|(l, value)| format!("{} {}", labels(l), number(*value))).collect();
    shown.join(", ")
}

/// With an exponent, always: `4.5E+00`.
fn number(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let text = format!("{value:E}");
    let (mantissa, exponent) = text.split_once('E').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}E{sign}{digits:0>2}")
}

/// Alerts, each by its labels and annotations, as a list over several lines.
pub(super) fn alerts(alerts: &[(Labels, Labels)]) -> String {
    if alerts.is_empty() {
        return "[]".to_owned();
    }
    let mut text = "[".to_owned();
    for (position, (of_alert, annotations)) in alerts.iter().enumerate() {
        let comma = if position == 0 { "" } else { "," };
        let _ = write!(text, "{comma}\n{INDENT}{position}:");
        let _ = write!(text, "\n{INDENT}  Labels:{}", labels(of_alert));
        let _ = write!(text, "\n{INDENT}  Annotations:{}", labels(annotations));
    }
    let _ = write!(text, "\n{INDENT}]");
    text
}

const INDENT: &str = "            ";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: f64, want: &str) {
        assert_eq!(number(value), want);
    }

    #[test]
    fn numbers_have_an_exponent() {
        check(4.0, "4E+00");
        check(-0.000_015, "-1.5E-05");
        check(1e300, "1E+300");
        check(0.0, "0E+00");
        check(f64::NAN, "NaN");
        check(f64::NEG_INFINITY, "-Inf");
    }

    #[test]
    fn an_empty_list_is_nil_or_brackets() {
        assert_eq!(samples(&[]), "nil");
        assert_eq!(alerts(&[]), "[]");
    }
}
