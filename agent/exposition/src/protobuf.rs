//! Prometheus's protobuf format: one `io.prometheus.client.MetricFamily` after another, each behind its length.
//!
//! Field numbers are those of `metrics.proto` of the Prometheus client model. As in the text format, a counter's family
//! has its full name, and OpenMetrics's own kinds become the nearest of the older ones, so that a series has the same
//! name in every format.

use crate::escape::unescape;
use crate::label_pairs::LabelPairs;
use crate::number::EXACT_BELOW;
use crate::page::{Entry, Family, Kind, Page};
use crate::wire::{push_bytes, push_delimited, push_double, push_integer, push_message, push_string};

/// Values of `MetricType`.
const COUNTER: i64 = 0;
const GAUGE: i64 = 1;
const SUMMARY: i64 = 2;
const UNTYPED: i64 = 3;
const HISTOGRAM: i64 = 4;

/// Fields of `Metric` that hold its value.
const IN_GAUGE: u32 = 2;
const IN_COUNTER: u32 = 3;
const IN_SUMMARY: u32 = 4;
const IN_UNTYPED: u32 = 5;
const IN_HISTOGRAM: u32 = 7;

/// What a sample of a histogram or summary is.
#[derive(Clone, Copy)]
enum Part {
    Count,
    Sum,
    /// A bucket or quantile, with its edge.
    Edge(f64),
}

/// A sample of a histogram or summary. All samples of one `Metric` have these labels in common: those before and after
/// `le` or `quantile`, and the shared ones.
struct Piece<'a> {
    part: Part,
    before: &'a str,
    after: &'a str,
    shared: &'a str,
    entry: &'a Entry,
}

impl Piece<'_> {
    fn is_beside(&self, other: &Self) -> bool {
        let own = |piece: &Self| (piece.before.len() + piece.after.len(), piece.shared.len());
        own(self) == own(other)
            && self.shared == other.shared
            && self.before.bytes().chain(self.after.bytes()).eq(other.before.bytes().chain(other.after.bytes()))
    }
}

impl Page {
    /// Appends the page in the protobuf format: families sorted by name, samples in the order they were added. The
    /// samples of one histogram or summary are to be added one after another; otherwise it comes in pieces.
    pub fn write_protobuf(&self, out: &mut Vec<u8>) {
        for family in self.sorted() {
            let simple = |out: &mut Vec<u8>, kind, value_field| {
                self.push_simple(out, family, "", (kind, value_field), |entry| self.suffix(entry).is_empty());
                self.push_others(out, family, (kind, value_field), |entry| !self.suffix(entry).is_empty());
            };
            match family.kind {
                Kind::Counter => simple(out, COUNTER, IN_COUNTER),
                Kind::Gauge | Kind::Info | Kind::StateSet => simple(out, GAUGE, IN_GAUGE),
                Kind::GaugeHistogram | Kind::Untyped => simple(out, UNTYPED, IN_UNTYPED),
                Kind::Summary => self.push_composed(out, family, SUMMARY, IN_SUMMARY),
                Kind::Histogram => self.push_composed(out, family, HISTOGRAM, IN_HISTOGRAM),
            }
        }
    }

    /// A family of which every sample that `belongs` is a `Metric` of its own.
    fn push_simple(
        &self,
        out: &mut Vec<u8>,
        family: &Family,
        suffix: &str,
        (kind, value_field): (i64, u32),
        belongs: impl Fn(&Entry) -> bool,
    ) {
        let mut samples = self.samples(family).filter(|entry| belongs(entry)).peekable();
        if samples.peek().is_none() {
            return;
        }
        push_delimited(out, |out| {
            push_head(out, family, suffix, kind);
            for entry in samples {
                let (own, shared) = self.labels(entry);
                push_message(out, 4, |out| {
                    push_labels(out, &[own, shared]);
                    push_message(out, value_field, |out| push_double(out, 1, entry.value));
                    push_time(out, self.timestamp_ms(entry));
                });
            }
        });
    }

