//! Reading a page piece by piece into samples of known series.

use agent_exposition::{Event, Format, Kind, ParseError, Parser, Progress, Read, SampleLine};
use collector_model::{Append, AppendError, RefSample, TimestampMs};

use crate::cache::{Lookup, SeriesCache, Slot};
use crate::mapping::{Mapping, SeriesError};
use crate::metadata::MetadataCache;

/// Lines longer than this are no exposition. Keeps what is read ahead bounded.
const MAX_LINE: usize = 1 << 20;

/// Samples further in the future are not stored.
const MAX_AHEAD_MS: i64 = 10 * 60 * 1000;

/// A page cannot be turned into samples.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PageError {
    #[error("cannot parse the page")]
    Parse(#[from] ParseError),
    #[error("a line of the page is longer than {MAX_LINE} bytes")]
    LongLine,
    #[error("body size limit exceeded (limit: {0} bytes)")]
    BodySize(u64),
    #[error("sample limit exceeded (limit: {0})")]
    SampleLimit(u64),
    #[error(transparent)]
    Series(#[from] SeriesError),
    #[error("cannot store a series")]
    Store(#[from] AppendError),
}

impl PageError {
    /// As [`ScrapeError::reason`](crate::fetch::ScrapeError::reason).
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Parse(_) | Self::LongLine => "malformed",
            Self::BodySize(_) | Self::SampleLimit(_) => "limit",
            Self::Series(error) if error.is_label_limit() => "limit",
            Self::Series(_) => "malformed",
            Self::Store(_) => "window",
        }
    }
}

/// Buffers of one scrape, lent to it for as long as it reads.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The beginning of a line whose end has not come yet.
    carry: Vec<u8>,
    /// What will be stored, and which text each came from.
    pub(crate) samples: Vec<RefSample>,
    pub(crate) slots: Vec<Slot>,
}

impl Scratch {
    pub(crate) fn clear(&mut self) {
        self.carry.clear();
        self.samples.clear();
        self.slots.clear();
    }
}

/// What was counted on a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Samples on the page.
    pub(crate) scraped: u64,
    /// Samples that relabelling left.
    pub(crate) kept: u64,
    /// Series that were not on the page before.
    pub(crate) added: u64,
    /// Bytes after decompression.
    pub(crate) bytes: u64,
    /// Samples without a time of their own whose series the page had before.
    pub(crate) duplicates: u64,
    /// Samples too far in the future.
    pub(crate) out_of_bounds: u64,
    /// Samples of new series that the window has no room for.
    pub(crate) over_limit: u64,
}

/// How one scrape reads its page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) timestamp_ms: TimestampMs,
    pub(crate) now_ms: TimestampMs,
    pub(crate) honor_timestamps: bool,
    pub(crate) track_timestamps: bool,
    pub(crate) body_limit: u64,
    pub(crate) sample_limit: u64,
}

/// Reads one page.
pub(crate) struct PageReader<'a> {
    pub(crate) reading: Reading,
    pub(crate) mapping: &'a Mapping,
    pub(crate) append: &'a dyn Append,
    pub(crate) cache: &'a mut SeriesCache,
    pub(crate) metadata: &'a parking_lot::Mutex<MetadataCache>,
    pub(crate) scratch: &'a mut Scratch,
    pub(crate) counts: Counts,
    progress: Progress,
    kind: Kind,
    /// Samples taken, to be held against the limit.
    taken: u64,
}

impl<'a> PageReader<'a> {
    pub(crate) fn new(
        reading: Reading,
        mapping: &'a Mapping,
        append: &'a dyn Append,
        (cache, metadata): (&'a mut SeriesCache, &'a parking_lot::Mutex<MetadataCache>),
        scratch: &'a mut Scratch,
    ) -> Self {
        Self {
            reading,
            mapping,
            append,
            cache,
            metadata,
            scratch,
            counts: Counts::default(),
            progress: Progress::new(Format::Text004),
            kind: Kind::Untyped,
            taken: 0,
        }
    }

    /// Says what the page is written in, before its first piece.
    pub(crate) fn set_format(&mut self, format: Format) {
        self.progress = Progress::new(format);
        self.cache.set_format(format);
    }

