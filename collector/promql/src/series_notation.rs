//! The notation in which tests write series: `up{job="a"} 1 2 _ 1+1x5 stale`.

use collector_model::{Labels, LabelsBuilder, METRIC_NAME, STALE_NAN};

/// Values that one line may stand for, so that a repetition cannot fill the memory.
const MAX_VALUES: usize = 1_000_000;

/// A line does not follow the notation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the series {line:?}: {reason}")]
pub struct SeriesNotationError {
    /// The line.
    pub line: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Reads a series: its labels, and one value per interval, `None` where the line has `_`.
///
/// `a+bxn` stands for `a`, `a+b` … `a+n*b` (n + 1 values), `axn` for n + 1 times `a`, `_xn` for n gaps, and `stale`
/// for the marker that ends a series ([`STALE_NAN`]).
///
/// # Errors
/// When the line is malformed, holds a native histogram, or stands for more than a million values.
pub fn parse(line: &str) -> Result<(Labels, Vec<Option<f64>>), SeriesNotationError> {
    let error = |reason: String| SeriesNotationError { line: line.to_owned(), reason };
    let (labels, rest) = parse_metric(line).map_err(error)?;
    let values = parse_values(rest).map_err(|reason| SeriesNotationError { line: line.to_owned(), reason })?;
    Ok((labels, values))
}

/// Reads the labels alone, as in `up{job="a"}`, `{job="a"}` or `{"a.b", job="a"}`.
///
/// # Errors
/// When the text is malformed or goes on after the labels.
pub fn parse_labels(text: &str) -> Result<Labels, SeriesNotationError> {
    let error = |reason: String| SeriesNotationError { line: text.to_owned(), reason };
    let (labels, rest) = parse_metric(text).map_err(error)?;
    if rest.trim().is_empty() {
        Ok(labels)
    } else {
        Err(SeriesNotationError { line: text.to_owned(), reason: format!("unexpected {:?}", rest.trim()) })
    }
}

/// Reads the values alone.
pub(crate) fn parse_values(text: &str) -> Result<Vec<Option<f64>>, String> {
    let mut values = Vec::new();
    for item in text.split_ascii_whitespace() {
        push_item(item, &mut values)?;
    }
    Ok(values)
}

fn push_item(item: &str, values: &mut Vec<Option<f64>>) -> Result<(), String> {
    if item.starts_with("{{") {
        return Err("native histograms are not stored".to_owned());
    }
    if let Some(rest) = item.strip_prefix('_') {
        let times = match rest.strip_prefix('x') {
            Some(times) => count(times, values.len())?,
            None if rest.is_empty() => 1,
            None => return Err(format!("unexpected {item:?}")),
        };
        values.extend(std::iter::repeat_n(None, times));
        return Ok(());
    }
    if item == "stale" {
        values.push(Some(STALE_NAN));
        return Ok(());
    }
    let (steps, times) = match split_times(item) {
        Some((steps, times)) => (steps, count(times, values.len())? + 1),
        None => (item, 1),
    };
    let (first, step) = match (split_step(steps), times) {
        (Some((first, step)), 2..) => (number(first)?, number(step)?),
        _ => (number(steps)?, 0.0),
    };
    let mut value = first;
    for _ in 0..times {
        values.push(Some(value));
        value += step;
    }
    Ok(())
}

/// At the `x` of a repetition; hexadecimal numbers are not part of the notation, as they would be ambiguous.
fn split_times(item: &str) -> Option<(&str, &str)> {
    item.rsplit_once('x')
}

/// At the sign between a value and its step, which is not the one of an exponent.
fn split_step(steps: &str) -> Option<(&str, &str)> {
    let (at, _) = steps.char_indices().skip(1).find(|(at, c)| {
        let exponent = steps.get(..*at).is_some_and(|h| h.ends_with(['e', 'E']) && h.starts_with(|c: char| c != 'N'));
        matches!(c, '+' | '-') && !exponent
    })?;
    Some(steps.split_at(at))
}

fn count(text: &str, have: usize) -> Result<usize, String> {
    let times: usize = text.parse().map_err(|_| format!("not a repetition count: {text:?}"))?;
    if times.saturating_add(have) > MAX_VALUES { Err(format!("more than {MAX_VALUES} values")) } else { Ok(times) }
}

fn number(text: &str) -> Result<f64, String> {
    let unsigned = text.trim_start_matches(['+', '-']);
    let known_word = matches!(unsigned.to_ascii_lowercase().as_str(), "inf" | "nan");
    if !known_word && !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err(format!("not a number: {text:?}"));
    }
    text.parse().map_err(|_| format!("not a number: {text:?}"))
}

fn parse_metric(text: &str) -> Result<(Labels, &str), String> {
    let mut labels = LabelsBuilder::default();
    let text = text.trim_start();
    let end = text.find(|c: char| !is_name_char(c)).unwrap_or(text.len());
    let (name, mut rest) = text.split_at(end);
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("not a metric name: {name:?}"));
    }
    if !name.is_empty() {
        labels.set(METRIC_NAME, name);
    }
    // Two braces open a native histogram, which is a value.
    if let Some(inner) = rest.trim_start().strip_prefix('{').filter(|inner| !inner.starts_with('{')) {
        rest = parse_pairs(inner, &mut labels)?;
    } else if name.is_empty() {
        return Err("expected a metric name or a left brace".to_owned());
    }
    if rest.starts_with(|c: char| !c.is_ascii_whitespace()) {
        return Err(format!("unexpected {rest:?} after the labels"));
    }
    Ok((labels.build(), rest))
}

