//! Names and label sets: `name{label="value",…}` and `{"name",label="value"}`.

use std::borrow::Cow;

use super::{Cause, Format};
use crate::escape::unescape;

/// Text between quotes or bare, not yet unescaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Raw<'a> {
    text: &'a str,
    quoted: bool,
}

impl<'a> Raw<'a> {
    pub(super) fn bare(text: &'a str) -> Self {
        Self { text, quoted: false }
    }

    pub(super) fn decode(self) -> Cow<'a, str> {
        if self.quoted { unescape(self.text, true) } else { Cow::Borrowed(self.text) }
    }
}

/// What stands between two commas.
pub(super) enum Item<'a> {
    /// A quoted metric name.
    Name(Raw<'a>),
    Label(Raw<'a>, Raw<'a>),
}

/// Walks over the inside of `{…}`, up to and over the closing brace.
#[derive(Clone, Debug)]
pub(super) struct Scanner<'a> {
    /// What is left to read.
    pub(super) rest: &'a str,
    format: Format,
}

impl<'a> Scanner<'a> {
    /// `rest` begins after the opening brace.
    pub(super) fn new(rest: &'a str, format: Format) -> Self {
        Self { rest, format }
    }

    /// The next item, or `None` past the closing brace.
    pub(super) fn next(&mut self) -> Result<Option<Item<'a>>, Cause> {
        self.skip_blanks();
        if self.take('}') {
            return Ok(None);
        }
        let name = if self.rest.starts_with('"') {
            self.quoted().ok_or(Cause::LabelName)?
        } else {
            let (name, rest) = self.rest.split_at(name_len(self.rest, false));
            if name.is_empty() {
                return Err(Cause::LabelName);
            }
            self.rest = rest;
            Raw::bare(name)
        };
        self.skip_blanks();
        if !self.take('=') {
            if !name.quoted || !(self.rest.starts_with([',', '}'])) {
                return Err(Cause::Equal);
            }
            self.take(',');
            return Ok(Some(Item::Name(name)));
        }
        self.skip_blanks();
        let value = self.quoted().ok_or(Cause::LabelValue)?;
        self.skip_blanks();
        // Prometheus reads `a="1" b="2"` in the text format too.
        if !self.take(',') && self.format == Format::OpenMetrics100 && !self.rest.starts_with('}') {
            return Err(Cause::Comma);
        }
        Ok(Some(Item::Label(name, value)))
    }

    /// Blanks may stand anywhere in the text format and nowhere in OpenMetrics.
    fn skip_blanks(&mut self) {
        if self.format == Format::Text004 {
            self.rest = skip_blanks(self.rest);
        }
    }

    fn take(&mut self, expected: char) -> bool {
        let rest = self.rest.strip_prefix(expected);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn quoted(&mut self) -> Option<Raw<'a>> {
        let (raw, rest) = quoted(self.rest)?;
        self.rest = rest;
        Some(raw)
    }
}

/// `text` from its first byte on that is no blank.
pub(super) fn skip_blanks(text: &str) -> &str {
    let mut rest = text;
    // Mostly there is none or one, so this costs a comparison or two.
    while let Some(next) = rest.strip_prefix(' ').or_else(|| rest.strip_prefix('\t')) {
        rest = next;
    }
    rest
}

/// Text in quotes at the start of `text`, and what follows it.
pub(super) fn quoted(text: &str) -> Option<(Raw<'_>, &str)> {
    let inside = text.strip_prefix('"')?;
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'"', b'\\', inside.as_bytes().get(from..)?)?;
        let (content, after) = inside.split_at(at);
        if let Some(rest) = after.strip_prefix('"') {
            return Some((Raw { text: content, quoted: true }, rest));
        }
        // A backslash takes the next byte with it.
        from = at + 2;
    }
}

/// How many bytes at the start of `text` make a metric or label name; 0 when it begins with no name.
pub(super) fn name_len(text: &str, colons: bool) -> usize {
    let wanted = if colons { METRIC } else { LABEL };
    let length = text.bytes().position(|byte| CLASS.get(byte as usize).is_none_or(|class| class & wanted == 0));
    match text.as_bytes().first() {
        Some(b'0'..=b'9') | None => 0,
        Some(_) => length.unwrap_or(text.len()),
    }
}

const LABEL: u8 = 1;
const METRIC: u8 = 2;

/// Which names a byte may stand in.
const CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::indexing_slicing, reason = "the index is below the array's length, at compile time")]
        if (byte as u8).is_ascii_alphanumeric() || byte == b'_' as usize {
            table[byte] = LABEL | METRIC;
        } else if byte == b':' as usize {
            table[byte] = METRIC;
        }
        byte += 1;
    }
    table
};

/// The labels of a sample as (name, value), in the order in which they were written, unescaped.
#[derive(Clone, Debug)]
pub struct Labels<'a> {
    scanner: Scanner<'a>,
}

impl<'a> Labels<'a> {
    pub(super) fn new(scanner: Scanner<'a>) -> Self {
        Self { scanner }
    }
}

impl<'a> Iterator for Labels<'a> {
    type Item = (Cow<'a, str>, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // The parser went over this text before and found it right.
            match self.scanner.next().ok()?? {
                Item::Label(name, value) => return Some((name.decode(), value.decode())),
                Item::Name(_) => {}
            }
        }
    }
}
