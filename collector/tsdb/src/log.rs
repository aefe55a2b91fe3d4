//! The write-ahead log, writing side.
//!
//! Bytes go to the disk before an append returns. What the disk refuses stays in memory, in order and up to a
//! bound, and is written with the next append that succeeds; so a full disk costs nothing as long as it is not
//! full for long. Past the bound the unwritten samples are let go (they stay in the window's memory, and are lost
//! only if the process dies too), counted, and every series is defined anew.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use collector_model::{Labels, TimestampMs};
use tracing::{error, info, warn};

use crate::disk::{Disk, DiskFile};
use crate::encoding::frame::{self, FileKind};
use crate::encoding::record::{self, SampleWriter, SeriesId};
use crate::metrics::Metrics;
use crate::names;
use crate::options::Options;

/// How long a disk that refused a write is left alone.
const RETRY_MS: i64 = 1_000;

/// Memory that the buffer keeps between appends.
const KEPT_BUFFER: usize = 256 << 10;

struct Segment {
    number: u64,
    file: Arc<dyn DiskFile>,
    written: u64,
}

/// A segment that is no longer written.
pub(crate) struct Sealed {
    pub(crate) number: u64,
    pub(crate) bytes: u64,
}

/// What has to reach the disk for the log so far to survive a power cut.
#[derive(Default)]
pub(crate) struct Unsynced {
    files: Vec<Arc<dyn DiskFile>>,
    names: bool,
}

/// The log that appends go to.
pub(crate) struct Log {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment_bytes: u64,
    unwritten_bytes: usize,
    metrics: Metrics,
    sealed: Vec<Sealed>,
    current: Option<Segment>,
    next_number: u64,
    samples: SampleWriter,
    unwritten: Vec<u8>,
    unwritten_samples: u64,
    epoch: u32,
    unsynced: Unsynced,
    /// Whether the current segment was written since it was last synced.
    dirty: bool,
    failure: Option<Failure>,
}

struct Failure {
    text: String,
    at_ms: TimestampMs,
}

