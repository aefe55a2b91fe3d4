//! The records that frames carry. The first byte of each says which it is.

use std::str;

use collector_model::{Labels, TimestampMs};

use super::chunk::OpenChunk;
use super::varint;

/// A number that stands for a series inside one file, or one run of log segments.
pub type SeriesId = u32;

const ERA: u8 = 1;
const SERIES: u8 = 2;
const SAMPLES: u8 = 3;
const CHUNK: u8 = 4;
const CHECKPOINT_END: u8 = 5;

/// A record, read.
#[derive(Clone, Debug, PartialEq)]
pub enum Record<'a> {
    /// A process began to write here: numbers given out before stand for nothing any more.
    Era,
    /// From here on the number stands for the series with these labels.
    Series {
        /// The number.
        id: SeriesId,
        /// The labels.
        labels: Labels,
    },
    /// The accepted samples of one append.
    Samples(SampleReader<'a>),
    /// A chunk, closed in a chunk file, open in a checkpoint.
    Chunk(ChunkRecord<'a>),
    /// The last record of a checkpoint that was written to its end.
    CheckpointEnd,
}

/// A chunk of one series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRecord<'a> {
    /// The series.
    pub id: SeriesId,
    /// How many samples; an open chunk may have none and still say which sample was the newest.
    pub count: u16,
    /// The time stamp of the first.
    pub first_ms: TimestampMs,
    /// The time stamp of the newest.
    pub newest_ms: TimestampMs,
    /// The value of the newest, as bits.
    pub newest_bits: u64,
    /// The packed samples.
    pub packed: &'a [u8],
}

/// Reads any record, or nothing where the bytes are none.
pub fn read(payload: &[u8]) -> Option<Record<'_>> {
    let (kind, mut rest) = payload.split_first()?;
    match *kind {
        ERA => Some(Record::Era),
        SERIES => {
            let id = take_id(&mut rest)?;
            Some(Record::Series { id, labels: take_labels(&mut rest)? })
        }
        SAMPLES => {
            let base_ms = varint::take_signed(&mut rest)?;
            Some(Record::Samples(SampleReader { rest, next_id: 0, timestamp_ms: base_ms }))
        }
        CHUNK => take_chunk(rest).map(Record::Chunk),
        CHECKPOINT_END => Some(Record::CheckpointEnd),
        _ => None,
    }
}

/// Writes [`Record::Era`].
pub fn put_era(out: &mut Vec<u8>) {
    out.push(ERA);
}

/// Writes [`Record::CheckpointEnd`].
pub fn put_checkpoint_end(out: &mut Vec<u8>) {
    out.push(CHECKPOINT_END);
}

/// Writes [`Record::Series`].
pub fn put_series(out: &mut Vec<u8>, id: SeriesId, labels: &Labels) {
    out.push(SERIES);
    varint::put(out, u64::from(id));
    for (name, value) in labels {
        for field in [name, value] {
            varint::put(out, field.len() as u64);
            out.extend_from_slice(field.as_bytes());
        }
    }
}

/// Writes [`Record::Chunk`].
pub fn put_chunk(out: &mut Vec<u8>, id: SeriesId, chunk: &OpenChunk) {
    out.push(CHUNK);
    varint::put(out, u64::from(id));
    varint::put(out, u64::from(chunk.count()));
    let first_ms = if chunk.is_empty() { chunk.newest_ms() } else { chunk.first_ms() };
    varint::put_signed(out, first_ms);
    varint::put(out, chunk.newest_ms().wrapping_sub(first_ms) as u64);
    out.extend_from_slice(&chunk.newest_bits().to_le_bytes());
    chunk.copy_to(out);
}

fn take_id(rest: &mut &[u8]) -> Option<SeriesId> {
    SeriesId::try_from(varint::take(rest)?).ok()
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let len = usize::try_from(varint::take(rest)?).ok()?;
    let (text, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    str::from_utf8(text).ok()
}

fn take_labels(rest: &mut &[u8]) -> Option<Labels> {
    let mut pairs = Vec::new();
    while !rest.is_empty() {
        let name = take_text(rest)?;
        let value = take_text(rest)?;
        let in_order = pairs.last().is_none_or(|(last, _)| *last < name);
        if !in_order || value.is_empty() {
            return None;
        }
        pairs.push((name, value));
    }
    Some(Labels::from_sorted(pairs.into_iter()))
}

fn take_chunk(mut rest: &[u8]) -> Option<ChunkRecord<'_>> {
    let id = take_id(&mut rest)?;
    let count = u16::try_from(varint::take(&mut rest)?).ok()?;
    let first_ms = varint::take_signed(&mut rest)?;
    let newest_ms = first_ms.wrapping_add(varint::take(&mut rest)? as i64);
    let (newest, packed) = rest.split_first_chunk()?;
    Some(ChunkRecord { id, count, first_ms, newest_ms, newest_bits: u64::from_le_bytes(*newest), packed })
}

/// Collects the samples of one append.
#[derive(Debug, Default)]
pub struct SampleWriter {
    out: Vec<u8>,
    next_id: SeriesId,
    timestamp_ms: TimestampMs,
    count: usize,
}

/// Whole numbers up to this size are written as such; larger ones are no shorter that way.
const MAX_WHOLE: u64 = 1 << 52;

impl SampleWriter {
    /// Starts over, keeping the memory.
    pub fn clear(&mut self) {
        self.out.clear();
        self.next_id = 0;
        self.count = 0;
    }

