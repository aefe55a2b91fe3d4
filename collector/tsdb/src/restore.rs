//! Brings a directory back into memory: the chunk files, then the last checkpoint, then the log behind it.
//!
//! Each file tells which series its numbers stand for, and here every series gets a new number. A sample is taken
//! over only when it is newer than what its series has, so it does no harm that a sample may stand in a chunk file,
//! in the checkpoint and in the log at once.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use collector_model::{Labels, TimestampMs};
use hashbrown::HashMap;
use tracing::{info, warn};

use crate::disk::Disk;
use crate::encoding::chunk::Samples;
use crate::encoding::frame::{FILE_HEADER_LEN, FileKind};
use crate::encoding::record::{self, ChunkRecord, Record, SeriesId};
use crate::error::OpenError;
use crate::frame_reader::{FrameReader, Next};
use crate::head::{ChunkSize, Head, Series};
use crate::index::{Generation, Index, Slot};
use crate::log::{Log, Sealed};
use crate::metrics::Metrics;
use crate::names;
use crate::options::Options;
use crate::store::{Locator, Span, Store};

/// A file to be set aside once what could be read of it is safe elsewhere.
pub(crate) struct Damaged {
    pub(crate) path: PathBuf,
}

/// A directory in memory.
pub(crate) struct Restored {
    pub(crate) index: Index,
    pub(crate) head: Head,
    pub(crate) store: Store,
    pub(crate) log: Log,
    pub(crate) damaged: Vec<Damaged>,
}

/// Makes the directory and takes its lock.
pub(crate) fn take_directory(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn Any + Send + Sync>, OpenError> {
    let unusable = |source| OpenError::Directory { path: dir.to_owned(), source };
    disk.create_dir(dir).map_err(unusable)?;
    let lock = disk.lock(&dir.join("lock")).map_err(unusable)?;
    let lock = lock.ok_or_else(|| OpenError::Locked(dir.to_owned()))?;
    for sub in ["wal", "chunks"] {
        disk.create_dir(&dir.join(sub)).map_err(unusable)?;
    }
    Ok(lock)
}

/// Reads all that is there.
pub(crate) fn restore(
    disk: &Arc<dyn Disk>,
    options: &Options,
    metrics: &Metrics,
    now_ms: TimestampMs,
) -> Result<Restored, OpenError> {
    let began = Instant::now();
    let chunks_dir = options.dir.join("chunks");
    let log_dir = options.dir.join("wal");
    let list = |dir: &Path, kind| {
        names::numbers(&**disk, dir, kind).map_err(|source| OpenError::Directory { path: dir.to_owned(), source })
    };
    let chunk_files = list(&chunks_dir, names::CHUNKS)?;
    let checkpoints = list(&log_dir, names::CHECKPOINT)?;
    let segments = list(&log_dir, names::LOG)?;

    let next_file = chunk_files.last().map_or(1, |n| n + 1);
    let next_file = u32::try_from(next_file).unwrap_or(u32::MAX);
    let store = Store::new(Arc::clone(disk), chunks_dir.clone(), next_file, options, metrics.clone());
    let mut restorer = Restorer {
        disk,
        chunk_size: ChunkSize::of(options),
        metrics,
        now_ms,
        index: Index::default(),
        head: Head::default(),
        store,
        bound: HashMap::new(),
        damaged: Vec::new(),
        samples: 0,
    };
    for number in chunk_files {
        restorer.read_chunk_file(&chunks_dir, number);
    }
    restorer.bound.clear();
    let first = checkpoints.last().copied().unwrap_or(0);
    if first > 0 {
        restorer.read_checkpoint(names::path(&log_dir, first, names::CHECKPOINT));
    }
    let next_segment = segments.last().copied().unwrap_or(0).max(first) + 1;
    let sealed = restorer.read_log(&log_dir, segments, first);
    let log = Log::new(Arc::clone(disk), log_dir, options, sealed, next_segment, metrics.clone());

    metrics.replay_seconds.set(began.elapsed().as_secs_f64());
    let Restorer { index, head, store, damaged, samples, .. } = restorer;
    if index.len() > 0 {
        let milliseconds = began.elapsed().as_millis() as u64;
        info!(series = index.len(), replayed_samples = samples, milliseconds, "brought the window back");
    }
    Ok(Restored { index, head, store, log, damaged })
}

struct Restorer<'a> {
    disk: &'a Arc<dyn Disk>,
    chunk_size: ChunkSize,
    metrics: &'a Metrics,
    now_ms: TimestampMs,
    index: Index,
    head: Head,
    store: Store,
    /// What the numbers in the file being read stand for.
    bound: HashMap<SeriesId, (Slot, Generation)>,
    damaged: Vec<Damaged>,
    /// Samples taken from the log.
    samples: u64,
}

