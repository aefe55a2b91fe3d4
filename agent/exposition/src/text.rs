//! The text format 0.0.4, byte for byte as client_golang writes it.

use crate::escape::push_escaped;
use crate::number::push_number;
use crate::page::{Entry, Kind, Page};

impl Page {
    /// Appends the page in the text format 0.0.4: families sorted by name, samples in the order they were added.
    pub fn write_text(&self, out: &mut String) {
        self.write_text_through(out, &mut |_| {});
    }

    /// As [`write_text`](Self::write_text); `after_line` may take away what was written so far.
    pub(crate) fn write_text_through(&self, out: &mut String, after_line: &mut dyn FnMut(&mut String)) {
        for family in self.sorted() {
            if !family.help.is_empty() {
                push_words(out, &["# HELP ", &family.name, " "]);
                push_escaped(out, &family.help, false);
                out.push('\n');
            }
            push_words(out, &["# TYPE ", &family.name, " ", kind_name(family.kind), "\n"]);
            for entry in self.samples(family) {
                push_words(out, &[&family.name, self.suffix(entry)]);
                self.push_labels(out, entry);
                out.push(' ');
                push_number(out, entry.value);
                if let Some(timestamp) = self.timestamp_ms(entry) {
                    push_words(out, &[" ", itoa::Buffer::new().format(timestamp)]);
                }
                out.push('\n');
                after_line(out);
            }
        }
    }

    fn push_labels(&self, out: &mut String, entry: &Entry) {
        match self.labels(entry) {
            ("", "") => {}
            (own, "") => push_words(out, &["{", own, "}"]),
            ("", shared) => push_words(out, &["{", shared, "}"]),
            (own, shared) => push_words(out, &["{", own, ",", shared, "}"]),
        }
    }
}

/// The text format knows five kinds; those that OpenMetrics added become the nearest of them.
fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge | Kind::Info | Kind::StateSet => "gauge",
        Kind::Histogram => "histogram",
        Kind::Summary => "summary",
        Kind::GaugeHistogram | Kind::Untyped => "untyped",
    }
}

pub(crate) fn push_words(out: &mut String, words: &[&str]) {
    for word in words {
        out.push_str(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_every_kind() {
        let mut page = Page::new();
        let histogram = page.family("h", "A histogram.", Kind::Histogram);
        page.bucket(histogram, &[("a", "b")], 0.5, 1.0);
        page.bucket(histogram, &[("a", "b")], 1.0, 2.0);
        page.bucket(histogram, &[("a", "b")], f64::INFINITY, 3.0);
        page.sample_suffixed(histogram, "_sum", &[("a", "b")], 12.5);
        page.sample_suffixed(histogram, "_count", &[("a", "b")], 3.0);
        let summary = page.family("s", "A \"summary\" with \\ and\nnewline.", Kind::Summary);
        page.quantile(summary, &[], 0.99, f64::NAN);
        let counter = page.family("c_total", "A counter.", Kind::Counter);
        page.sample_at(counter, &[("path", "C:\\\"x\"\n")], 1e6, 1_700_000_000_123);
        page.family("empty", "Never printed.", Kind::Gauge);
        let mut out = String::new();
        page.write_text(&mut out);
        assert_eq!(
            out,
            "# HELP c_total A counter.\n# TYPE c_total counter\n\
             c_total{path=\"C:\\\\\\\"x\\\"\\n\"} 1e+06 1700000000123\n\
             # HELP h A histogram.\n# TYPE h histogram\n\
             h_bucket{a=\"b\",le=\"0.5\"} 1\nh_bucket{a=\"b\",le=\"1\"} 2\nh_bucket{a=\"b\",le=\"+Inf\"} 3\n\
             h_sum{a=\"b\"} 12.5\nh_count{a=\"b\"} 3\n\
             # HELP s A \"summary\" with \\\\ and\\nnewline.\n# TYPE s summary\ns{quantile=\"0.99\"} NaN\n"
        );
    }
}
