//! Remote write 1.0: the series of a page as the fields of a `prometheus.WriteRequest`.
//!
//! Series are what a scrape of the page would have stored: labels sorted by name, those without a value left out, `le`
//! and `quantile` as floats, and labels of the page that a target's own would hide renamed to `exported_…`. Field
//! numbers are those of `prompb/remote.proto` and `prompb/types.proto` of Prometheus.

use std::borrow::Cow;

use crate::escape::unescape;
use crate::label_pairs::LabelPairs;
use crate::number::push_float_label;
use crate::page::{Kind, Page};
use crate::wire::{push_bytes, push_double, push_integer, push_message, push_string};

/// A value that says: the series has ended here. A NaN that no page can hold.
pub const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Labels that all series of a page get.
#[derive(Clone, Debug, Default)]
pub struct TargetLabels {
    /// `job` and `instance`, as a scrape would attach them.
    pub target: Vec<(String, String)>,
    /// Labels for series that have none of that name.
    pub external: Vec<(String, String)>,
}

/// One sample of a page.
#[derive(Clone, Copy, Debug)]
pub struct SeriesSample<'a> {
    /// All labels as fields of a `TimeSeries`: equal bytes are the same series.
    pub labels: &'a [u8],
    /// The value.
    pub value: f64,
    /// When, in milliseconds since 1970, where the sample has a time of its own.
    pub timestamp_ms: Option<i64>,
}

impl Page {
    /// Gives every sample of the page to `each`.
    pub fn each_series(&self, labels: &TargetLabels, mut each: impl FnMut(SeriesSample<'_>)) {
        let (mut name, mut encoded, mut sorted) = (String::new(), Vec::new(), Vec::new());
        for family in self.sorted() {
            for entry in self.samples(family) {
                name.clear();
                name.push_str(&family.name);
                name.push_str(self.suffix(entry));
                let (own, shared) = self.labels(entry);
                sorted.clear();
                for (label, value) in LabelPairs::new(own).chain(LabelPairs::new(shared)) {
                    let value = match (family.kind, label) {
                        (Kind::Histogram | Kind::GaugeHistogram, "le") | (Kind::Summary, "quantile") => as_float(value),
                        _ => unescape(value, true),
                    };
                    sorted.push((exported(label, &labels.target), value));
                }
                sorted.extend(labels.target.iter().map(borrowed));
                let page_labels = sorted.len();
                for (label, value) in labels.external.iter().map(borrowed) {
                    let known =
                        sorted.iter().take(page_labels).any(|(name, value)| *name == label && !value.is_empty());
                    if !known {
                        sorted.push((label, value));
                    }
                }
                sorted.retain(|(_, value)| !value.is_empty());
                sorted.push((Cow::Borrowed("__name__"), Cow::Borrowed("")));
                sorted.sort_unstable();
                encoded.clear();
                for (label, value) in &sorted {
                    // Its place is known before its text may be lent.
                    let value = if label == "__name__" { name.as_str() } else { value };
                    push_message(&mut encoded, 1, |out| {
                        push_bytes(out, 1, label.as_bytes());
                        push_bytes(out, 2, value.as_bytes());
                    });
                }
                each(SeriesSample { labels: &encoded, value: entry.value, timestamp_ms: self.timestamp_ms(entry) });
            }
        }
    }

    /// Appends what the families are said to be, as fields of a `WriteRequest`.
    pub fn push_metadata(&self, out: &mut Vec<u8>) {
        for family in self.sorted() {
            // Values of `MetricMetadata.MetricType`.
            let kind = match family.kind {
                Kind::Untyped => 0,
                Kind::Counter => 1,
                Kind::Gauge => 2,
                Kind::Histogram => 3,
                Kind::GaugeHistogram => 4,
                Kind::Summary => 5,
                Kind::Info => 6,
                Kind::StateSet => 7,
            };
            push_message(out, 3, |out| {
                push_integer(out, 1, kind);
                push_string(out, 2, &[&family.name]);
                push_bytes(out, 4, family.help.as_bytes());
            });
        }
    }
}

/// Appends a series with one sample, as a field of a `WriteRequest`. `labels` are those of a [`SeriesSample`].
pub fn push_time_series(out: &mut Vec<u8>, labels: &[u8], value: f64, timestamp_ms: i64) {
    push_message(out, 1, |out| {
        out.extend_from_slice(labels);
        push_message(out, 2, |out| {
            push_double(out, 1, value);
            push_integer(out, 2, timestamp_ms);
        });
    });
}

fn borrowed((name, value): &(String, String)) -> (Cow<'_, str>, Cow<'_, str>) {
    (Cow::Borrowed(name), Cow::Borrowed(value))
}

fn as_float(text: &str) -> Cow<'_, str> {
    let mut float = String::with_capacity(text.len() + 2);
    push_float_label(&mut float, text);
    Cow::Owned(float)
}

/// The name of a page's label beside those of its target.
fn exported<'a>(label: &'a str, target: &[(String, String)]) -> Cow<'a, str> {
    let hidden = target.iter().any(|(name, _)| name == label);
    if hidden { Cow::Owned(format!("exported_{label}")) } else { Cow::Borrowed(label) }
}