/// How a file ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Every byte was read.
    Whole,
    /// Some frames in the middle were damaged.
    Holes,
    /// Nothing was readable from here on.
    Torn(u64),
}

impl Restorer<'_> {
    /// Goes through the frames of a file. An error to read ends it like damage: what came before counts.
    fn read_frames(
        &mut self,
        path: &Path,
        kind: FileKind,
        mut apply: impl FnMut(&mut Self, Record<'_>, u64),
    ) -> Ending {
        let opened = self.disk.open(path).and_then(|file| FrameReader::new(file, kind));
        let mut reader = match opened {
            Ok(reader) => reader,
            Err(error) => {
                warn!(%error, path = %path.display(), "cannot read a file of the window");
                return Ending::Holes;
            }
        };
        let mut ending = Ending::Whole;
        loop {
            match reader.next() {
                Ok(Next::Frame(payload, offset)) => match record::read(payload) {
                    Some(record) => apply(self, record, offset),
                    None => ending = Ending::Holes,
                },
                Ok(Next::Damaged) => ending = Ending::Holes,
                Ok(Next::Torn(offset)) => return Ending::Torn(offset),
                Ok(Next::End) => return ending,
                Err(error) => {
                    warn!(%error, path = %path.display(), "cannot read a file of the window");
                    return Ending::Holes;
                }
            }
        }
    }

    fn read_chunk_file(&mut self, dir: &Path, number: u64) {
        let path = names::path(dir, number, names::CHUNKS);
        let Ok(file) = u32::try_from(number) else { return };
        let mut span = Span::EMPTY;
        let mut unknown = 0_u64;
        self.bound.clear();
        let ending = self.read_frames(&path, FileKind::Chunks, |this, record, offset| match record {
            Record::Series { id, labels } => this.bind(id, &labels),
            Record::Chunk(chunk) => match this.bound.get(&chunk.id).copied() {
                Some(series) => {
                    span.add(chunk.first_ms, chunk.newest_ms);
                    this.add_closed(series, &chunk, (file, offset));
                }
                None => unknown += 1,
            },
            _ => {}
        });
        let size = self.disk.open(&path).and_then(|file| file.size()).unwrap_or(0);
        let foreign = ending == Ending::Torn(0) && size >= FILE_HEADER_LEN as u64;
        // Any other torn end is what a crash leaves: the log has those samples.
        if ending == Ending::Holes || foreign || unknown > 0 {
            self.metrics.chunk_corruptions.inc();
            warn!(path = %path.display(), unknown_chunks = unknown, "a chunk file is damaged; using what is readable");
        }
        if span.is_empty() {
            // What cannot be read today, or is of another version, may be worth something to somebody.
            if ending == Ending::Holes || foreign {
                self.damaged.push(Damaged { path });
            } else {
                let _ = self.disk.remove(&path);
            }
            return;
        }
        match self.disk.open(&path).and_then(|file| Ok((file.size()?, file))) {
            Ok((bytes, open)) => self.store.adopt(file, open, bytes, span),
            Err(error) => warn!(%error, path = %path.display(), "cannot open a chunk file"),
        }
    }

    fn read_checkpoint(&mut self, path: PathBuf) {
        let mut complete = false;
        let ending = self.read_frames(&path, FileKind::Checkpoint, |this, record, _| match record {
            Record::Series { id, labels } => this.bind(id, &labels),
            Record::Chunk(chunk) => this.add_open(&chunk),
            Record::CheckpointEnd => complete = true,
            Record::Era | Record::Samples(_) => {}
        });
        if ending != Ending::Whole || !complete {
            self.metrics.log_corruptions.inc();
            warn!(path = %path.display(), "the checkpoint is damaged; using what is readable");
            self.damaged.push(Damaged { path });
        }
    }

    /// Reads the segments from `first` on and removes those before it. Gives the segments that stay.
    fn read_log(&mut self, dir: &Path, segments: Vec<u64>, first: u64) -> Vec<Sealed> {
        let last = segments.last().copied();
        let mut sealed = Vec::new();
        for number in segments {
            let path = names::path(dir, number, names::LOG);
            if number < first {
                // A crash came between the checkpoint and the removal of what it stands for.
                let _ = self.disk.remove(&path);
                continue;
            }
            let ending = self.read_frames(&path, FileKind::Log, |this, record, _| this.apply_logged(record));
            match self.end_segment(path, ending, Some(number) == last) {
                Some(bytes) => sealed.push(Sealed { number, bytes }),
                None => _ = self.metrics.log_corruptions.inc(),
            }
        }
        sealed
    }

    /// Deals with the end of a segment; gives its size, or `None` when it is damaged.
    fn end_segment(&mut self, path: PathBuf, ending: Ending, is_last: bool) -> Option<u64> {
        let size = self.disk.open(&path).and_then(|file| file.size()).unwrap_or(0);
        match ending {
            Ending::Whole => Some(size),
            // A crash leaves an unfinished write at the end of the last segment, in its header at the earliest.
            Ending::Torn(offset) if is_last && (offset > 0 || size < FILE_HEADER_LEN as u64) => {
                warn!(path = %path.display(), offset, cut = size - offset, "cutting an unfinished write off the log");
                if let Err(error) = self.disk.truncate(&path, offset) {
                    warn!(%error, path = %path.display(), "cannot cut the log");
                }
                Some(offset)
            }
            Ending::Torn(_) | Ending::Holes => {
                warn!(path = %path.display(), "a segment of the log is damaged; using what is readable");
                self.damaged.push(Damaged { path });
                None
            }
        }
    }

    fn bind(&mut self, id: SeriesId, labels: &Labels) {
        let series = self.index.find(labels).unwrap_or_else(|| {
            let (slot, generation) = self.index.insert(labels);
            self.head.insert(slot, Series::new(labels.clone(), generation, self.now_ms));
            (slot, generation)
        });
        self.bound.insert(id, series);
    }

    fn add_closed(&mut self, (slot, generation): (Slot, Generation), chunk: &ChunkRecord<'_>, place: (u32, u64)) {
        let mut cursor = self.head.cursor();
        let Some(series) = cursor.get(slot, generation) else { return };
        let Ok(offset) = u32::try_from(place.1) else { return };
        if chunk.first_ms > series.chunk.newest_ms() {
            series.add_closed(Locator::new(place.0, offset, chunk.newest_ms));
            series.chunk.set_newest(chunk.newest_ms, chunk.newest_bits);
        }
    }

    fn add_open(&mut self, chunk: &ChunkRecord<'_>) {
        let Some((slot, generation)) = self.bound.get(&chunk.id).copied() else { return };
        let mut cursor = self.head.cursor();
        let Some(series) = cursor.get(slot, generation) else { return };
        for sample in Samples::new(chunk.packed, chunk.count, chunk.first_ms) {
            if sample.timestamp_ms > series.chunk.newest_ms() {
                let sample = (sample.timestamp_ms, sample.value.to_bits());
                series.push(slot, sample, self.chunk_size, &self.store);
            }
        }
        if series.chunk.is_empty() && chunk.newest_ms > series.chunk.newest_ms() {
            series.chunk.set_newest(chunk.newest_ms, chunk.newest_bits);
        }
    }

    fn apply_logged(&mut self, record: Record<'_>) {
        match record {
            Record::Era => self.bound.clear(),
            Record::Series { id, labels } => self.bind(id, &labels),
            Record::Samples(samples) => {
                let mut cursor = self.head.cursor();
                for sample in samples {
                    let Some((slot, generation)) = self.bound.get(&sample.id).copied() else { continue };
                    let Some(series) = cursor.get(slot, generation) else { continue };
                    if sample.timestamp_ms > series.chunk.newest_ms() {
                        let pair = (sample.timestamp_ms, sample.value_bits);
                        series.push(slot, pair, self.chunk_size, &self.store);
                        self.samples += 1;
                    }
                }
            }
            Record::Chunk(_) | Record::CheckpointEnd => {}
        }
    }
}
