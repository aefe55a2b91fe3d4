//! The functions that templates may call, in one table.

use super::{TemplateError, Value, number};

/// One function.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    /// Fewest and most arguments.
    pub(super) arity: (usize, usize),
    run: fn(&[Value]) -> Result<Value, String>,
}

impl Function {
    pub(super) fn call(&self, args: &[Value]) -> Result<Value, TemplateError> {
        (self.run)(args).map_err(|problem| TemplateError::Call { function: self.name, problem })
    }
}

/// Every function.
pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "humanize", arity: (1, 1), run: |args| number_in(args).map(humanize) },
    Function { name: "humanize1024", arity: (1, 1), run: |args| number_in(args).map(humanize1024) },
    Function { name: "humanizeDuration", arity: (1, 1), run: |args| number_in(args).map(humanize_duration) },
    Function {
        name: "humanizePercentage",
        arity: (1, 1),
        run: |args| Ok(text(format!("{}%", number::general(number_in(args)? * 100.0, Some(4))))),
    },
    Function { name: "print", arity: (0, usize::MAX), run: |args| Ok(text(args.iter().map(Value::show).collect())) },
    Function { name: "printf", arity: (1, usize::MAX), run: printf },
    Function { name: "title", arity: (1, 1), run: |args| Ok(text(title(&text_in(args)))) },
    Function { name: "toUpper", arity: (1, 1), run: |args| Ok(text(text_in(args).to_uppercase())) },
    Function { name: "toLower", arity: (1, 1), run: |args| Ok(text(text_in(args).to_lowercase())) },
    Function { name: "stripPort", arity: (1, 1), run: |args| Ok(text(strip_port(&text_in(args)))) },
];

/// What Prometheus has and we refuse, to say so in place of "not defined".
pub(super) const UNSUPPORTED: &[&str] = &[
    "if",
    "else",
    "end",
    "range",
    "with",
    "define",
    "template",
    "block",
    "break",
    "continue",
    "and",
    "or",
    "not",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "len",
    "index",
    "slice",
    "call",
    "html",
    "js",
    "urlquery",
    "println",
    "query",
    "first",
    "label",
    "value",
    "strvalue",
    "args",
    "tmpl",
    "safeHtml",
    "sortByLabel",
    "graphLink",
    "tableLink",
    "pathPrefix",
    "externalURL",
    "humanizeTimestamp",
    "toTime",
    "parseDuration",
    "match",
    "reReplaceAll",
    "stripDomain",
    "toDuration",
    "now",
    "urlQueryEscape",
];

fn text(text: String) -> Value {
    Value::Text(text)
}

fn text_in(args: &[Value]) -> String {
    args.first().map_or_else(String::new, Value::show)
}

fn number_in(args: &[Value]) -> Result<f64, String> {
    match args.first() {
        Some(Value::Float(value)) => Ok(*value),
        Some(Value::Int(value)) => Ok(*value as f64),
        Some(Value::Text(text)) => text.parse().map_err(|_| format!("{text:?} is not a number")),
        None => Err("no argument".to_owned()),
    }
}

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const LARGE_BINARY: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

/// Divides by `base` until the value is below it; gives the value and its prefix.
fn shrink(mut value: f64, base: f64, prefixes: [&'static str; 8]) -> (f64, &'static str) {
    let mut prefix = "";
    for next in prefixes {
        if value.abs() < base {
            break;
        }
        prefix = next;
        value /= base;
    }
    (value, prefix)
}

/// Multiplies by a thousand until the value is at least 1; gives the value and its prefix.
fn grow(mut value: f64) -> (f64, &'static str) {
    let mut prefix = "";
    for next in SMALL {
        if value.abs() >= 1.0 {
            break;
        }
        prefix = next;
        value *= 1000.0;
    }
    (value, prefix)
}

fn humanize(value: f64) -> Value {
    let (value, prefix) = match value {
        plain if plain == 0.0 || !plain.is_finite() => (plain, ""),
        large if large.abs() >= 1.0 => shrink(large, 1000.0, LARGE),
        small => grow(small),
    };
    text(number::general(value, Some(4)) + prefix)
}

fn humanize1024(value: f64) -> Value {
    let (value, prefix) = match value.is_finite() && value.abs() > 1.0 {
        true => shrink(value, 1024.0, LARGE_BINARY),
        false => (value, ""),
    };
    text(number::general(value, Some(4)) + prefix)
}

/// Seconds as days, hours, minutes and seconds.
fn humanize_duration(value: f64) -> Value {
    if !value.is_finite() {
        return text(number::general(value, Some(4)));
    }
    if value != 0.0 && value.abs() < 1.0 {
        let (value, prefix) = grow(value);
        return text(format!("{}{prefix}s", number::general(value, Some(4))));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let whole = value.abs() as u64;
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60);
    text(match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{}s", number::general(value.abs(), Some(4))),
        (0, 0, _) => format!("{sign}{minutes}m {seconds}s"),
        (0, ..) => format!("{sign}{hours}h {minutes}m {seconds}s"),
        _ => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
    })
}

