//! InfluxDB's line protocol, written by hand: `measurement,tag=value value=1.5 1700000000000`.
//!
//! Escaping, as InfluxDB reads it: a comma and a space in a measurement, and an equals sign too in
//! a tag's key or value, stand behind a backslash. Any other backslash is itself. That leaves four things that the
//! format cannot say, which are changed rather than sent, as each would break its line or another:
//! a line break (becomes the two characters `\n` or `\r`), backslashes at the end (left out), an empty name or value
//! (the tag is left out, which is the same to PromQL), and a measurement that begins with `#` (gets a backslash
//! before it, which stays). A backslash that stands before a character that needs one is written as it is, which
//! InfluxDB 1.x and 2.x read right; VictoriaMetrics takes such two backslashes for one and refuses the line.

use collector_model::{METRIC_NAME, TimestampMs};

use crate::sinks::Point;

/// What stands in for the measurement of a series without a metric name; InfluxDB 1.x uses the same.
const NO_NAME: &str = "prom_metric_not_specified";

/// Unit of the time stamps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub enum Precision {
    /// Seconds; milliseconds are cut off.
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds, what the samples have.
    #[default]
    #[serde(rename = "ms")]
    Milliseconds,
    /// Microseconds.
    #[serde(rename = "us")]
    Microseconds,
    /// Nanoseconds.
    #[serde(rename = "ns")]
    Nanoseconds,
}

impl Precision {
    /// Its name in the API of InfluxDB 1.x.
    pub(crate) fn influxdb_v1(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "u",
            Self::Nanoseconds => "ns",
        }
    }

    /// Its name in the API of InfluxDB 2.x.
    pub(crate) fn influxdb_v2(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "us",
            Self::Nanoseconds => "ns",
        }
    }

    /// Its name in the API of InfluxDB 3.
    pub(crate) fn influxdb_v3(self) -> &'static str {
        match self {
            Self::Seconds => "second",
            Self::Milliseconds => "millisecond",
            Self::Microseconds => "microsecond",
            Self::Nanoseconds => "nanosecond",
        }
    }

    fn convert(self, ms: TimestampMs) -> i64 {
        match self {
            Self::Seconds => ms.div_euclid(1_000),
            Self::Milliseconds => ms,
            Self::Microseconds => ms.saturating_mul(1_000),
            Self::Nanoseconds => ms.saturating_mul(1_000_000),
        }
    }
}

/// How samples become points: measurement = metric name, labels = tags, field `value`, as Prometheus and InfluxDB
/// 1.x have it between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Whether the metric name is a tag `__name__` too, as InfluxDB 1.x makes it of remote write.
    pub name_tag: bool,
    /// Unit of the time stamps.
    pub precision: Precision,
}

/// Writes one line for each point. A point that is not finite, which the format cannot say, is left out; delivery
/// does not let one come here.
pub(crate) fn write_lines(points: &[Point], layout: Layout, out: &mut Vec<u8>) {
    let mut float = ryu::Buffer::new();
    let mut integer = itoa::Buffer::new();
    for point in points.iter().filter(|p| p.value.is_finite()) {
        write_measurement(point.labels.metric_name(), out);
        for (name, value) in &point.labels {
            if name != METRIC_NAME || layout.name_tag {
                write_tag(name, value, out);
            }
        }
        let number = float.format_finite(point.value);
        out.extend_from_slice(b" value=");
        out.extend_from_slice(number.strip_suffix(".0").unwrap_or(number).as_bytes());
        out.push(b' ');
        out.extend_from_slice(integer.format(layout.precision.convert(point.timestamp_ms)).as_bytes());
        out.push(b'\n');
    }
}

fn write_measurement(name: &str, out: &mut Vec<u8>) {
    let name = match name.trim_end_matches('\\') {
        "" => NO_NAME,
        name => name,
    };
    if name.starts_with('#') {
        // A line that starts with it is a comment.
        out.push(b'\\');
    }
    write_escaped(name, |byte| (byte == b',') | (byte == b' '), out);
}

fn write_tag(name: &str, value: &str, out: &mut Vec<u8>) {
    let (name, value) = (name.trim_end_matches('\\'), value.trim_end_matches('\\'));
    if name.is_empty() || value.is_empty() {
        return;
    }
    let special = |byte| (byte == b',') | (byte == b' ') | (byte == b'=');
    out.push(b',');
    write_escaped(name, special, out);
    out.push(b'=');
    write_escaped(value, special, out);
}