impl Log {
    /// A log that goes on with segment `next_number` behind the segments which are there. Nothing is written yet.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        options: &Options,
        sealed: Vec<Sealed>,
        next_number: u64,
        metrics: Metrics,
    ) -> Self {
        let mut log = Self {
            disk,
            dir,
            segment_bytes: options.wal_segment_bytes,
            unwritten_bytes: options.unwritten_bytes,
            metrics,
            sealed,
            current: None,
            next_number,
            samples: SampleWriter::default(),
            unwritten: Vec::new(),
            unwritten_samples: 0,
            epoch: 0,
            unsynced: Unsynced::default(),
            dirty: false,
            failure: None,
        };
        log.begin_epoch();
        log
    }

    /// Numbers given to series before mean nothing any more, to the reader of the log and to the caller.
    fn begin_epoch(&mut self) {
        self.epoch += 1;
        frame::put(&mut self.unwritten, record::put_era);
    }

    /// A series must be defined again once this differs from what it was when the series was defined.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Says which series a number stands for.
    pub(crate) fn define(&mut self, id: SeriesId, labels: &Labels) {
        frame::put(&mut self.unwritten, |out| record::put_series(out, id, labels));
    }

    /// Adds a sample to the append under way.
    #[inline]
    pub(crate) fn push(&mut self, id: SeriesId, timestamp_ms: TimestampMs, value: f64) {
        self.samples.push(id, timestamp_ms, value);
    }

    /// Ends the append under way and writes it.
    pub(crate) fn commit(&mut self, now_ms: TimestampMs) {
        if self.samples.count() > 0 {
            let samples = &self.samples;
            frame::put(&mut self.unwritten, |out| out.extend_from_slice(samples.as_bytes()));
            self.unwritten_samples += samples.count() as u64;
            self.samples.clear();
        }
        self.flush(now_ms);
    }

    /// Writes what is unwritten, unless the disk refused a moment ago.
    pub(crate) fn flush(&mut self, now_ms: TimestampMs) {
        // Nothing but the mark of an epoch is no reason to make a file.
        if self.unwritten_samples == 0 {
            return;
        }
        let waits = self.failure.as_ref().is_some_and(|f| (0..RETRY_MS).contains(&(now_ms.saturating_sub(f.at_ms))));
        if !waits {
            match self.write() {
                Ok(()) => self.note_success(),
                Err(error) => self.note_failure(&error, now_ms),
            }
        }
        if self.unwritten.len() > self.unwritten_bytes {
            self.let_go();
        }
        self.metrics.log_unwritten_bytes.set(self.unwritten.len() as i64);
    }

    fn write(&mut self) -> io::Result<()> {
        let full = self.current.as_ref().is_none_or(|s| s.written >= self.segment_bytes);
        if full && let Err(error) = self.begin_segment() {
            // An overlong segment is better than none.
            if self.current.is_none() {
                return Err(error);
            }
        }
        if let Some(segment) = &mut self.current {
            segment.file.write_at(&self.unwritten, segment.written)?;
            segment.written += self.unwritten.len() as u64;
            self.dirty = true;
        }
        self.unwritten.clear();
        self.unwritten.shrink_to(KEPT_BUFFER);
        self.unwritten_samples = 0;
        Ok(())
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        let number = self.next_number;
        let file = self.disk.create(&names::path(&self.dir, number, names::LOG))?;
        let header = FileKind::Log.header();
        file.write_at(&header, 0)?;
        self.next_number += 1;
        self.unsynced.names = true;
        self.metrics.log_segment.set(number as i64);
        let next = Segment { number, file, written: header.len() as u64 };
        if let Some(last) = self.current.replace(next) {
            self.unsynced.files.push(last.file);
            self.sealed.push(Sealed { number: last.number, bytes: last.written });
        }
        Ok(())
    }

    fn note_success(&mut self) {
        if self.failure.take().is_some() {
            info!("write-ahead log can be written again");
        }
    }

    fn note_failure(&mut self, error: &io::Error, now_ms: TimestampMs) {
        self.metrics.log_writes_failed.inc();
        if self.failure.is_none() {
            error!(%error, dir = %self.dir.display(), "cannot write the write-ahead log; going on in memory");
        }
        self.failure = Some(Failure { text: error.to_string(), at_ms: now_ms });
    }

    fn let_go(&mut self) {
        warn!(samples = self.unwritten_samples, "giving up writing samples to the log; they are in memory only");
        self.metrics.count_not_kept("log_full", self.unwritten_samples);
        self.unwritten = Vec::new();
        self.unwritten_samples = 0;
        self.begin_epoch();
        // What was half written must not stand behind what is written next.
        if let Some(segment) = &self.current {
            let path = names::path(&self.dir, segment.number, names::LOG);
            if let Err(error) = self.disk.truncate(&path, segment.written) {
                warn!(%error, path = %path.display(), "cannot cut the log");
            }
        }
    }

    /// Begins a new segment, so that a checkpoint can stand for all before it; gives its number. The series that
    /// the checkpoint holds count as defined.
    pub(crate) fn cut(&mut self) -> io::Result<u64> {
        self.begin_segment()?;
        Ok(self.current.as_ref().map_or(0, |s| s.number))
    }

    /// Takes the segments before `number` off the books; the caller removes their files.
    pub(crate) fn take_before(&mut self, number: u64) -> Vec<Sealed> {
        let (old, kept) = std::mem::take(&mut self.sealed).into_iter().partition(|s| s.number < number);
        self.sealed = kept;
        old
    }

    /// What is not yet synced; the caller syncs it without the log's lock.
    pub(crate) fn take_unsynced(&mut self) -> Unsynced {
        if self.dirty
            && let Some(segment) = &self.current
        {
            self.unsynced.files.push(Arc::clone(&segment.file));
            self.dirty = false;
        }
        std::mem::take(&mut self.unsynced)
    }

    /// Takes back what could not be synced.
    pub(crate) fn give_back_unsynced(&mut self, mut unsynced: Unsynced) {
        self.unsynced.files.append(&mut unsynced.files);
        self.unsynced.names |= unsynced.names;
    }

    /// Bytes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.sealed.iter().map(|s| s.bytes).sum::<u64>() + self.current.as_ref().map_or(0, |s| s.written)
    }

    /// Why the log cannot be written, if so.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_ref().map(|f| f.text.as_str())
    }

    /// Where the segments lie.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Unsynced {
    /// Makes it durable.
    pub(crate) fn sync(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        for file in &self.files {
            file.sync()?;
        }
        if self.names { disk.sync_dir(dir) } else { Ok(()) }
    }
}
