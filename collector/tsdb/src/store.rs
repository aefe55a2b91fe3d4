//! The closed chunks: written to files one after the other, read back one at a time.
//!
//! A chunk has its place from the moment it is closed. Its bytes wait in a buffer until there are enough of them
//! for a write, and a reader looks there first. A file is only ever appended to, and goes as a whole once all of it
//! has left the window. Each file says itself which series its numbers stand for, so that it can be read alone.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use collector_model::{Labels, TimestampMs};
use parking_lot::Mutex;
use tracing::{error, info, warn};

use crate::disk::{Disk, DiskFile};
use crate::encoding::chunk::OpenChunk;
use crate::encoding::frame::{self, FRAME_HEADER_LEN, FileKind, Front};
use crate::encoding::record::{self, ChunkRecord, Record, SeriesId};
use crate::metrics::Metrics;
use crate::names;
use crate::options::Options;

/// Bytes that are worth a write.
const WRITE_AT: usize = 64 << 10;

/// Bytes after which a file is followed by the next, at most. Large, as each file defines its series anew.
const FILE_BYTES: u64 = 1 << 30;

/// The room for all files is at least so many files, so that the oldest can go.
const FILES_IN_ROOM: u64 = 8;

/// A packed chunk longer than this is closed whatever its count, so that a series of noise stays small in memory.
pub(crate) const FULL_CHUNK_BYTES: usize = 512;

/// Bytes that hold any chunk with its frame: one read is enough.
const READ_BYTES: usize = FULL_CHUNK_BYTES + 128;

/// Where a closed chunk lies. The first time stamp is not here: it comes after the last of the chunk before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Locator {
    /// The number of the file.
    pub(crate) file: u32,
    offset: u32,
    /// The last time stamp in whole seconds, rounded up; beyond either end of what fits, the end.
    newest_s: u32,
}

impl Locator {
    pub(crate) fn new(file: u32, offset: u32, newest_ms: TimestampMs) -> Self {
        let newest_s = newest_ms.div_euclid(1_000).saturating_add(i64::from(newest_ms.rem_euclid(1_000) > 0));
        Self { file, offset, newest_s: newest_s.clamp(0, i64::from(u32::MAX)) as u32 }
    }

    /// No sample of the chunk is newer than this.
    pub(crate) fn newest_ms(self) -> TimestampMs {
        if self.newest_s == u32::MAX { TimestampMs::MAX } else { i64::from(self.newest_s) * 1_000 }
    }

    /// The newest sample of the chunk is no older than this, and so are all chunks that follow.
    pub(crate) fn newest_at_least_ms(self) -> TimestampMs {
        if self.newest_s == 0 { TimestampMs::MIN } else { (i64::from(self.newest_s) - 1) * 1_000 }
    }
}

struct Sealed {
    file: Arc<dyn DiskFile>,
    bytes: u64,
    span: Span,
}

/// The oldest and the newest time stamp in a file; the ends of time the wrong way round while there is none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) oldest_ms: TimestampMs,
    pub(crate) newest_ms: TimestampMs,
}

impl Span {
    pub(crate) const EMPTY: Self = Self { oldest_ms: TimestampMs::MAX, newest_ms: TimestampMs::MIN };

    /// Widens the span.
    pub(crate) fn add(&mut self, oldest_ms: TimestampMs, newest_ms: TimestampMs) {
        self.oldest_ms = self.oldest_ms.min(oldest_ms);
        self.newest_ms = self.newest_ms.max(newest_ms);
    }

    pub(crate) fn is_empty(self) -> bool {
        self.oldest_ms > self.newest_ms
    }
}

struct Active {
    number: u32,
    file: Option<Arc<dyn DiskFile>>,
    /// Bytes in the file; what follows them is in `buffer`.
    flushed: u64,
    buffer: Vec<u8>,
    /// Samples in the buffer.
    unwritten_samples: u64,
    began_ms: Option<TimestampMs>,
    span: Span,
    dirty: bool,
    refused: bool,
}

impl Active {
    fn new(number: u32) -> Self {
        Self {
            number,
            file: None,
            flushed: 0,
            buffer: FileKind::Chunks.header().to_vec(),
            unwritten_samples: 0,
            began_ms: None,
            span: Span::EMPTY,
            dirty: false,
            refused: false,
        }
    }

    fn bytes(&self) -> u64 {
        self.flushed + self.buffer.len() as u64
    }
}

struct State {
    active: Active,
    sealed: BTreeMap<u32, Sealed>,
    /// Sealed files that were not yet synced.
    unsynced: Vec<Arc<dyn DiskFile>>,
}

/// All closed chunks.
pub(crate) struct Store {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    file_bytes: u64,
    unwritten_bytes: usize,
    metrics: Metrics,
    state: Mutex<State>,
}

