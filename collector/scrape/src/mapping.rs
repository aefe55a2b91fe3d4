//! From a series as a page writes it to the series as it is stored: target labels, conflicts, relabelling, limits.

use std::borrow::Cow;

use agent_exposition::{Kind, SampleLine, float_label};
use collector_model::{Labels, LabelsBuilder, METRIC_NAME, RelabelConfig, relabel};

use crate::config::{Limits, ValidationScheme};

const EXPORTED_PREFIX: &str = "exported_";

/// Name and value of a label as scraped.
type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// What a job does to the series of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) target: Labels,
    pub(crate) honor_labels: bool,
    pub(crate) rules: Vec<RelabelConfig>,
    pub(crate) limits: Limits,
    pub(crate) validation: ValidationScheme,
}

/// A series cannot be stored; the whole scrape fails with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SeriesError {
    #[error("label name {label:?} is not unique: invalid sample {metric}")]
    RepeatedLabel { label: String, metric: String },
    #[error("missing metric name (__name__ label)")]
    NoName,
    #[error("invalid metric name or label names: {0}")]
    InvalidNames(String),
    #[error("label_limit exceeded (metric: {metric:.50}, number of labels: {count}, limit: {limit})")]
    Labels { metric: String, count: usize, limit: u64 },
    #[error(
        "label_name_length_limit exceeded (metric: {metric:.50}, label name: {name:.50}, length: {length}, limit: {limit})"
    )]
    NameLength { metric: String, name: String, length: usize, limit: u64 },
    #[error(
        "label_value_length_limit exceeded (metric: {metric:.50}, label name: {name:.50}, value: {value:?}, length: {length}, limit: {limit})"
    )]
    ValueLength { metric: String, name: String, value: String, length: usize, limit: u64 },
}

impl SeriesError {
    pub(crate) fn is_label_limit(&self) -> bool {
        matches!(self, Self::Labels { .. } | Self::NameLength { .. } | Self::ValueLength { .. })
    }
}

impl Mapping {
    /// The labels to store; `None` when relabelling drops the series. `kind` is the family's, which decides whether
    /// `le` and `quantile` are numbers.
    pub(crate) fn map(&self, line: &SampleLine<'_>, kind: Kind) -> Result<Option<Labels>, SeriesError> {
        let scraped = scraped_pairs(line, kind)?;
        let mut labels = if self.honor_labels { self.honoring(&scraped) } else { self.exporting(&scraped) };
        if !relabel::process(&mut labels, &self.rules) {
            return Ok(None);
        }
        let labels = labels.build();
        self.check(&labels)?;
        Ok(Some(labels))
    }