fn title(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    let mut at_start = true;
    for c in words.chars() {
        match at_start {
            true => out.extend(c.to_uppercase()),
            false => out.push(c),
        }
        at_start = !(c.is_alphanumeric() || c == '_' || c == '\'');
    }
    out
}

/// `host:port` and `[v6]:port` without the port; anything else unchanged.
fn strip_port(address: &str) -> String {
    match address.rsplit_once(':') {
        Some((host, _)) if host.starts_with('[') && host.ends_with(']') => host.trim_matches(['[', ']']).to_owned(),
        Some((host, _)) if !host.contains(':') => host.to_owned(),
        _ => address.to_owned(),
    }
}

/// Go's `Sprintf` for the verbs `s v q d f g e x %`, with `-`, `+`, `0`, width and precision.
fn printf(args: &[Value]) -> Result<Value, String> {
    let (format, mut rest) = match args {
        [Value::Text(format), rest @ ..] => (format, rest),
        _ => return Err("the first argument must be a format string".to_owned()),
    };
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut spec = String::new();
        while let Some(c) = chars.next_if(|c| "+-0123456789. #".contains(*c)) {
            spec.push(c);
        }
        match chars.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match rest.split_first() {
                None => out.push_str(&format!("%!{verb}(MISSING)")),
                Some((arg, others)) => {
                    out.push_str(&Spec::parse(&spec).pad(&shown(arg, verb, &spec)));
                    rest = others;
                }
            },
        }
    }
    Ok(text(out))
}

/// Flags, width and precision of one verb.
struct Spec {
    left: bool,
    zeros: bool,
    plus: bool,
    width: usize,
    precision: Option<usize>,
}

/// No format may ask for more columns or digits than this.
const MAX_WIDTH: usize = 1000;

impl Spec {
    fn parse(spec: &str) -> Self {
        let flags = spec.find(|c: char| !"+-0 #".contains(c)).unwrap_or(spec.len());
        let (flags, size) = spec.split_at(flags);
        let (width, precision) = match size.split_once('.') {
            Some((width, precision)) => (width, Some(precision.parse().unwrap_or(0).min(MAX_WIDTH))),
            None => (size, None),
        };
        Self {
            left: flags.contains('-'),
            zeros: flags.contains('0'),
            plus: flags.contains('+'),
            width: width.parse().unwrap_or(0).min(MAX_WIDTH),
            precision,
        }
    }

    fn pad(&self, shown: &str) -> String {
        let width = self.width;
        let (sign, digits) = match shown.strip_prefix(['-', '+']) {
            Some(digits) => shown.split_at(shown.len() - digits.len()),
            None => ("", shown),
        };
        let number = digits.starts_with(|c: char| c.is_ascii_digit());
        match (self.left, self.zeros && number) {
            (true, _) => format!("{shown:<width$}"),
            (false, true) => format!("{sign}{digits:0>width$}", width = width.saturating_sub(sign.len())),
            (false, false) => format!("{shown:>width$}"),
        }
    }
}

fn shown(arg: &Value, verb: char, spec: &str) -> String {
    let spec = Spec::parse(spec);
    let signed = |text: String| match spec.plus && !text.starts_with(['-', '+']) {
        true => format!("+{text}"),
        false => text,
    };
    match (arg, verb) {
        (Value::Float(value), 'f' | 'F') => signed(number::fixed(*value, spec.precision)),
        (Value::Float(value), 'g' | 'v') => signed(number::general(*value, spec.precision)),
        (Value::Float(value), 'e') => signed(number::scientific(*value, spec.precision)),
        (Value::Int(value), 'd' | 'v') => signed(value.to_string()),
        (Value::Int(value), 'x') => format!("{value:x}"),
        (Value::Text(text), 's' | 'v') => match spec.precision {
            Some(most) => text.chars().take(most).collect(),
            None => text.clone(),
        },
        (Value::Text(text), 'q') => format!("{text:?}"),
        (Value::Float(_), _) => format!("%!{verb}(float64={})", arg.show()),
        (Value::Int(_), _) => format!("%!{verb}(int={})", arg.show()),
        (Value::Text(_), _) => format!("%!{verb}(string={})", arg.show()),
    }
}