fn write_escaped(text: &str, special: impl Fn(u8) -> bool, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    // Looks at every byte instead of stopping at the first hit: that is done many bytes at a time.
    if !bytes.iter().fold(false, |found, &byte| found | special(byte) | (byte == b'\n') | (byte == b'\r')) {
        out.extend_from_slice(bytes);
        return;
    }
    for &byte in bytes {
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            byte if special(byte) => out.extend_from_slice(&[b'\\', byte]),
            byte => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use collector_model::{Labels, STALE_NAN};
    use proptest::prelude::*;

    use super::*;

    fn lines(pairs: &[(&str, &str)], timestamp_ms: i64, value: f64, layout: Layout) -> String {
        let point = Point { labels: Labels::from_pairs(pairs.iter().copied()), timestamp_ms, value };
        let mut out = Vec::new();
        write_lines(&[point], layout, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[track_caller]
    fn check(pairs: &[(&str, &str)], value: f64, want: &str) {
        assert_eq!(lines(pairs, 5, value, Layout::default()), want);
    }

    #[test]
    fn layout_is_prometheus_s() {
        check(&[("__name__", "up"), ("job", "a"), ("instance", "h:1")], 1.0, "up,instance=h:1,job=a value=1 5\n");
        check(&[("__name__", "up")], 1.5, "up value=1.5 5\n");
        check(&[("job", "a")], 0.0, "prom_metric_not_specified,job=a value=0 5\n");
        let with_name = Layout { name_tag: true, precision: Precision::Nanoseconds };
        let pairs = [("__name__", "up"), ("job", "a")];
        assert_eq!(lines(&pairs, 5, 1.0, with_name), "up,__name__=up,job=a value=1 5000000\n");
        let seconds = Layout { name_tag: false, precision: Precision::Seconds };
        assert_eq!(lines(&pairs, -1, 1.0, seconds), "up,job=a value=1 -1\n");
    }

    #[test]
    fn nothing_breaks_its_line() {
        check(&[("__name__", "a b,c=d"), ("l", "x y,z=w")], 1.0, "a\\ b\\,c=d,l=x\\ y\\,z\\=w value=1 5\n");
        check(&[("__name__", "m"), ("l", "C:\\")], 1.0, "m,l=C: value=1 5\n");
        check(&[("__name__", "m"), ("l", "\\\\")], 1.0, "m value=1 5\n");
        check(&[("__name__", "m"), ("l", "a\nm value=2 5")], 1.0, "m,l=a\\nm\\ value\\=2\\ 5 value=1 5\n");
        check(&[("__name__", "#m")], 1.0, "\\#m value=1 5\n");
        check(&[("__name__", "m"), ("l", "a\\,b")], 1.0, "m,l=a\\\\,b value=1 5\n");
        check(&[("__name__", "m"), ("l", "\"q\"")], 1.0, "m,l=\"q\" value=1 5\n");
    }

    #[test]
    fn numbers_are_short_and_exact() {
        check(&[("__name__", "m")], 1e300, "m value=1e300 5\n");
        check(&[("__name__", "m")], -0.0, "m value=-0 5\n");
        check(&[("__name__", "m")], 0.1, "m value=0.1 5\n");
        check(&[("__name__", "m")], 5e-324, "m value=5e-324 5\n");
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, STALE_NAN] {
            check(&[("__name__", "m")], value, "");
        }
    }

    #[derive(Debug, PartialEq)]
    struct Line {
        measurement: String,
        tags: Vec<(String, String)>,
        value: f64,
        timestamp: i64,
    }

    /// Reads lines back as InfluxDB's parser does: what follows a backslash does not end anything.
    fn read(text: &str) -> Vec<Line> {
        fn field(rest: &mut &str, special: &[char], ends: &[char]) -> String {
            let mut out = String::new();
            let mut chars = rest.char_indices().peekable();
            let mut end = rest.len();
            while let Some((at, c)) = chars.next() {
                if c == '\\' && chars.peek().is_some_and(|(_, next)| special.contains(next)) {
                    out.push(chars.next().unwrap().1);
                } else if ends.contains(&c) {
                    end = at;
                    break;
                } else {
                    out.push(c);
                }
            }
            *rest = &rest[end..];
            out
        }
        let line = |mut rest: &str| {
            assert!(!rest.starts_with('#'), "a comment");
            let measurement = field(&mut rest, &[',', ' '], &[',', ' ']);
            let mut tags = Vec::new();
            while let Some(tail) = rest.strip_prefix(',') {
                rest = tail;
                let key = field(&mut rest, &[',', ' ', '='], &['=']);
                rest = rest.strip_prefix('=').unwrap();
                tags.push((key, field(&mut rest, &[',', ' ', '='], &[',', ' ', '='])));
            }
            let (value, time) = rest.strip_prefix(" value=").unwrap().split_once(' ').unwrap();
            Line { measurement, tags, value: value.parse().unwrap(), timestamp: time.parse().unwrap() }
        };
        text.split_terminator('\n').map(line).collect()
    }

    /// What the format can say of a text.
    fn said(text: &str) -> String {
        text.trim_end_matches('\\').replace('\n', "\\n").replace('\r', "\\r")
    }

    /// Texts made of what can go wrong.
    fn text() -> impl Strategy<Value = String> {
        proptest::collection::vec(prop_oneof!["[a-z]{1,3}", "[,= \\\\\n\r\"#é]"], 1..6).prop_map(|v| v.concat())
    }

    proptest! {
        #[test]
        fn lines_read_back(
            name in text(),
            tags in proptest::collection::btree_map(text(), text(), 0..4),
            samples in proptest::collection::vec((any::<i64>(), any::<f64>()), 1..4),
        ) {
            let mut pairs: Vec<_> = tags.into_iter().collect();
            pairs.push((METRIC_NAME.to_owned(), name.clone()));
            let labels = Labels::from_pairs(pairs.clone());
            let point = |(timestamp_ms, value): (i64, f64)| Point { labels: labels.clone(), timestamp_ms, value };
            let points: Vec<_> = samples.iter().copied().map(point).collect();
            let mut out = Vec::new();
            write_lines(&points, Layout::default(), &mut out);
            let measurement = match said(&name) {
                empty if empty.is_empty() => NO_NAME.to_owned(),
                comment if comment.starts_with('#') => format!("\\{comment}"),
                said => said,
            };
            let tags: Vec<_> = labels
                .iter()
                .filter(|(n, _)| *n != METRIC_NAME)
                .map(|(n, v)| (said(n), said(v)))
                .filter(|(n, v)| !n.is_empty() && !v.is_empty())
                .collect();
            let want: Vec<_> = samples
                .iter()
                .filter(|(_, v)| v.is_finite())
                .map(|&(timestamp, value)| Line {
                    measurement: measurement.clone(),
                    tags: tags.clone(),
                    value,
                    timestamp,
                })
                .collect();
            prop_assert_eq!(read(std::str::from_utf8(&out).unwrap()), want);
        }
    }
}
