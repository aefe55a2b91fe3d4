//! The part of Go's template language that alert labels and annotations use in practice: text with
//! `{{ pipeline }}` actions over the alert's labels and value.
//!
//! Not here: control structures (`if`, `range`, `with`), variables of one's own, and `query`. A template that
//! uses them is refused when the rule file is read.

mod functions;
mod number;
mod parse;

use collector_model::Labels;

use functions::Function;

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

/// What a template may speak of.
#[derive(Clone, Copy, Debug)]
pub struct TemplateData<'a> {
    /// `$labels`: of the sample that made the alert active, its name among them.
    pub labels: &'a Labels,
    /// `$value`: of that sample.
    pub value: f64,
    /// `$externalLabels`
    pub external_labels: &'a Labels,
    /// `$externalURL`
    pub external_url: &'a str,
}

/// A template cannot be parsed or expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The text between `{{` and `}}` is not understood.
    #[error("template action {action:?}: {problem}")]
    Syntax {
        /// The action, as written.
        action: String,
        /// Why not.
        problem: String,
    },
    /// A function was given what it cannot work on.
    #[error("template function {function}: {problem}")]
    Call {
        /// The function.
        function: &'static str,
        /// Why not.
        problem: String,
    },
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Action(Expr),
}

#[derive(Clone, Debug)]
enum Expr {
    Literal(Value),
    Number,
    Label(Scope, String),
    AllLabels(Scope),
    ExternalUrl,
    Call(&'static Function, Vec<Expr>),
}

#[derive(Clone, Copy, Debug)]
enum Scope {
    Sample,
    External,
}

/// What an expression of a template gives.
#[derive(Clone, Debug)]
enum Value {
    Text(String),
    Float(f64),
    Int(i64),
}

impl Value {
    /// As Go's `print` shows it.
    fn show(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Float(value) => number::general(*value, None),
            Self::Int(value) => value.to_string(),
        }
    }
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// When an action is not closed, or uses what is not understood.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        Ok(Self { source: source.to_owned(), parts: parse::parts(source)? })
    }

    /// A text that stands for itself.
    pub fn literal(text: &str) -> Self {
        Self { source: text.to_owned(), parts: vec![Part::Text(text.to_owned())] }
    }

    /// The text as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text with every action replaced by its value.
    ///
    /// # Errors
    /// When a function was given what it cannot work on.
    pub fn expand(&self, data: &TemplateData<'_>) -> Result<String, TemplateError> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Action(expr) => out.push_str(&evaluate(expr, data)?.show()),
            }
        }
        Ok(out)
    }
}

