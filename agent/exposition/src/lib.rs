//! Metric pages: families and samples, the writers of text, OpenMetrics and protobuf, their compression, the parser and
//! content negotiation.
//!
//! The agent writes pages with it, the collector's scraper reads them. No I/O happens here.

mod escape;
mod gzip;
mod label_pairs;
mod negotiate;
mod number;
mod openmetrics;
mod page;
mod parse;
mod protobuf;
mod remote_write;
mod text;
mod wire;

pub use gzip::Gzip;
pub use negotiate::{Coding, Format, Representation, negotiate, negotiate_coding, negotiate_text};
pub use number::float_label;
pub use page::{FamilyId, Kind, Page, SharedId};
pub use parse::{Cause, Event, Labels, NORMAL_NAN, ParseError, Parser, Progress, Read, SampleLine};
pub use remote_write::{STALE, SeriesSample, TargetLabels, push_time_series};

impl Page {
    /// Appends the page in the given text format.
    pub fn write(&self, format: Format, out: &mut String) {
        match format {
            Format::Text004 => self.write_text(out),
            Format::OpenMetrics100 => self.write_openmetrics(out),
        }
    }

    /// As [`write`](Self::write), in parts: what `out` holds is handed to `take` whenever it is at least `part` bytes, and
    /// at the end, and is cleared then. So a page need not be in memory as text as a whole.
    pub fn write_in_parts(&self, format: Format, part: usize, out: &mut String, take: &mut dyn FnMut(&str)) {
        let mut after_line = |out: &mut String| {
            if out.len() >= part {
                take(out);
                out.clear();
            }
        };
        match format {
            Format::Text004 => self.write_text_through(out, &mut after_line),
            Format::OpenMetrics100 => self.write_openmetrics_through(out, &mut after_line),
        }
        take(out);
        out.clear();
    }
}