    /// Samples with a suffix that their kind does not have here. A sample has no name of its own in this format, so each
    /// suffix becomes a family.
    fn push_others(
        &self,
        out: &mut Vec<u8>,
        family: &Family,
        kind: (i64, u32),
        is_other: impl Fn(&Entry) -> bool + Copy,
    ) {
        let others = || self.samples(family).filter(|entry| is_other(entry));
        for (position, entry) in others().enumerate() {
            if others().take(position).all(|earlier| self.suffix(earlier) != self.suffix(entry)) {
                self.push_simple(out, family, self.suffix(entry), kind, |other| {
                    is_other(other) && self.suffix(other) == self.suffix(entry)
                });
            }
        }
    }

    /// A family of histograms or summaries.
    fn push_composed(&self, out: &mut Vec<u8>, family: &Family, kind: i64, value_field: u32) {
        let mut pieces = self.samples(family).filter_map(|entry| self.piece(family.kind, entry)).peekable();
        if pieces.peek().is_some() {
            push_delimited(out, |out| {
                push_head(out, family, "", kind);
                while let Some(first) = pieces.next() {
                    push_message(out, 4, |out| {
                        push_labels(out, &[first.before, first.after, first.shared]);
                        push_message(out, value_field, |out| {
                            push_part(out, family.kind, &first);
                            while let Some(piece) = pieces.next_if(|piece| piece.is_beside(&first)) {
                                push_part(out, family.kind, &piece);
                            }
                        });
                        push_time(out, self.timestamp_ms(first.entry));
                    });
                }
            });
        }
        self.push_others(out, family, (UNTYPED, IN_UNTYPED), |entry| self.piece(family.kind, entry).is_none());
    }

    /// What a sample is in a histogram or summary; `None` if it is none of what they are made of.
    fn piece<'a>(&'a self, kind: Kind, entry: &'a Entry) -> Option<Piece<'a>> {
        let (own, shared) = self.labels(entry);
        let (edge_label, edge_suffix) = if kind == Kind::Histogram { ("le", "_bucket") } else { ("quantile", "") };
        let piece = |part, before, after| Piece { part, before, after, shared, entry };
        match self.suffix(entry) {
            "_sum" => Some(piece(Part::Sum, own, "")),
            "_count" => Some(piece(Part::Count, own, "")),
            suffix if suffix == edge_suffix => {
                let (before, edge, after) = LabelPairs::new(own).cut(edge_label)?;
                Some(piece(Part::Edge(edge.parse().ok()?), before, after))
            }
            _ => None,
        }
    }
}

fn push_head(out: &mut Vec<u8>, family: &Family, suffix: &str, kind: i64) {
    push_string(out, 1, &[&family.name, suffix]);
    if !family.help.is_empty() {
        push_bytes(out, 2, family.help.as_bytes());
    }
    push_integer(out, 3, kind);
}

fn push_labels(out: &mut Vec<u8>, texts: &[&str]) {
    for (name, value) in texts.iter().flat_map(|text| LabelPairs::new(text)) {
        push_message(out, 1, |out| {
            push_bytes(out, 1, name.as_bytes());
            push_bytes(out, 2, unescape(value, true).as_bytes());
        });
    }
}

fn push_time(out: &mut Vec<u8>, timestamp_ms: Option<i64>) {
    if let Some(timestamp) = timestamp_ms {
        push_integer(out, 6, timestamp);
    }
}

/// A field of `Summary` or `Histogram`.
fn push_part(out: &mut Vec<u8>, kind: Kind, piece: &Piece<'_>) {
    let value = piece.entry.value;
    match piece.part {
        Part::Count => push_count(out, (1, 4), kind, value),
        Part::Sum => push_double(out, 2, value),
        Part::Edge(quantile) if kind == Kind::Summary => push_message(out, 3, |out| {
            push_double(out, 1, quantile);
            push_double(out, 2, value);
        }),
        Part::Edge(upper_bound) => push_message(out, 3, |out| {
            push_count(out, (1, 4), kind, value);
            push_double(out, 2, upper_bound);
        }),
    }
}

/// A count as a whole number. Histograms have another field for those that are none.
fn push_count(out: &mut Vec<u8>, (whole, float): (u32, u32), kind: Kind, count: f64) {
    let is_whole = count.fract() == 0.0 && (0.0..EXACT_BELOW).contains(&count);
    if is_whole || kind == Kind::Summary {
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53, or as near as the format comes")]
        push_integer(out, whole, count as i64);
    } else {
        push_double(out, float, count);
    }
}
