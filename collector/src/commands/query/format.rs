//! Answers in the form in which promtool prints them.

use serde_json::Value;

/// The `data` of `query` and `query_range`.
pub(super) fn result(data: &Value) -> String {
    let result = data.get("result").unwrap_or(&Value::Null);
    let rows = result.as_array().map(Vec::as_slice).unwrap_or_default().iter();
    match data.get("resultType").and_then(Value::as_str) {
        Some("vector") => {
            lines(rows.map(|row| format!("{} => {}", metric(row.get("metric")), point(row.get("value")))))
        }
        Some("matrix") => lines(rows.map(|row| {
            let points = row.get("values").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let points = points.iter().map(|value| point(Some(value)));
            let head = format!("{} =>", metric(row.get("metric")));
            std::iter::once(head).chain(points).collect::<Vec<_>>().join("\n")
        })),
        Some("scalar") => format!("scalar: {}\n", point(Some(result))),
        Some("string") => format!("{}\n", text(result.get(1))),
        _ => format!("{result}\n"),
    }
}

/// An empty result is an empty line.
fn lines(rows: impl Iterator<Item = String>) -> String {
    rows.collect::<Vec<_>>().join("\n") + "\n"
}

/// The `data` of `series`: one label set a line.
pub(super) fn series(data: &Value) -> String {
    let rows = data.as_array().map(Vec::as_slice).unwrap_or_default();
    rows.iter().map(|row| format!("{{{}}}\n", pairs(row, |_| true))).collect()
}

/// The `data` of `label/…/values`: one value a line.
pub(super) fn label_values(data: &Value) -> String {
    let rows = data.as_array().map(Vec::as_slice).unwrap_or_default();
    rows.iter().map(|row| format!("{}\n", text(Some(row)))).collect()
}

/// `name{label="value", …}`
fn metric(labels: Option<&Value>) -> String {
    let labels = labels.unwrap_or(&Value::Null);
    let name = text(labels.get("__name__"));
    let pairs = pairs(labels, |label| label != "__name__");
    match (name.is_empty(), pairs.is_empty()) {
        (false, true) => name,
        _ => format!("{name}{{{pairs}}}"),
    }
}

fn pairs(labels: &Value, keep: impl Fn(&str) -> bool) -> String {
    let Some(labels) = labels.as_object() else { return String::new() };
    let mut pairs: Vec<String> = labels
        .iter()
        .filter(|(name, _)| keep(name))
        .map(|(name, value)| format!("{name}={:?}", text(Some(value))))
        .collect();
    pairs.sort();
    pairs.join(", ")
}

/// `1 @[1435781451.781]`
fn point(value: Option<&Value>) -> String {
    let value = value.unwrap_or(&Value::Null);
    let at = value.get(0).map(ToString::to_string).unwrap_or_default();
    let at = at.strip_suffix(".0").unwrap_or(&at);
    format!("{} @[{at}]", without_exponent(text(value.get(1))))
}

/// A value in plain notation, however many digits that takes.
fn without_exponent(value: String) -> String {
    match value.parse::<f64>() {
        Ok(number) if number.is_finite() => number.to_string(),
        _ => value,
    }
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or("").to_owned()
}
