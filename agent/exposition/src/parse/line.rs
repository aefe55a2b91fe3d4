//! One line of either format.

use std::borrow::Cow;

use super::float::parse_float;
use super::series::{name_len, quoted, skip_blanks};
use super::{Cause, Event, Item, Raw, SampleLine, Scanner};
use crate::escape::unescape;
use crate::{Format, Kind};

/// A line of the text format; `None` when it is blank.
pub(super) fn text(line: &str) -> Result<Option<Event<'_>>, Cause> {
    let line = skip_blanks(line);
    if line.is_empty() {
        return Ok(None);
    }
    if let Some(comment) = line.strip_prefix('#') {
        return text_comment(comment).map(Some);
    }
    let mut sample = series(line, Format::Text004)?;
    (sample.value, sample.timestamp_ms) = text_numbers(after(line, sample.series))?;
    Ok(Some(Event::Sample(sample)))
}

/// What follows a series in the text format.
pub(super) fn text_numbers(rest: &str) -> Result<(f64, Option<i64>), Cause> {
    let (value, rest) = split_word(skip_blanks(rest));
    let value = number(value)?;
    let (time, rest) = split_word(skip_blanks(rest));
    let mut timestamp_ms = None;
    if !time.is_empty() {
        // The text format has no sign here.
        let digits = time.bytes().all(|b| b.is_ascii_digit());
        let time = time.parse().ok().filter(|_| digits).ok_or_else(|| Cause::Timestamp(time.to_owned()))?;
        timestamp_ms = Some(time);
    }
    match skip_blanks(rest) {
        "" => Ok((value, timestamp_ms)),
        rest => Err(Cause::Trailing(rest.to_owned())),
    }
}

/// Only a comment that means nothing may hold bytes that are not UTF-8.
pub(super) fn text_not_utf8(line: &[u8]) -> Result<Event<'_>, Cause> {
    let valid = match std::str::from_utf8(line) {
        Ok(valid) => valid,
        Err(error) => line.get(..error.valid_up_to()).and_then(|l| std::str::from_utf8(l).ok()).unwrap_or(""),
    };
    match skip_blanks(valid).strip_prefix('#') {
        Some(comment) if metadata_word(comment).is_none() => Ok(Event::Comment),
        _ => Err(Cause::Utf8),
    }
}

/// `HELP` or `TYPE` with what follows it.
fn metadata_word(comment: &str) -> Option<(&str, &str)> {
    let trimmed = skip_blanks(comment);
    let (word, rest) = trimmed.split_at_checked(4)?;
    let apart = trimmed.len() < comment.len() && rest.starts_with([' ', '\t']);
    (matches!(word, "HELP" | "TYPE") && apart).then_some((word, rest))
}

/// What follows `#` in the text format.
fn text_comment(comment: &str) -> Result<Event<'_>, Cause> {
    let Some((word, rest)) = metadata_word(comment) else { return Ok(Event::Comment) };
    let (name, rest) = metadata_name(skip_blanks(rest))?;
    // Whatever stands right after the name separates it from the text.
    let mut text = rest.chars();
    text.next();
    let text = text.as_str();
    if word == "HELP" {
        return Ok(Event::Help { name, text: unescape(text, false) });
    }
    let kind = match text {
        "counter" => Kind::Counter,
        "gauge" => Kind::Gauge,
        "histogram" => Kind::Histogram,
        "summary" => Kind::Summary,
        "untyped" => Kind::Untyped,
        _ => return Err(Cause::Type(text.to_owned())),
    };
    Ok(Event::Type { name, kind })
}

/// A line of OpenMetrics other than `# EOF`.
pub(super) fn openmetrics(line: &str) -> Result<Event<'_>, Cause> {
    if let Some(comment) = line.strip_prefix("# ") {
        return openmetrics_metadata(comment);
    }
    let mut sample = series(line, Format::OpenMetrics100)?;
    (sample.value, sample.timestamp_ms) = openmetrics_numbers(after(line, sample.series))?;
    Ok(Event::Sample(sample))
}

/// What follows a series in OpenMetrics.
pub(super) fn openmetrics_numbers(rest: &str) -> Result<(f64, Option<i64>), Cause> {
    let rest = rest.strip_prefix(' ').ok_or(Cause::NoValue)?;
    let (value, rest) = split_word(rest);
    let value = number(value)?;
    let (before, exemplar) = match rest.split_once(" # {") {
        Some((before, exemplar)) => (before, Some(exemplar)),
        None => (rest, None),
    };
    let timestamp_ms = openmetrics_time(before)?;
    if let Some(exemplar) = exemplar {
        check_exemplar(exemplar)?;
    }
    Ok((value, timestamp_ms))
}

