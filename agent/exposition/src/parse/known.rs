//! Lines of series that their reader has met before.

use super::line::{openmetrics_numbers, text_numbers};
use super::series::skip_blanks;
use super::{Cause, Event, Line, ParseError, Parser};
use crate::Format;

/// One line, read with the help of a reader who has read many like it.
#[derive(Clone, Debug)]
pub enum Read<'a> {
    /// A sample whose series the reader recognised.
    Known {
        /// The value. Any NaN is [`NORMAL_NAN`](crate::NORMAL_NAN).
        value: f64,
        /// Milliseconds since 1970, where the line has a time.
        timestamp_ms: Option<i64>,
    },
    /// Any other line.
    Event(Event<'a>),
}

impl<'a> Parser<'a> {
    /// Reads the next line as the iterator does, but does not take apart a series that `recognise` knows: it is given
    /// the line and says how many bytes at its start are, byte for byte, a
    /// [`SampleLine::series`](crate::SampleLine::series) that a parser of the same format gave before. That saves
    /// most of the work on pages that repeat their series.
    pub fn next_known(
        &mut self,
        recognise: impl FnOnce(&'a str) -> Option<usize>,
    ) -> Option<Result<Read<'a>, ParseError>> {
        match self.known(recognise) {
            Some(Ok((value, timestamp_ms))) => Some(Ok(Read::Known { value, timestamp_ms })),
            Some(Err(cause)) => {
                self.failed = true;
                Some(Err(ParseError { line: self.progress.line, cause }))
            }
            None => self.next().map(|event| event.map(Read::Event)),
        }
    }

    /// Takes a line off when its series is known.
    fn known(&mut self, recognise: impl FnOnce(&'a str) -> Option<usize>) -> Option<Result<Numbers, Cause>> {
        if self.failed || self.progress.ended {
            return None;
        }
        let mut rest = self.rest;
        let (Line::Text(line), taken) = rest.next_line()? else { return None };
        let numbers = after_series(line, recognise(line)?)?;
        self.rest = rest;
        self.consumed += taken;
        self.progress.line += 1;
        Some(match self.progress.format {
            Format::Text004 => text_numbers(numbers),
            Format::OpenMetrics100 => openmetrics_numbers(numbers),
        })
    }
}

type Numbers = (f64, Option<i64>);

/// What follows a series of that length; `None` where the line may hold another, longer one: `a` begins `ab`, and
/// `a {b="c"}` too. A series that ends with a brace is complete.
fn after_series(line: &str, length: usize) -> Option<&str> {
    let (series, rest) = line.split_at_checked(length)?;
    let complete = series.ends_with('}') || (rest.starts_with([' ', '\t']) && !skip_blanks(rest).starts_with('{'));
    complete.then_some(rest)
}
