//! Reading pages: text 0.0.4 and OpenMetrics 1.0 (and 0.0.1), as Prometheus reads them.
//!
//! The parser goes over the page once, line by line, and hands out slices of it; label sets are checked but only
//! taken apart when somebody asks. A page that arrives in pieces is read piece by piece:
//!
//! ```
//! use agent_exposition::{Event, Format, Parser, Progress};
//!
//! let (mut progress, mut buffer, mut values) = (Progress::new(Format::Text004), Vec::new(), Vec::new());
//! for chunk in [&b"a 1\nb"[..], b" 2\nc", b" 3"] {
//!     buffer.extend_from_slice(chunk);
//!     let mut parser = Parser::lines(progress, &buffer);
//!     for event in &mut parser {
//!         if let Event::Sample(sample) = event? {
//!             values.push(sample.value);
//!         }
//!     }
//!     let consumed = parser.consumed();
//!     progress = parser.progress();
//!     buffer.drain(..consumed);
//! }
//! for event in Parser::rest(progress, &buffer) {
//!     if let Event::Sample(sample) = event? {
//!         values.push(sample.value);
//!     }
//! }
//! assert_eq!(values, [1.0, 2.0, 3.0]);
//! # Ok::<(), agent_exposition::ParseError>(())
//! ```

mod float;
mod known;
mod line;
mod series;

use std::borrow::Cow;

pub use float::NORMAL_NAN;
pub use known::Read;
pub use series::Labels;

use crate::{Format, Kind};
use series::{Item, Raw, Scanner};

/// One line of a page.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// `# HELP`
    Help {
        /// The family's name.
        name: Cow<'a, str>,
        /// The text, unescaped.
        text: Cow<'a, str>,
    },
    /// `# TYPE`
    Type {
        /// The family's name. A counter's lacks its `_total` in OpenMetrics.
        name: Cow<'a, str>,
        /// What it is.
        kind: Kind,
    },
    /// `# UNIT`, in OpenMetrics alone.
    Unit {
        /// The family's name.
        name: Cow<'a, str>,
        /// The unit, such as `seconds`.
        unit: &'a str,
    },
    /// Any other line that begins with `#`, in the text format alone. The text of the comment is of no use.
    Comment,
    /// A sample.
    Sample(SampleLine<'a>),
}

/// A sample as written.
#[derive(Clone, Debug)]
pub struct SampleLine<'a> {
    /// Name and labels exactly as they stand in the line. The same text means the same series; the reverse need not
    /// hold.
    pub series: &'a str,
    /// The value. Any NaN is [`NORMAL_NAN`].
    pub value: f64,
    /// Milliseconds since 1970, where the line has a time.
    pub timestamp_ms: Option<i64>,
    name: Raw<'a>,
    labels: Scanner<'a>,
}

impl<'a> SampleLine<'a> {
    /// The metric's name, unescaped.
    pub fn name(&self) -> Cow<'a, str> {
        self.name.decode()
    }

    /// The labels in the order in which they were written, unescaped, without the name. A name may come twice.
    pub fn labels(&self) -> Labels<'a> {
        Labels::new(self.labels.clone())
    }
}

/// A page cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {cause}")]
pub struct ParseError {
    /// Which line of the page, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub cause: Cause,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Cause {
    #[error("expected a metric name, a brace or a comment")]
    Start,
    #[error("not UTF-8")]
    Utf8,
    #[error("expected a metric name after HELP, TYPE or UNIT")]
    MetadataName,
    #[error("expected text after the metric name")]
    MetadataText,
    #[error("unknown metric type {0:?}")]
    Type(String),
    #[error("unit {0:?} does not end the metric name")]
    Unit(String),
    #[error("expected a label name, or an end quote")]
    LabelName,
    #[error("expected an equals sign after the label name")]
    Equal,
    #[error("expected a label value in quotes")]
    LabelValue,
    #[error("expected a comma or a closing brace")]
    Comma,
    #[error("no metric name")]
    NoName,
    #[error("a second metric name")]
    SecondName,
    #[error("expected a value")]
    NoValue,
    #[error("expected a number, found {0:?}")]
    Value(String),
    #[error("expected a time, found {0:?}")]
    Timestamp(String),
    #[error("expected the line to end, found {0:?}")]
    Trailing(String),
    #[error("expected an exemplar in the form \" # {{labels}} value\"")]
    Exemplar,
    #[error("the page does not end with # EOF")]
    NoEof,
    #[error("the page goes on after # EOF")]
    AfterEof,
}