fn openmetrics_metadata(comment: &str) -> Result<Event<'_>, Cause> {
    let (word, rest) = comment.split_once(' ').unwrap_or((comment, ""));
    if !matches!(word, "HELP" | "TYPE" | "UNIT") {
        return Err(Cause::Start);
    }
    let (name, rest) = metadata_name(rest)?;
    let text = rest.strip_prefix(' ').ok_or(Cause::MetadataText)?;
    match word {
        "HELP" => Ok(Event::Help { name, text: unescape(text, true) }),
        "TYPE" => {
            let kind = match text {
                "counter" => Kind::Counter,
                "gauge" => Kind::Gauge,
                "histogram" => Kind::Histogram,
                "gaugehistogram" => Kind::GaugeHistogram,
                "summary" => Kind::Summary,
                "info" => Kind::Info,
                "stateset" => Kind::StateSet,
                "unknown" => Kind::Untyped,
                _ => return Err(Cause::Type(text.to_owned())),
            };
            Ok(Event::Type { name, kind })
        }
        _ => {
            if !text.is_empty() && !name.strip_suffix(text).is_some_and(|stem| stem.ends_with('_')) {
                return Err(Cause::Unit(text.to_owned()));
            }
            Ok(Event::Unit { name, unit: text })
        }
    }
}

/// Seconds after a blank, or nothing.
fn openmetrics_time(text: &str) -> Result<Option<i64>, Cause> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || Cause::Timestamp(text.to_owned());
    let seconds = text.strip_prefix(' ').and_then(parse_float).filter(|s| s.is_finite()).ok_or_else(wrong)?;
    // Rounded, because 538946811.734 times 1000 is a little less than it should be.
    #[expect(clippy::cast_possible_truncation, reason = "saturates; the caller refuses times far off")]
    Ok(Some((seconds * 1000.0).round() as i64))
}

/// What follows ` # {`: labels, a value and perhaps a time. Checked and forgotten.
fn check_exemplar(text: &str) -> Result<(), Cause> {
    let mut scanner = Scanner::new(text, Format::OpenMetrics100);
    while let Some(item) = scanner.next()? {
        if matches!(item, Item::Name(_)) {
            return Err(Cause::Exemplar);
        }
    }
    let (value, rest) = split_word(scanner.rest.strip_prefix(' ').ok_or(Cause::Exemplar)?);
    number(value)?;
    openmetrics_time(rest).map(|_| ())
}

/// The series at the start of a line, with its label set checked; the value is filled in later.
fn series(line: &str, format: Format) -> Result<SampleLine<'_>, Cause> {
    let (name, rest) = line.split_at(name_len(line, true));
    let mut name = (!name.is_empty()).then(|| Raw::bare(name));
    let opening = match format {
        Format::Text004 => skip_blanks(rest),
        Format::OpenMetrics100 => rest,
    };
    let Some(inside) = opening.strip_prefix('{') else {
        let name = name.ok_or(Cause::Start)?;
        let labels = Scanner::new("}", format);
        return Ok(SampleLine { series: before(line, rest), value: 0.0, timestamp_ms: None, name, labels });
    };
    let mut scanner = Scanner::new(inside, format);
    let labels = scanner.clone();
    while let Some(item) = scanner.next()? {
        if let Item::Name(quoted) = item
            && name.replace(quoted).is_some()
        {
            return Err(Cause::SecondName);
        }
    }
    let name = name.ok_or(Cause::NoName)?;
    Ok(SampleLine { series: before(line, scanner.rest), value: 0.0, timestamp_ms: None, name, labels })
}

/// A name, bare or in quotes, and what follows it.
fn metadata_name(text: &str) -> Result<(Cow<'_, str>, &str), Cause> {
    if let Some((name, rest)) = quoted(text) {
        return Ok((name.decode(), rest));
    }
    let (name, rest) = text.split_at(name_len(text, true));
    if name.is_empty() { Err(Cause::MetadataName) } else { Ok((Cow::Borrowed(name), rest)) }
}

fn number(text: &str) -> Result<f64, Cause> {
    if text.is_empty() {
        return Err(Cause::NoValue);
    }
    parse_float(text).ok_or_else(|| Cause::Value(text.to_owned()))
}

/// Up to the next blank, and from it on.
fn split_word(text: &str) -> (&str, &str) {
    let length = text.bytes().position(|b| b == b' ' || b == b'\t').unwrap_or(text.len());
    text.split_at(length)
}

/// What stands in `line` before its tail `rest`.
fn before<'a>(line: &'a str, rest: &str) -> &'a str {
    line.get(..line.len().saturating_sub(rest.len())).unwrap_or(line)
}

/// What follows `head` in `line`, which begins with it.
fn after<'a>(line: &'a str, head: &str) -> &'a str {
    line.get(head.len()..).unwrap_or("")
}