    /// Takes the next piece.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> Result<(), PageError> {
        self.counts.bytes += piece.len() as u64;
        if self.reading.body_limit > 0 && self.counts.bytes >= self.reading.body_limit {
            return Err(PageError::BodySize(self.reading.body_limit));
        }
        let mut piece = piece;
        if !self.scratch.carry.is_empty() {
            let Some(end) = memchr::memchr(b'\n', piece) else { return self.carry(piece) };
            let (line, rest) = piece.split_at(end + 1);
            self.carry(line)?;
            let line = std::mem::take(&mut self.scratch.carry);
            let read = self.read(Parser::lines(self.progress, &line));
            self.scratch.carry = line;
            self.scratch.carry.clear();
            read?;
            piece = rest;
        }
        let consumed = self.read(Parser::lines(self.progress, piece))?;
        self.carry(piece.get(consumed..).unwrap_or(&[]))
    }

    /// Ends the page.
    pub(crate) fn finish(&mut self) -> Result<(), PageError> {
        let last = std::mem::take(&mut self.scratch.carry);
        let read = self.read(Parser::rest(self.progress, &last));
        self.scratch.carry = last;
        read?;
        match self.reading.sample_limit {
            limit if limit > 0 && self.taken > limit => Err(PageError::SampleLimit(limit)),
            _ => Ok(()),
        }
    }

    fn carry(&mut self, start: &[u8]) -> Result<(), PageError> {
        if self.scratch.carry.len() + start.len() > MAX_LINE {
            return Err(PageError::LongLine);
        }
        self.scratch.carry.extend_from_slice(start);
        Ok(())
    }

    fn read(&mut self, mut parser: Parser<'_>) -> Result<usize, PageError> {
        let metadata = self.metadata;
        let mut metadata = metadata.lock();
        loop {
            let mut guess = None;
            let read = parser.next_known(|line| {
                guess = self.cache.guess(line);
                guess.map(|(_, length)| length)
            });
            let Some(read) = read else { break };
            match (read?, guess) {
                (Read::Known { value, timestamp_ms }, Some((slot, _))) => {
                    self.cache.confirm(slot);
                    self.counts.scraped += 1;
                    self.sample(slot, value, timestamp_ms);
                }
                (Read::Event(Event::Sample(line)), _) => self.line(&line)?,
                (Read::Event(Event::Type { name, kind }), _) => {
                    self.kind = kind;
                    metadata.kind(&name, kind);
                }
                (Read::Event(Event::Help { name, text }), _) => metadata.help(&name, &text),
                (Read::Event(Event::Unit { name, unit }), _) => metadata.unit(&name, unit),
                (Read::Event(Event::Comment) | Read::Known { .. }, _) => {}
            }
        }
        self.progress = parser.progress();
        Ok(parser.consumed())
    }

    /// A sample whose series was not guessed.
    fn line(&mut self, line: &SampleLine<'_>) -> Result<(), PageError> {
        self.counts.scraped += 1;
        let slot = match self.cache.lookup(line.series) {
            Lookup::Known(slot) => slot,
            Lookup::New(text) => {
                let Some(labels) = self.mapping.map(line, self.kind)? else {
                    let slot = self.cache.insert_dropped(text);
                    self.cache.see(slot);
                    return Ok(());
                };
                if self.is_full() {
                    // Counted, but nothing of it is made or remembered.
                    self.counts.kept += 1;
                    self.taken += 1;
                    return Ok(());
                }
                match self.append.resolve(&labels) {
                    Ok(series) => self.cache.insert(text, series, labels),
                    Err(AppendError::SeriesLimit { .. }) => {
                        // Not remembered: the next scrape asks again, as there may be room by then.
                        self.counts.kept += 1;
                        self.taken += 1;
                        self.counts.over_limit += 1;
                        return Ok(());
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        };
        self.sample(slot, line.value, line.timestamp_ms);
        Ok(())
    }

    /// A sample of a known text.
    fn sample(&mut self, slot: Slot, value: f64, timestamp_ms: Option<TimestampMs>) {
        let added = self.cache.is_added(slot);
        let first = self.cache.see(slot);
        let Some(series) = self.cache.series(slot) else { return };
        self.counts.kept += 1;
        let explicit = timestamp_ms.filter(|_| self.reading.honor_timestamps);
        if !first && explicit.is_none() {
            self.counts.duplicates += 1;
            return;
        }
        self.counts.added += u64::from(added && first);
        self.taken += 1;
        let timestamp_ms = explicit.unwrap_or(self.reading.timestamp_ms);
        if timestamp_ms > self.reading.now_ms.saturating_add(MAX_AHEAD_MS) {
            self.counts.out_of_bounds += 1;
            return;
        }
        if explicit.is_none() || self.reading.track_timestamps {
            self.cache.track(slot);
        }
        if self.reading.sample_limit == 0 || self.taken <= self.reading.sample_limit {
            self.scratch.samples.push(RefSample { series, timestamp_ms, value });
            self.scratch.slots.push(slot);
        }
    }

    /// Whether the next sample is one too many.
    fn is_full(&self) -> bool {
        self.reading.sample_limit > 0 && self.taken >= self.reading.sample_limit
    }
}
