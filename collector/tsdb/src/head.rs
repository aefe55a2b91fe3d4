//! The series in memory: the open chunk of each, and where its closed ones lie.

use collector_model::{Labels, Rejection, TimestampMs};
use parking_lot::{Mutex, MutexGuard};

use crate::encoding::chunk::OpenChunk;
use crate::index::{Generation, Slot};
use crate::options::Options;
use crate::store::{FULL_CHUNK_BYTES, Locator, Store};

/// Slots in a row that share a shard: the series of one target were mostly made in a row, and an append that goes
/// through them takes each lock once.
const PAGE: usize = 256;

/// Locks. More than there are likely to be threads that append or select at the same moment.
const SHARDS: usize = 16;

/// Locators are made room for in steps of this many.
const LOCATOR_STEP: usize = 4;

/// A chunk that stays small takes so many times the samples of a full one: a query for its newest samples has to
/// unpack all of them.
const MOST_SAMPLES: u16 = 4;

/// When a chunk is full, as [`Options`] say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkSize {
    samples: u16,
    bytes: usize,
}

impl ChunkSize {
    pub(crate) fn of(options: &Options) -> Self {
        Self { samples: options.chunk_samples.max(2), bytes: options.chunk_bytes }
    }
}

/// What the window knows of one series.
pub(crate) struct Series {
    pub(crate) labels: Labels,
    pub(crate) generation: Generation,
    /// The epoch of the log in which the series was defined last.
    pub(crate) logged_in: u32,
    /// The chunk file in which the series was defined last.
    defined_in: u32,
    pub(crate) created_ms: TimestampMs,
    pub(crate) chunk: OpenChunk,
    pub(crate) closed: Vec<Locator>,
}

/// What a sample is to its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// To be appended.
    New,
    /// The newest sample again.
    Repeat,
    /// To be refused.
    Refused(Rejection),
}

impl Series {
    pub(crate) fn new(labels: Labels, generation: Generation, created_ms: TimestampMs) -> Self {
        Self {
            labels,
            generation,
            logged_in: 0,
            defined_in: 0,
            created_ms,
            chunk: OpenChunk::default(),
            closed: Vec::new(),
        }
    }

    /// Judges a sample by the newest one.
    #[inline]
    pub(crate) fn judge(&self, timestamp_ms: TimestampMs, value_bits: u64) -> Verdict {
        let newest_ms = self.chunk.newest_ms();
        if timestamp_ms > newest_ms {
            Verdict::New
        } else if timestamp_ms < newest_ms {
            Verdict::Refused(Rejection::OutOfOrder)
        } else if value_bits == self.chunk.newest_bits() {
            Verdict::Repeat
        } else {
            Verdict::Refused(Rejection::Duplicate)
        }
    }

    /// Appends a sample, and closes the chunk when that fills it.
    #[inline]
    pub(crate) fn push(&mut self, slot: Slot, sample: (TimestampMs, u64), size: ChunkSize, store: &Store) {
        self.chunk.push(sample.0, sample.1);
        if self.chunk.count() >= size.samples / 2 && self.is_full(slot, size) || self.chunk.len() >= FULL_CHUNK_BYTES {
            self.close(slot, store);
        }
    }

    fn is_full(&self, slot: Slot, size: ChunkSize) -> bool {
        // The first chunks end at different lengths, so that series made together do not all write together.
        let earlier = if self.closed.is_empty() { slot as u16 % (size.samples / 2 + 1) } else { 0 };
        let samples = size.samples - earlier;
        let count = self.chunk.count();
        count >= samples && (self.chunk.len() >= size.bytes || count >= samples.saturating_mul(MOST_SAMPLES))
    }

    /// Hands the open chunk to the store.
    pub(crate) fn close(&mut self, slot: Slot, store: &Store) {
        if self.chunk.is_empty() {
            return;
        }
        if let Some(locator) = store.put(slot, &self.labels, &self.chunk, &mut self.defined_in) {
            self.add_closed(locator);
        }
        self.chunk.clear();
    }