    /// The page's labels win, even empty ones, which remove the target's.
    fn honoring(&self, scraped: &[Pair<'_>]) -> LabelsBuilder {
        let mut labels = LabelsBuilder::default();
        for (name, value) in &self.target {
            labels.set(name, value);
        }
        for (name, value) in scraped {
            labels.set(&**name, &**value);
        }
        labels
    }

    /// The target's labels win; the page's move aside.
    fn exporting(&self, scraped: &[Pair<'_>]) -> LabelsBuilder {
        let mut labels = LabelsBuilder::default();
        for (name, value) in scraped {
            labels.set(&**name, &**value);
        }
        let mut moved = Vec::new();
        for (name, value) in &self.target {
            let scraped = labels.get(name);
            if !scraped.is_empty() {
                moved.push((name, scraped.to_owned()));
            }
            labels.set(name, value);
        }
        // Shorter names first, so that what `a` moves to is taken before `exported_a` moves.
        moved.sort_by_key(|(name, _)| name.len());
        for (name, value) in moved {
            let mut free = format!("{EXPORTED_PREFIX}{name}");
            while !labels.get(&free).is_empty() {
                free.insert_str(0, EXPORTED_PREFIX);
            }
            labels.set(free, value);
        }
        labels
    }

    fn check(&self, labels: &Labels) -> Result<(), SeriesError> {
        let metric = labels.metric_name();
        if metric.is_empty() {
            return Err(SeriesError::NoName);
        }
        let names_fit = labels.iter().all(|(name, _)| self.validation.allows_label(name));
        if !names_fit || !self.validation.allows_metric(metric) {
            return Err(SeriesError::InvalidNames(labels.to_string()));
        }
        let count = labels.len();
        if above(count, self.limits.labels) {
            return Err(SeriesError::Labels { metric: metric.to_owned(), count, limit: self.limits.labels });
        }
        for (name, value) in labels {
            if above(name.len(), self.limits.label_name_length) {
                let (metric, name, length) = (metric.to_owned(), name.to_owned(), name.len());
                return Err(SeriesError::NameLength { metric, name, length, limit: self.limits.label_name_length });
            }
            if above(value.len(), self.limits.label_value_length) {
                let (metric, name, length) = (metric.to_owned(), name.to_owned(), value.len());
                let value = value.chars().take(50).collect();
                return Err(SeriesError::ValueLength {
                    metric,
                    name,
                    value,
                    length,
                    limit: self.limits.label_value_length,
                });
            }
        }
        Ok(())
    }
}

fn above(count: usize, limit: u64) -> bool {
    limit > 0 && count as u64 > limit
}

/// Name and labels as written, empty ones too, but the numbers in `le` and `quantile` in their one form.
fn scraped_pairs<'a>(line: &SampleLine<'a>, kind: Kind) -> Result<Vec<Pair<'a>>, SeriesError> {
    let mut pairs = vec![(Cow::Borrowed(METRIC_NAME), line.name())];
    for (name, value) in line.labels() {
        if pairs.iter().any(|(other, _)| *other == name) {
            let metric = line.name().into_owned();
            return Err(SeriesError::RepeatedLabel { label: name.into_owned(), metric });
        }
        let number = matches!((kind, &*name), (Kind::Histogram, "le") | (Kind::Summary, "quantile"));
        let value = if number { value.parse().map_or(value, |v| Cow::Owned(float_label(v))) } else { value };
        pairs.push((name, value));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent_exposition::{Event, Format, Parser};

    fn mapping() -> Mapping {
        Mapping {
            target: Labels::from_pairs([("job", "j"), ("instance", "i")]),
            honor_labels: false,
            rules: Vec::new(),
            limits: Limits::default(),
            validation: ValidationScheme::Utf8,
        }
    }

    fn map(mapping: &Mapping, kind: Kind, line: &str) -> String {
        let page = format!("{line} 1\n");
        let Some(Ok(Event::Sample(sample))) = Parser::new(Format::Text004, page.as_bytes()).next() else {
            panic!("{line} is no sample")
        };
        match mapping.map(&sample, kind) {
            Ok(Some(labels)) => labels.to_string(),
            Ok(None) => "dropped".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[track_caller]
    fn check(line: &str, want: &str) {
        assert_eq!(map(&mapping(), Kind::Untyped, line), want);
    }

    #[track_caller]
    fn check_honoring(line: &str, want: &str) {
        assert_eq!(map(&Mapping { honor_labels: true, ..mapping() }, Kind::Untyped, line), want);
    }

    #[track_caller]
    fn check_kind(kind: Kind, line: &str, want: &str) {
        assert_eq!(map(&Mapping { target: Labels::empty(), ..mapping() }, kind, line), want);
    }

    #[test]
    fn target_labels_win_unless_the_page_is_honored() {
        check("a", r#"a{instance="i", job="j"}"#);
        check(r#"a{job="x"}"#, r#"a{exported_job="x", instance="i", job="j"}"#);
        check(r#"a{job=""}"#, r#"a{instance="i", job="j"}"#);
        check(
            r#"a{job="x",exported_job="y"}"#,
            r#"a{exported_exported_job="x", exported_job="y", instance="i", job="j"}"#,
        );
        check_honoring(r#"a{job="x"}"#, r#"a{instance="i", job="x"}"#);
        check_honoring(r#"a{job=""}"#, r#"a{instance="i"}"#);
        check_honoring("a", r#"a{instance="i", job="j"}"#);
    }

    #[test]
    fn shorter_names_move_first() {
        let target = Labels::from_pairs([("x", "t1"), ("exported_x", "t2")]);
        let got = map(&Mapping { target, ..mapping() }, Kind::Untyped, r#"a{x="1",exported_x="2"}"#);
        assert_eq!(got, r#"a{exported_exported_exported_x="2", exported_exported_x="1", exported_x="t2", x="t1"}"#);
    }

    #[test]
    fn bucket_bounds_have_one_form() {
        for (text, want) in [
            ("1", "1.0"),
            ("0.5", "0.5"),
            ("+Inf", "+Inf"),
            ("1e6", "1e+06"),
            ("-0", "0.0"),
            ("x", "x"),
            ("100", "100.0"),
        ] {
            check_kind(Kind::Histogram, &format!(r#"a_bucket{{le="{text}"}}"#), &format!(r#"a_bucket{{le="{want}"}}"#));
            check_kind(Kind::Summary, &format!(r#"a{{quantile="{text}"}}"#), &format!(r#"a{{quantile="{want}"}}"#));
        }
        check_kind(Kind::Gauge, r#"a{le="1"}"#, r#"a{le="1"}"#);
        check_kind(Kind::Summary, r#"a{le="1"}"#, r#"a{le="1"}"#);
    }

    #[test]
    fn bad_series_say_why() {
        check(r#"a{b="1",b="2"}"#, r#"label name "b" is not unique: invalid sample a"#);
        let rules = serde_yaml_ng::from_str("[{target_label: __name__, replacement: ''}]").unwrap();
        assert_eq!(map(&Mapping { rules, ..mapping() }, Kind::Untyped, "a"), "missing metric name (__name__ label)");
        let rules = serde_yaml_ng::from_str("[{action: drop}]").unwrap();
        assert_eq!(map(&Mapping { rules, ..mapping() }, Kind::Untyped, "a"), "dropped");
        let legacy = Mapping { validation: ValidationScheme::Legacy, ..mapping() };
        assert!(map(&legacy, Kind::Untyped, r#"{"a.b"}"#).starts_with("invalid metric name or label names: a.b{"));
    }

    #[test]
    fn limits_are_checked_after_relabelling() {
        let limited = |limits| Mapping { limits, ..mapping() };
        let labels = limited(Limits { labels: 3, ..Limits::default() });
        assert_eq!(map(&labels, Kind::Untyped, "a"), r#"a{instance="i", job="j"}"#);
        assert_eq!(
            map(&labels, Kind::Untyped, r#"a{b="1"}"#),
            "label_limit exceeded (metric: a, number of labels: 4, limit: 3)"
        );
        let names = limited(Limits { label_name_length: 8, ..Limits::default() });
        assert_eq!(
            map(&names, Kind::Untyped, r#"a{long_name="1"}"#),
            "label_name_length_limit exceeded (metric: a, label name: long_name, length: 9, limit: 8)"
        );
        let values = limited(Limits { label_value_length: 3, ..Limits::default() });
        assert_eq!(
            map(&values, Kind::Untyped, r#"a{b="long"}"#),
            "label_value_length_limit exceeded (metric: a, label name: b, value: \"long\", length: 4, limit: 3)"
        );
    }
}