fn parse_pairs<'a>(mut rest: &'a str, labels: &mut LabelsBuilder) -> Result<&'a str, String> {
    loop {
        rest = rest.trim_start();
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok(rest);
        }
        let (name, tail, quoted) = match rest.chars().next() {
            Some('"' | '\'') => {
                let (name, tail) = unquote(rest)?;
                (name, tail, true)
            }
            _ => {
                let end = rest.find(|c: char| !is_name_char(c)).unwrap_or(rest.len());
                (rest.get(..end).unwrap_or("").to_owned(), rest.get(end..).unwrap_or(""), false)
            }
        };
        if name.is_empty() {
            return Err(format!("expected a label name at {rest:?}"));
        }
        let tail = tail.trim_start();
        rest = match tail.strip_prefix('=') {
            Some(value) => {
                let (value, after) = unquote(value.trim_start())?;
                labels.set(name, value);
                after
            }
            None if quoted => {
                labels.set(METRIC_NAME, name);
                tail
            }
            None => return Err(format!("expected = after the label name {name:?}")),
        }
        .trim_start();
        rest = match rest.strip_prefix(',') {
            Some(after) => after,
            None if rest.starts_with('}') => rest,
            None => return Err("expected , or } after a label".to_owned()),
        };
    }
}

/// Reads a quoted string, and gives what follows it.
fn unquote(text: &str) -> Result<(String, &str), String> {
    let mut chars = text.char_indices();
    let quote = match chars.next() {
        Some((_, quote @ ('"' | '\'' | '`'))) => quote,
        _ => return Err(format!("expected a quoted string at {text:?}")),
    };
    let mut value = String::new();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((value, text.get(at + c.len_utf8()..).unwrap_or(""))),
            '\\' if quote != '`' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, c @ ('\\' | '"' | '\''))) => value.push(c),
                Some((_, c)) => return Err(format!("unknown escape sequence \\{c}")),
                None => break,
            },
            c => value.push(c),
        }
    }
    Err("unterminated quoted string".to_owned())
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, labels: &str, values: &[Option<f64>]) {
        let (have_labels, have) = parse(line).unwrap();
        assert_eq!(have_labels.to_string(), labels, "{line}");
        let bits = |v: &[Option<f64>]| v.iter().map(|v| v.map(f64::to_bits)).collect::<Vec<_>>();
        assert_eq!(bits(&have), bits(values), "{line}: {have:?}");
    }

    #[track_caller]
    fn check_fails(line: &str, want: &str) {
        let error = parse(line).expect_err(line);
        assert!(error.reason.contains(want), "{error}");
    }

    #[test]
    fn reads_values() {
        check("m 1 2.5 -3 _ 4", "m", &[Some(1.0), Some(2.5), Some(-3.0), None, Some(4.0)]);
        check("m 1+1x3", "m", &[Some(1.0), Some(2.0), Some(3.0), Some(4.0)]);
        check("m 0x2 3", "m", &[Some(0.0), Some(0.0), Some(0.0), Some(3.0)]);
        check("m -2-3x2 10-5x1", "m", &[Some(-2.0), Some(-5.0), Some(-8.0), Some(10.0), Some(5.0)]);
        check("m 0+10x2", "m", &[Some(0.0), Some(10.0), Some(20.0)]);
        check("m 1e+3 1e-1+1e0x1", "m", &[Some(1000.0), Some(0.1), Some(1.1)]);
        check(
            "m _x2 stale NaN Inf -Inf",
            "m",
            &[None, None, Some(STALE_NAN), Some(f64::NAN), Some(f64::INFINITY), Some(f64::NEG_INFINITY)],
        );
        check("m 1+NaNx1", "m", &[Some(1.0), Some(f64::NAN)]);
        check("m", "m", &[]);
    }

    #[test]
    fn reads_labels() {
        check(r#"m{a="b", c='d\'"',} 1"#, r#"m{a="b", c="d'\""}"#, &[Some(1.0)]);
        check(r#"{__name__="m", a="}"}  1"#, r#"m{a="}"}"#, &[Some(1.0)]);
        check(r#"{"a.b", "c d"="e"} 1"#, r#"a.b{c d="e"}"#, &[Some(1.0)]);
        check("{} 1", "{}", &[Some(1.0)]);
        assert_eq!(parse_labels("a:b{}").unwrap().to_string(), "a:b");
        assert!(parse_labels("a{} 1").is_err());
    }

    #[test]
    fn refuses_the_rest() {
        check_fails("m{a=b} 1", "quoted");
        check_fails("m{a} 1", "expected =");
        check_fails("m{a=\"b\" 1", "expected ,");
        check_fails("m one", "not a number");
        check_fails("m 1+1x", "repetition");
        check_fails("m 1x99999999", "more than");
        check_fails("m {{schema:0}}", "native");
        check_fails("m{a=\"b\"}1", "unexpected");
        check_fails(" 1", "not a metric name");
        check_fails("(", "expected a metric name");
    }
}