    /// Enters a closed chunk, newer than the ones before.
    pub(crate) fn add_closed(&mut self, locator: Locator) {
        if self.closed.len() == self.closed.capacity() {
            self.closed.reserve_exact(LOCATOR_STEP);
        }
        self.closed.push(locator);
    }

    /// Lets go of the chunks in files before this one, and of those without a sample from `min_ms` on.
    pub(crate) fn drop_before(&mut self, file: u32, min_ms: TimestampMs) {
        let is_old = |locator: &&Locator| locator.file < file || locator.newest_ms() < min_ms;
        let gone = self.closed.iter().take_while(is_old).count();
        if gone > 0 {
            self.closed.drain(..gone);
            self.closed.shrink_to(self.closed.len() + LOCATOR_STEP);
        }
    }

    /// Bytes of memory, reckoned: the parts and what the allocator adds to each.
    pub(crate) fn memory_bytes(&self) -> usize {
        const ALLOCATION: usize = 8;
        let labels = self.labels.packed_len() + 16 + ALLOCATION;
        let closed = self.closed.capacity() * size_of::<Locator>() + ALLOCATION;
        size_of::<Option<Self>>() + labels + closed + self.chunk.capacity() + ALLOCATION
    }
}

#[derive(Default)]
struct Shard {
    series: Vec<Option<Series>>,
}

/// All series, by slot.
#[derive(Default)]
pub(crate) struct Head {
    shards: [Mutex<Shard>; SHARDS],
}

fn place(slot: Slot) -> (usize, usize) {
    let slot = slot as usize;
    let page = slot / PAGE;
    (page % SHARDS, page / SHARDS * PAGE + slot % PAGE)
}

impl Head {
    /// Goes from series to series; holds one lock at a time.
    pub(crate) fn cursor(&self) -> Cursor<'_> {
        Cursor { head: self, held: None }
    }

    /// Puts a series in a slot.
    pub(crate) fn insert(&self, slot: Slot, series: Series) {
        let (shard, place) = place(slot);
        let Some(shard) = self.shards.get(shard) else { return };
        let all = &mut shard.lock().series;
        if all.len() <= place {
            // In whole pages: the doubling of a vector would cost as much as half of the series.
            all.reserve_exact((place + 1 - all.len()).next_multiple_of(PAGE));
            all.resize_with(place + 1, || None);
        }
        if let Some(room) = all.get_mut(place) {
            *room = Some(series);
        }
    }

    /// The first slots of the pages that hold so many slots.
    pub(crate) fn pages(slots: usize) -> impl Iterator<Item = Slot> {
        (0..slots as Slot).step_by(PAGE)
    }

    /// Visits the series of a page under its lock. The visitor may take a series out.
    pub(crate) fn visit(&self, page: Slot, mut visit: impl FnMut(Slot, &mut Option<Series>)) {
        let (shard, from) = place(page);
        let Some(shard) = self.shards.get(shard) else { return };
        let mut shard = shard.lock();
        let series = shard.series.get_mut(from..).unwrap_or_default();
        for (slot, series) in (page..).zip(series.iter_mut().take(PAGE)) {
            if series.is_some() {
                visit(slot, series);
            }
        }
    }
}

/// Holds the lock of the shard that was needed last.
pub(crate) struct Cursor<'a> {
    head: &'a Head,
    held: Option<(usize, MutexGuard<'a, Shard>)>,
}

impl Cursor<'_> {
    /// The series in a slot, if it is still the one that was meant.
    #[inline]
    pub(crate) fn get(&mut self, slot: Slot, generation: Generation) -> Option<&mut Series> {
        let (shard, place) = place(slot);
        if self.held.as_ref().is_none_or(|(held, _)| *held != shard) {
            // The old lock goes before the new one is waited for: nobody ever holds two.
            self.held = None;
            self.held = Some((shard, self.head.shards.get(shard)?.lock()));
        }
        let (_, guard) = self.held.as_mut()?;
        guard.series.get_mut(place)?.as_mut().filter(|series| series.generation == generation)
    }
}