/// How far a page has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    format: Format,
    line: usize,
    ended: bool,
}

impl Progress {
    /// The beginning of a page.
    pub fn new(format: Format) -> Self {
        Self { format, line: 0, ended: false }
    }
}

/// What is left of a piece. Checking the whole for UTF-8 at once is much cheaper than line by line, which is left for
/// pieces that are not: a comment may hold anything.
#[derive(Clone, Copy, Debug)]
enum Rest<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// A line without its newline; bytes when it is not UTF-8.
enum Line<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl<'a> Rest<'a> {
    fn new(piece: &'a [u8]) -> Self {
        std::str::from_utf8(piece).map_or(Self::Bytes(piece), Self::Text)
    }

    /// Takes a line off, and says how many bytes that were.
    fn next_line(&mut self) -> Option<(Line<'a>, usize)> {
        let bytes = match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        };
        if bytes.is_empty() {
            return None;
        }
        let newline = memchr::memchr(b'\n', bytes);
        let (length, taken) = newline.map_or((bytes.len(), bytes.len()), |at| (at, at + 1));
        let line = match self {
            Self::Text(text) => {
                let line = text.get(..length).unwrap_or("");
                *text = text.get(taken..).unwrap_or("");
                Line::Text(line)
            }
            Self::Bytes(bytes) => {
                let line = bytes.get(..length).unwrap_or(&[]);
                *bytes = bytes.get(taken..).unwrap_or(&[]);
                std::str::from_utf8(line).map_or(Line::Bytes(line), Line::Text)
            }
        };
        Some((line, taken))
    }
}

/// Reads a page as an iterator over its lines. After an error it gives nothing more.
#[derive(Clone, Debug)]
pub struct Parser<'a> {
    progress: Progress,
    rest: Rest<'a>,
    consumed: usize,
    /// Whether the page is over where `rest` is.
    whole: bool,
    failed: bool,
}

impl<'a> Parser<'a> {
    /// Reads a whole page.
    pub fn new(format: Format, page: &'a [u8]) -> Self {
        Self::rest(Progress::new(format), page)
    }

    /// Reads the complete lines of a piece of a page; what follows the last newline stays for the next piece.
    pub fn lines(progress: Progress, piece: &'a [u8]) -> Self {
        let end = memchr::memrchr(b'\n', piece).map_or(0, |at| at + 1);
        let complete = piece.get(..end).unwrap_or(&[]);
        Self { progress, rest: Rest::new(complete), consumed: 0, whole: false, failed: false }
    }

    /// Reads the last piece of a page, whose last line may lack its newline, and checks that the page ends as its
    /// format demands.
    pub fn rest(progress: Progress, piece: &'a [u8]) -> Self {
        Self { progress, rest: Rest::new(piece), consumed: 0, whole: true, failed: false }
    }

    /// How many bytes of the piece have been read.
    pub fn consumed(&self) -> usize {
        self.consumed
    }

    /// How far the page has been read.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    fn advance(&mut self) -> Result<Option<Event<'a>>, Cause> {
        while let Some((line, taken)) = self.rest.next_line() {
            self.consumed += taken;
            self.progress.line += 1;
            if self.progress.ended {
                return Err(Cause::AfterEof);
            }
            match (self.progress.format, line) {
                (Format::Text004, Line::Text(line)) => {
                    if let Some(event) = line::text(line)? {
                        return Ok(Some(event));
                    }
                }
                (Format::Text004, Line::Bytes(line)) => return line::text_not_utf8(line).map(Some),
                (Format::OpenMetrics100, Line::Text("# EOF")) => self.progress.ended = true,
                (Format::OpenMetrics100, Line::Text(line)) => return line::openmetrics(line).map(Some),
                (Format::OpenMetrics100, Line::Bytes(_)) => return Err(Cause::Utf8),
            }
        }
        if self.whole && !self.progress.ended && self.progress.format == Format::OpenMetrics100 {
            return Err(Cause::NoEof);
        }
        Ok(None)
    }
}

impl<'a> Iterator for Parser<'a> {
    type Item = Result<Event<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let event = self.advance();
        self.failed = event.is_err();
        event.map_err(|cause| ParseError { line: self.progress.line, cause }).transpose()
    }
}