/// What a look at one closed chunk gave.
pub(crate) enum Chunk<'a> {
    /// The chunk.
    Found(ChunkRecord<'a>),
    /// Its file has left the window.
    Gone,
    /// The bytes are damaged.
    Damaged,
}

impl Store {
    /// A store whose next file has this number.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        next_number: u32,
        options: &Options,
        metrics: Metrics,
    ) -> Self {
        let file_bytes = options.retention_bytes.map_or(FILE_BYTES, |room| (room / FILES_IN_ROOM).min(FILE_BYTES));
        let unwritten_bytes = options.unwritten_bytes;
        let state =
            Mutex::new(State { active: Active::new(next_number), sealed: BTreeMap::new(), unsynced: Vec::new() });
        Self { disk, dir, file_bytes, unwritten_bytes, metrics, state }
    }

    /// Takes over a file that an earlier process wrote.
    pub(crate) fn adopt(&self, number: u32, file: Arc<dyn DiskFile>, bytes: u64, span: Span) {
        let mut state = self.state.lock();
        // That process may have died before it came to syncing.
        state.unsynced.push(Arc::clone(&file));
        state.sealed.insert(number, Sealed { file, bytes, span });
    }

    /// Takes a full chunk. `defined_in` is the number of the file that last said which series `id` stands for.
    /// `None` when the disk refuses and the buffer is full: then the chunk is lost, and counted.
    pub(crate) fn put(
        &self,
        id: SeriesId,
        labels: &Labels,
        chunk: &OpenChunk,
        defined_in: &mut u32,
    ) -> Option<Locator> {
        let mut state = self.state.lock();
        if state.active.bytes() >= self.file_bytes {
            self.seal(&mut state);
        }
        let active = &mut state.active;
        let full = active.buffer.len() >= self.unwritten_bytes;
        let Some(mut offset) = u32::try_from(active.bytes()).ok().filter(|_| !full) else {
            self.metrics.count_not_kept("chunk_files_full", u64::from(chunk.count()));
            return None;
        };
        if *defined_in != active.number {
            *defined_in = active.number;
            let defined = frame::put(&mut active.buffer, |out| record::put_series(out, id, labels));
            offset = offset.checked_add(u32::try_from(defined.len()).ok()?)?;
        }
        frame::put(&mut active.buffer, |out| record::put_chunk(out, id, chunk));
        active.span.add(chunk.first_ms(), chunk.newest_ms());
        active.unwritten_samples += u64::from(chunk.count());
        self.metrics.chunks_created.inc();
        let locator = Locator::new(active.number, offset, chunk.newest_ms());
        if active.buffer.len() >= WRITE_AT && !active.refused {
            self.flush_active(active);
        }
        Some(locator)
    }

    /// Writes what waits in the buffer; says whether nothing waits any more.
    pub(crate) fn flush(&self) -> bool {
        self.flush_active(&mut self.state.lock().active)
    }

    fn flush_active(&self, active: &mut Active) -> bool {
        if active.unwritten_samples == 0 {
            return true;
        }
        match self.write(active) {
            Ok(()) => {
                if active.refused {
                    info!("chunk files can be written again");
                }
                active.refused = false;
                true
            }
            Err(error) => {
                if !active.refused {
                    error!(%error, dir = %self.dir.display(), "cannot write chunks; keeping them in memory");
                }
                active.refused = true;
                false
            }
        }
    }

    fn write(&self, active: &mut Active) -> io::Result<()> {
        let file = match &active.file {
            Some(file) => Arc::clone(file),
            None => {
                let path = names::path(&self.dir, u64::from(active.number), names::CHUNKS);
                Arc::clone(active.file.insert(self.disk.create(&path)?))
            }
        };
        file.write_at(&active.buffer, active.flushed)?;
        active.flushed += active.buffer.len() as u64;
        active.buffer.clear();
        active.buffer.shrink_to(2 * WRITE_AT);
        active.unwritten_samples = 0;
        active.dirty = true;
        Ok(())
    }

    /// Ends the active file, provided that all of it could be written.
    fn seal(&self, state: &mut State) {
        if !self.flush_active(&mut state.active) {
            return;
        }
        let next = Active::new(state.active.number + 1);
        let last = std::mem::replace(&mut state.active, next);
        let Some(file) = last.file else { return };
        if last.dirty {
            state.unsynced.push(Arc::clone(&file));
        }
        state.sealed.insert(last.number, Sealed { file, bytes: last.flushed, span: last.span });
    }

    /// Ends the active file once it is `span_ms` old, so that files leave the window piece by piece.
    pub(crate) fn seal_if_older(&self, span_ms: i64, now_ms: TimestampMs) {
        let mut state = self.state.lock();
        if state.active.span.is_empty() {
            return;
        }
        let began_ms = *state.active.began_ms.get_or_insert(now_ms);
        if now_ms.saturating_sub(began_ms) >= span_ms {
            self.seal(&mut state);
        }
    }

    /// Writes and syncs everything, the names of the files too.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let files = {
            let mut state = self.state.lock();
            if state.active.unwritten_samples > 0 {
                self.write(&mut state.active)?;
            }
            let mut files = std::mem::take(&mut state.unsynced);
            if std::mem::take(&mut state.active.dirty) {
                files.extend(state.active.file.clone());
            }
            files
        };
        let synced = match files.iter().try_for_each(|file| file.sync()) {
            Ok(()) if files.is_empty() => Ok(()),
            Ok(()) => self.disk.sync_dir(&self.dir),
            Err(error) => Err(error),
        };
        if synced.is_err() {
            self.state.lock().unsynced.extend(files);
        }
        synced
    }

    /// Removes the files whose samples are all older than `min_ms`, then the oldest ones until the files take at
    /// most `max_bytes`. Gives the number of the oldest file that stays.
    pub(crate) fn retain(&self, min_ms: TimestampMs, max_bytes: Option<u64>) -> u32 {
        let mut gone = Vec::new();
        let oldest = {
            let mut state = self.state.lock();
            let mut bytes = state.active.bytes() + state.sealed.values().map(|s| s.bytes).sum::<u64>();
            while let Some(first) = state.sealed.first_entry() {
                let too_old = first.get().span.newest_ms < min_ms;
                if !too_old && max_bytes.is_none_or(|max| bytes <= max) {
                    break;
                }
                let counter = if too_old { &self.metrics.time_retentions } else { &self.metrics.size_retentions };
                counter.inc();
                bytes -= first.get().bytes;
                gone.push(first.remove_entry().0);
            }
            state.sealed.first_key_value().map_or(state.active.number, |(number, _)| *number)
        };
        for number in gone {
            let path = names::path(&self.dir, u64::from(number), names::CHUNKS);
            if let Err(error) = self.disk.remove(&path) {
                warn!(%error, path = %path.display(), "cannot remove a chunk file");
            }
        }
        oldest
    }

    /// Bytes of all files and of what waits for them.
    pub(crate) fn bytes(&self) -> u64 {
        let state = self.state.lock();
        state.active.bytes() + state.sealed.values().map(|s| s.bytes).sum::<u64>()
    }

    /// The oldest time stamp in any file, `i64::MAX` while there is none.
    pub(crate) fn oldest_ms(&self) -> TimestampMs {
        let state = self.state.lock();
        state.sealed.values().fold(state.active.span.oldest_ms, |oldest, s| oldest.min(s.span.oldest_ms))
    }

    /// Reads a chunk. `buffer` is scratch room that the answer borrows.
    pub(crate) fn read<'a>(&self, locator: Locator, buffer: &'a mut Vec<u8>) -> io::Result<Chunk<'a>> {
        let offset = u64::from(locator.offset);
        buffer.clear();
        let file = {
            let state = self.state.lock();
            if locator.file == state.active.number {
                match offset.checked_sub(state.active.flushed) {
                    Some(start) => {
                        let start = usize::try_from(start).unwrap_or(usize::MAX);
                        let waiting = state.active.buffer.get(start..).unwrap_or_default();
                        buffer.extend_from_slice(waiting.get(..READ_BYTES).unwrap_or(waiting));
                        None
                    }
                    None => state.active.file.clone(),
                }
            } else {
                let Some(sealed) = state.sealed.get(&locator.file) else { return Ok(Chunk::Gone) };
                Some(Arc::clone(&sealed.file))
            }
        };
        if let Some(file) = file {
            buffer.resize(READ_BYTES, 0);
            let got = file.read_at(buffer, offset)?;
            buffer.truncate(got);
        }
        Ok(as_chunk(buffer))
    }
}

fn as_chunk(bytes: &[u8]) -> Chunk<'_> {
    match frame::front(bytes) {
        Front::Payload(payload) => match record::read(payload) {
            Some(Record::Chunk(chunk)) => Chunk::Found(chunk),
            _ => Chunk::Damaged,
        },
        _ => Chunk::Damaged,
    }
}

/// The longest frame of a chunk: the fields before the samples are varints, and one sample may go over the bound.
const _: () = assert!(FRAME_HEADER_LEN + 1 + 5 + 3 + 10 + 10 + 8 + FULL_CHUNK_BYTES + 19 <= READ_BYTES);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locator_never_says_too_old() {
        for newest_ms in [i64::MIN, -1, 0, 1, 999, 1_000, 1_001, 1_700_000_000_123, i64::MAX] {
            let locator = Locator::new(1, 8, newest_ms);
            assert!(locator.newest_ms() >= newest_ms, "{newest_ms}");
            assert!(locator.newest_at_least_ms() <= newest_ms, "{newest_ms}");
            if (0..1 << 41).contains(&newest_ms) {
                assert!(locator.newest_ms() < newest_ms + 1_000, "{newest_ms}");
            }
        }
        assert_eq!(size_of::<Locator>(), 12);
    }
}
