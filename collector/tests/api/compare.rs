//! Compares answers: what Prometheus says, the collector says as well.

use provisioning_parts::Answer;
use serde_json::{Map, Value};

use crate::http::{get, post_form};
use crate::pair::Pair;

/// Gathers every difference, so that one run shows all of them.
pub struct Comparison<'a> {
    pair: &'a Pair,
    differences: Vec<String>,
    asked: usize,
}

/// How two bodies are compared.
#[derive(Clone, Copy, Default)]
pub struct Rules<'a> {
    /// Fields whose values differ from process to process; only their JSON types are compared.
    pub masked: &'a [&'a str],
    /// Fields that only the collector has.
    pub ours_alone: &'a [&'a str],
    /// Fields that only Prometheus has, and that are not missed.
    pub theirs_alone: &'a [&'a str],
    /// Whether the order of `data.result` (or of `data`) says nothing.
    pub unordered: bool,
    /// Whether to look past rule groups of which the request's filter leaves nothing: Prometheus 2.42 names them.
    pub without_empty_groups: bool,
}

impl<'a> Comparison<'a> {
    /// Nothing compared yet.
    pub fn new(pair: &'a Pair) -> Self {
        Self { pair, differences: Vec::new(), asked: 0 }
    }

    /// Every difference found, and how many requests were made of each.
    pub fn finish(self) {
        assert!(self.asked > 0);
        assert!(
            self.differences.is_empty(),
            "{} of {} answers differ:\n{}",
            self.differences.len(),
            self.asked,
            self.differences.join("\n")
        );
    }

    /// The same `GET` to both. Quotes are encoded on the way: bare, RFC 3986 does not allow them, and the collector
    /// refuses them where Go lets them pass.
    pub fn get(&mut self, path: &str, rules: Rules<'_>) {
        let path = path.replace('"', "%22");
        let (theirs, ours) = (get(&self.pair.prometheus, &path), get(&self.pair.collector.address, &path));
        self.compare(&path, &theirs, &ours, rules);
    }

    /// The same form to both.
    pub fn post(&mut self, path: &str, form: &str, rules: Rules<'_>) {
        let (theirs, ours) =
            (post_form(&self.pair.prometheus, path, form), post_form(&self.pair.collector.address, path, form));
        self.compare(&format!("POST {path} {form}"), &theirs, &ours, rules);
    }

    fn compare(&mut self, what: &str, theirs: &Answer, ours: &Answer, rules: Rules<'_>) {
        self.asked += 1;
        let mut found = Vec::new();
        if ours.status != theirs.status {
            found.push(format!("status {} instead of {}", ours.status, theirs.status));
        }
        let (got, wanted) = (ours.header("content-type"), theirs.header("content-type"));
        if got != wanted {
            found.push(format!("type {got:?} instead of {wanted:?}"));
        }
        let (mut wanted, mut got) = (theirs.json(), ours.json());
        if wanted["status"] == "error" {
            // Texts are each program's own; there must be one.
            for body in [&mut wanted, &mut got] {
                let said = body["error"].as_str().is_some_and(|text| !text.is_empty());
                body["error"] = Value::Bool(said);
            }
        }
        // Infos came with Prometheus 3.
        if let Some(fields) = got.as_object_mut() {
            fields.remove("infos");
        }
        if rules.unordered {
            sort(&mut wanted["data"]);
            sort(&mut got["data"]);
        }
        if rules.without_empty_groups
            && let Some(groups) = wanted["data"]["groups"].as_array_mut()
        {
            groups.retain(|group| group["rules"].as_array().is_some_and(|rules| !rules.is_empty()));
        }
        walk("", &wanted, &got, rules, &mut found);
        if !found.is_empty() {
            found.truncate(8);
            self.differences.push(format!("{what}\n    {}", found.join("\n    ")));
        }
    }
}

fn sort(data: &mut Value) {
    let list = if data.is_array() { data.as_array_mut() } else { data["result"].as_array_mut() };
    if let Some(list) = list {
        list.sort_by_key(Value::to_string);
    }
}

fn walk(path: &str, wanted: &Value, got: &Value, rules: Rules<'_>, found: &mut Vec<String>) {
    match (wanted, got) {
        (Value::Object(wanted), Value::Object(got)) => fields(path, wanted, got, rules, found),
        (Value::Array(theirs), Value::Array(ours)) if theirs.len() == ours.len() => {
            for (i, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
                walk(&format!("{path}[{i}]"), theirs, ours, rules, found);
            }
        }
        _ if wanted == got || same_number(wanted, got) => {}
        _ => found.push(format!("{path}: {got} instead of {wanted}")),
    }
}

/// Whether both are the same number: as JSON (`1` and `1.0`) exactly, as sample values (strings) to the twelfth digit,
/// since the order of floating point operations changed between versions of Prometheus.
fn same_number(wanted: &Value, got: &Value) -> bool {
    match (wanted, got) {
        (Value::Number(wanted), Value::Number(got)) => wanted.as_f64() == got.as_f64(),
        (Value::String(wanted), Value::String(got)) => match (wanted.parse::<f64>(), got.parse::<f64>()) {
            (Ok(a), Ok(b)) => (wanted.contains('e') == got.contains('e')) && (a - b).abs() <= 1e-12 * a.abs(),
            _ => false,
        },
        _ => false,
    }
}

fn fields(
    path: &str,
    theirs: &Map<String, Value>,
    ours: &Map<String, Value>,
    rules: Rules<'_>,
    found: &mut Vec<String>,
) {
    for (name, wanted) in theirs {
        let path = format!("{path}.{name}");
        match ours.get(name) {
            None if rules.theirs_alone.contains(&name.as_str()) => {}
            None => found.push(format!("{path}: missing, Prometheus has {wanted}")),
            Some(got) if rules.masked.contains(&name.as_str()) => {
                if std::mem::discriminant(wanted) != std::mem::discriminant(got) {
                    found.push(format!("{path}: {got} is of another type than {wanted}"));
                }
            }
            Some(got) => walk(&path, wanted, got, rules, found),
        }
    }
    for (name, got) in ours {
        if !theirs.contains_key(name) && !rules.ours_alone.contains(&name.as_str()) {
            found.push(format!("{path}.{name}: Prometheus does not have it, the collector has {got}"));
        }
    }
}