fn evaluate(expr: &Expr, data: &TemplateData<'_>) -> Result<Value, TemplateError> {
    let labels = |scope: &Scope| match scope {
        Scope::Sample => data.labels,
        Scope::External => data.external_labels,
    };
    Ok(match expr {
        Expr::Literal(value) => value.clone(),
        Expr::Number => Value::Float(data.value),
        Expr::Label(scope, name) => Value::Text(labels(scope).get(name).unwrap_or("").to_owned()),
        Expr::AllLabels(scope) => {
            let pairs: Vec<String> = labels(scope).iter().map(|(name, value)| format!("{name}:{value}")).collect();
            Value::Text(format!("map[{}]", pairs.join(" ")))
        }
        Expr::ExternalUrl => Value::Text(data.external_url.to_owned()),
        Expr::Call(function, args) => {
            let args = args.iter().map(|arg| evaluate(arg, data)).collect::<Result<Vec<_>, _>>()?;
            function.call(&args)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: f64, source: &str, want: &str) {
        let labels = Labels::from_pairs([("instance", "a:9100"), ("name", "web"), ("bytes", "2048")]);
        let external = Labels::from_pairs([("monitor", "m1")]);
        let data =
            TemplateData { labels: &labels, value, external_labels: &external, external_url: "http://here:9090/" };
        assert_eq!(Template::parse(source).unwrap().expand(&data).unwrap(), want, "{source}");
    }

    #[track_caller]
    fn refuse(source: &str, want: &str) {
        let error = Template::parse(source).expect_err(source).to_string();
        assert!(error.contains(want), "{source}: {error}");
    }

    #[test]
    fn expands_labels_and_values() {
        check(1.0, "no action", "no action");
        check(1.5, "{{ $labels.instance }} is at {{ $value }}", "a:9100 is at 1.5");
        check(1.5, "{{$labels.missing}}|{{.Labels.name}}|{{.Value}}", "|web|1.5");
        check(1.0, "{{ $externalLabels.monitor }} {{ $externalURL }}", "m1 http://here:9090/");
        check(1.0, "a {{- \" b \" -}} c", "a b c");
        check(1.0, "{{/* a comment */}}x", "x");
        check(1.0, "{{ $labels }}", "map[bytes:2048 instance:a:9100 name:web]");
        check(123_456_789.0, "{{ $value }}", "1.23456789e+08");
        check(f64::NAN, "{{ $value }}", "NaN");
        check(f64::NEG_INFINITY, "{{ $value }}", "-Inf");
    }

    #[test]
    fn calls_functions_and_pipes() {
        check(1_234_567.0, "{{ $value | humanize }}", "1.235M");
        check(1_234_567.0, "{{ humanize $value }}", "1.235M");
        check(0.001_234, "{{ humanize $value }}", "1.234m");
        check(0.0, "{{ humanize $value }}", "0");
        check(1_048_576.0, "{{ humanize1024 $value }}B", "1MiB");
        check(1.0, "{{ $labels.bytes | humanize1024 }}", "2ki");
        check(0.123_456, "{{ $value | humanizePercentage }}", "12.35%");
        check(90_061.0, "{{ $value | humanizeDuration }}", "1d 1h 1m 1s");
        check(-3_661.0, "{{ $value | humanizeDuration }}", "-1h 1m 1s");
        check(59.55, "{{ $value | humanizeDuration }}", "59.55s");
        check(0.000_1, "{{ $value | humanizeDuration }}", "100us");
        check(2.345, r#"{{ printf "%.2f" $value }}"#, "2.35");
        check(2.345, r#"{{ $value | printf "%8.1f|" }}"#, "     2.3|");
        check(
            2.345,
            r#"{{ printf "%s has %v (%.0f%%) %q" $labels.name $value $value "x" }}"#,
            "web has 2.345 (2%) \"x\"",
        );
        check(2.0, r#"{{ printf "%d" $value }}"#, "%!d(float64=2)");
        check(2.0, r#"{{ printf "%d" 7 }}"#, "7");
        check(2.0, "{{ toUpper (printf `%s!` $labels.name) }}", "WEB!");
        check(2.0, "{{ stripPort $labels.instance }}", "a");
        check(2.0, "{{ title \"two words\" }}", "Two Words");
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        refuse("{{ $labels.x", "unclosed action");
        refuse("{{ if $value }}x{{ end }}", "if is not supported");
        refuse("{{ query \"up\" }}", "query is not supported");
        refuse("{{ nope 1 }}", "function \"nope\" is not defined");
        refuse("{{ $x }}", "undefined variable \"$x\"");
        refuse("{{ $labels.instance | }}", "missing");
        refuse("{{ humanize }}", "wrong number of arguments for humanize");
        refuse("{{ }}", "missing");
        refuse("{{ \"open }}", "unclosed action");
        refuse("{{ ($value }}", "unclosed");
        refuse("{{ $value $value }}", "can't give argument");
    }

    #[test]
    fn a_failing_function_is_an_error() {
        let data = TemplateData {
            labels: &Labels::from_pairs([("x", "abc")]),
            value: 0.0,
            external_labels: &Labels::empty(),
            external_url: "",
        };
        let error = Template::parse("{{ $labels.x | humanize }}").unwrap().expand(&data).unwrap_err();
        assert_eq!(error.to_string(), "template function humanize: \"abc\" is not a number");
    }
}
