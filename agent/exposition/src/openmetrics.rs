//! OpenMetrics 1.0.
//!
//! Series keep the names they have in the text format, whichever format a scraper asks for. OpenMetrics wants a
//! counter's samples to end in `_total` and its family to be named without it. A counter without that ending, or
//! whose shortened name another family already has, is therefore announced as `unknown` under its full name:
//! renaming its series would break every query on it, and calling it a counter would make the page invalid.

use crate::escape::push_escaped;
use crate::number::{push_float_label, push_number};
use crate::page::{Entry, Family, Kind, Page};
use crate::text::push_words;

impl Page {
    /// Appends the page in OpenMetrics 1.0, `# EOF` included: families sorted by name, samples in the order they were
    /// added.
    pub fn write_openmetrics(&self, out: &mut String) {
        self.write_openmetrics_through(out, &mut |_| {});
    }

    /// As [`write_openmetrics`](Self::write_openmetrics); `after_line` may take away what was written so far.
    pub(crate) fn write_openmetrics_through(&self, out: &mut String, after_line: &mut dyn FnMut(&mut String)) {
        for family in self.sorted() {
            let (name, kind) = self.announced(family);
            if !family.help.is_empty() {
                push_words(out, &["# HELP ", name, " "]);
                push_escaped(out, &family.help, true);
                out.push('\n');
            }
            push_words(out, &["# TYPE ", name, " ", kind, "\n"]);
            for entry in self.samples(family) {
                push_words(out, &[&family.name, self.suffix(entry)]);
                self.push_openmetrics_labels(out, family.kind, entry);
                out.push(' ');
                push_number(out, entry.value);
                if let Some(timestamp) = self.timestamp_ms(entry) {
                    out.push(' ');
                    push_seconds(out, timestamp);
                }
                out.push('\n');
                after_line(out);
            }
        }
        out.push_str("# EOF\n");
    }

    /// The name and type that OpenMetrics gets for a family.
    fn announced<'a>(&self, family: &'a Family) -> (&'a str, &'static str) {
        let kind = match family.kind {
            Kind::Counter => {
                return match family.name.strip_suffix("_total") {
                    Some(short) if !short.is_empty() && self.kind_of(short).is_none() => (short, "counter"),
                    _ => (&family.name, "unknown"),
                };
            }
            Kind::Info => {
                return match family.name.strip_suffix("_info") {
                    Some(short) if !short.is_empty() && self.kind_of(short).is_none() => (short, "info"),
                    _ => (&family.name, "unknown"),
                };
            }
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::GaugeHistogram => "gaugehistogram",
            Kind::Summary => "summary",
            Kind::StateSet => "stateset",
            Kind::Untyped => "unknown",
        };
        (&family.name, kind)
    }

    fn push_openmetrics_labels(&self, out: &mut String, kind: Kind, entry: &Entry) {
        let (own, shared) = self.labels(entry);
        if own.is_empty() && shared.is_empty() {
            return;
        }
        out.push('{');
        match kind {
            Kind::Histogram | Kind::GaugeHistogram => push_with_float(out, own, "le=\""),
            Kind::Summary => push_with_float(out, own, "quantile=\""),
            _ => out.push_str(own),
        }
        if !own.is_empty() && !shared.is_empty() {
            out.push(',');
        }
        push_words(out, &[shared, "}"]);
    }
}

/// Appends labels with the number after `key` written as a float.
fn push_with_float(out: &mut String, labels: &str, key: &str) {
    let number = labels
        .match_indices(key)
        .map(|(at, _)| labels.split_at(at))
        .find(|(before, _)| before.is_empty() || before.ends_with("\","));
    let Some((before, after)) = number else {
        out.push_str(labels);
        return;
    };
    let after = after.strip_prefix(key).unwrap_or(after);
    let (number, rest) = after.split_at(after.find('"').unwrap_or(after.len()));
    push_words(out, &[before, key]);
    push_float_label(out, number);
    out.push_str(rest);
}

/// Milliseconds as seconds, with as many decimals as there are.
fn push_seconds(out: &mut String, milliseconds: i64) {
    let magnitude = milliseconds.unsigned_abs();
    if milliseconds < 0 {
        out.push('-');
    }
    out.push_str(itoa::Buffer::new().format(magnitude / 1000));
    let fraction = magnitude % 1000;
    if fraction > 0 {
        let mut buffer = itoa::Buffer::new();
        // The leading 1 keeps the zeros of .005 and is cut off again.
        let digits = buffer.format(fraction + 1000);
        push_words(out, &[".", digits.strip_prefix('1').unwrap_or(digits)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(fill: impl FnOnce(&mut Page)) -> String {
        let mut page = Page::new();
        fill(&mut page);
        let mut out = String::new();
        page.write_openmetrics(&mut out);
        out
    }

    #[test]
    fn an_empty_page_still_ends() {
        assert_eq!(written(|_| {}), "# EOF\n");
    }

    #[test]
    fn counters_keep_their_series_names() {
        let out = written(|page| {
            page.single("a_total", "Help \"a\".", Kind::Counter, 1.0);
            page.single("b", "Help b.", Kind::Counter, 2.0);
            page.single("c", "Help c.", Kind::Gauge, 3.0);
            page.single("c_total", "Help c_total.", Kind::Counter, 4.0);
            page.single("d", "Help d.", Kind::Untyped, 5.0);
        });
        assert_eq!(
            out,
            "# HELP a Help \\\"a\\\".\n# TYPE a counter\na_total 1\n\
             # HELP b Help b.\n# TYPE b unknown\nb 2\n\
             # HELP c Help c.\n# TYPE c gauge\nc 3\n\
             # HELP c_total Help c_total.\n# TYPE c_total unknown\nc_total 4\n\
             # HELP d Help d.\n# TYPE d unknown\nd 5\n# EOF\n"
        );
    }

    #[test]
    fn edges_are_floats_and_times_are_seconds() {
        let out = written(|page| {
            let h = page.family("h", "", Kind::Histogram);
            page.bucket(h, &[("sale", "le=\"2\""), ("le2", "5")], 1.0, 1.0);
            page.bucket(h, &[], f64::INFINITY, 1.0);
            page.sample_suffixed(h, "_bucket", &[("le", "5"), ("z", "7")], 1.0);
            let s = page.family("s", "", Kind::Summary);
            page.quantile(s, &[], 0.0, 1.0);
            page.quantile(s, &[], 0.5, 1.0);
            let g = page.family("t", "", Kind::Gauge);
            page.sample_at(g, &[], 1.0, 1_700_000_000_005);
            page.sample_at(g, &[("a", "b")], 1.0, -2_000);
        });
        assert_eq!(
            out,
            "# TYPE h histogram\nh_bucket{sale=\"le=\\\"2\\\"\",le2=\"5\",le=\"1.0\"} 1\n\
             h_bucket{le=\"+Inf\"} 1\nh_bucket{le=\"5.0\",z=\"7\"} 1\n\
             # TYPE s summary\ns{quantile=\"0.0\"} 1\ns{quantile=\"0.5\"} 1\n\
             # TYPE t gauge\nt 1 1700000000.005\nt{a=\"b\"} 1 -2\n# EOF\n"
        );
    }
}