    /// Adds a sample.
    #[inline]
    pub fn push(&mut self, id: SeriesId, timestamp_ms: TimestampMs, value: f64) {
        if self.count == 0 {
            self.out.push(SAMPLES);
            varint::put_signed(&mut self.out, timestamp_ms);
            self.timestamp_ms = timestamp_ms;
        }
        self.count += 1;
        let step = varint::zigzag(i64::from(id) - i64::from(self.next_id)) << 1;
        self.next_id = id.wrapping_add(1);
        if timestamp_ms == self.timestamp_ms {
            varint::put(&mut self.out, step);
        } else {
            varint::put(&mut self.out, step | 1);
            varint::put_signed(&mut self.out, timestamp_ms.wrapping_sub(self.timestamp_ms));
            self.timestamp_ms = timestamp_ms;
        }
        let whole = value as i64;
        if whole.unsigned_abs() < MAX_WHOLE && (whole as f64).to_bits() == value.to_bits() {
            varint::put(&mut self.out, varint::zigzag(whole) << 1);
        } else {
            self.out.push(1);
            self.out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
    }

    /// How many samples were added.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The record, empty when no sample was added.
    pub fn as_bytes(&self) -> &[u8] {
        &self.out
    }
}

/// A sample in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedSample {
    /// The series.
    pub id: SeriesId,
    /// When.
    pub timestamp_ms: TimestampMs,
    /// What, as bits.
    pub value_bits: u64,
}

/// Gives the samples of one append; ends at the first that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleReader<'a> {
    rest: &'a [u8],
    next_id: SeriesId,
    timestamp_ms: TimestampMs,
}

impl Iterator for SampleReader<'_> {
    type Item = LoggedSample;

    #[inline]
    fn next(&mut self) -> Option<LoggedSample> {
        let head = varint::take(&mut self.rest)?;
        let id = i64::from(self.next_id).checked_add(varint::unzigzag(head >> 1))?;
        let id = SeriesId::try_from(id).ok()?;
        self.next_id = id.wrapping_add(1);
        if head & 1 == 1 {
            self.timestamp_ms = self.timestamp_ms.wrapping_add(varint::take_signed(&mut self.rest)?);
        }
        let value = varint::take(&mut self.rest)?;
        let value_bits = if value & 1 == 0 {
            (varint::unzigzag(value >> 1) as f64).to_bits()
        } else {
            let (bits, rest) = self.rest.split_first_chunk()?;
            self.rest = rest;
            u64::from_le_bytes(*bits)
        };
        Some(LoggedSample { id, timestamp_ms: self.timestamp_ms, value_bits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_scrape_takes_two_bytes_a_small_counter() {
        let mut writer = SampleWriter::default();
        for id in 1_000..2_000 {
            writer.push(id, 1_700_000_000_000, f64::from(id % 32));
        }
        assert!(writer.as_bytes().len() < 2_020, "{}", writer.as_bytes().len());
    }

    #[test]
    fn refuses_labels_that_no_set_can_have() {
        for pairs in [&["b", "1", "a", "1"][..], &["a", "1", "a", "2"], &["a", ""], &["a"]] {
            let mut payload = vec![SERIES, 0];
            for field in pairs {
                varint::put(&mut payload, field.len() as u64);
                payload.extend_from_slice(field.as_bytes());
            }
            assert_eq!(read(&payload), None, "{pairs:?}");
        }
        assert_eq!(read(&[SERIES, 0, 1, 0xff, 1, b'x']), None);
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[77]), None);
    }

    fn any_value() -> impl Strategy<Value = u64> {
        prop_oneof![any::<u64>(), any::<i64>().prop_map(|i| (i as f64).to_bits()), Just((-0.0_f64).to_bits())]
    }

    proptest! {
        #[test]
        fn samples_come_back(samples in proptest::collection::vec((any::<u32>(), any::<i64>(), any_value()), 1..50)) {
            let mut writer = SampleWriter::default();
            writer.push(1, 2, 3.0);
            writer.clear();
            for (id, timestamp_ms, bits) in &samples {
                writer.push(*id, *timestamp_ms, f64::from_bits(*bits));
            }
            let Some(Record::Samples(reader)) = read(writer.as_bytes()) else { panic!("no samples") };
            let back: Vec<_> = reader.map(|s| (s.id, s.timestamp_ms, s.value_bits)).collect();
            prop_assert_eq!(back, samples);
        }

        #[test]
        fn series_come_back(id in any::<u32>(), pairs in proptest::collection::btree_map(".{1,9}", ".{1,300}", 0..6)) {
            let labels = Labels::from_pairs(pairs);
            let mut out = Vec::new();
            put_series(&mut out, id, &labels);
            prop_assert_eq!(read(&out), Some(Record::Series { id, labels }));
        }

        #[test]
        fn chunks_come_back(id in any::<u32>(), samples in proptest::collection::vec((any::<i64>(), any::<u64>()), 0..9)) {
            let mut chunk = OpenChunk::default();
            for (timestamp_ms, bits) in &samples {
                chunk.push(*timestamp_ms, *bits);
            }
            let mut out = Vec::new();
            put_chunk(&mut out, id, &chunk);
            let Some(Record::Chunk(back)) = read(&out) else { panic!("no chunk") };
            prop_assert_eq!((back.id, usize::from(back.count)), (id, samples.len()));
            prop_assert_eq!((back.newest_ms, back.newest_bits), (chunk.newest_ms(), chunk.newest_bits()));
            if let Some((first_ms, _)) = samples.first() {
                prop_assert_eq!(back.first_ms, *first_ms);
            }
            let mut packed = Vec::new();
            chunk.copy_to(&mut packed);
            prop_assert_eq!(back.packed, packed);
        }

        #[test]
        fn reads_any_bytes(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(Record::Samples(reader)) = read(&payload) {
                prop_assert!(reader.count() <= payload.len());
            }
        }
    }
}
