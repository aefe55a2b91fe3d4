//! The page for people: the newest records as a table. No script, so that it needs nothing but a browser.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// The page's style sheet.
pub const STYLE: &str = include_str!("../page/style.css");
const PAGE: &str = include_str!("../page/registry.html");
const ROWS: &str = "<!-- rows -->";
/// As much of a container's id as Docker shows.
const SHORT_ID: usize = 12;

/// The page over records with their numbers.
pub fn table(records: &[(i64, String)]) -> String {
    let mut rows = String::new();
    for (number, text) in records {
        row(&mut rows, *number, text);
    }
    if records.is_empty() {
        rows.push_str("<tr><td colspan=\"8\">Nothing yet.</td></tr>");
    }
    PAGE.replace(ROWS, &rows)
}

fn row(rows: &mut String, number: i64, text: &str) {
    let fields: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    let field = |name: &str| match fields.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => escaped(text),
        Some(other) => escaped(&other.to_string()),
    };
    let figure = |name: &str| match fields.get(name).and_then(Value::as_f64) {
        Some(figure) => format!("{figure:.4}"),
        None => field(name),
    };
    let id: String = fields.get("id").and_then(Value::as_str).unwrap_or_default().chars().take(SHORT_ID).collect();
    // Writing to a string cannot fail.
    let _ = writeln!(
        rows,
        "<tr><td class=\"number\">{number}</td><td><code>{}</code></td><td>{}</td><td>{}</td><td>{}</td>\
         <td class=\"number\">{}</td><td class=\"number\">{}</td>\
         <td><details><summary>JSON</summary><pre>{}</pre></details></td></tr>",
        escaped(&id),
        field("name"),
        field("image"),
        field("timestamp"),
        figure("memory_usage"),
        figure("cpu_usage"),
        escaped(text),
    );
}

/// As text of HTML or of a quoted attribute.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_containers_say_stays_text() {
        let text = r#"{"id":"<b>0123456789abcdef","name":"\"&'","memory_usage":1.5,"cpu_usage":"n/a"}"#;
        let page = table(&[(7, text.to_owned())]);
        let row = page.lines().find(|line| line.contains(">7<")).unwrap();
        for part in [
            "<td><code>&lt;b&gt;012345678</code></td>",
            "<td>&quot;&amp;&#39;</td>",
            "<td class=\"number\">1.5000</td><td class=\"number\">n/a</td>",
            "<pre>{&quot;id&quot;:&quot;&lt;b&gt;0123456789abcdef&quot;",
        ] {
            assert!(row.contains(part), "{part} in {row}");
        }
        assert!(!row.contains("<b>"), "{row}");
    }

    #[test]
    fn an_empty_registry_says_so() {
        assert!(table(&[]).contains("Nothing yet."));
    }
}
