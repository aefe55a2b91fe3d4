//! What is done beside the appends: syncing, checkpoints, letting go of what has left the window.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use collector_model::{SeriesRef, TimestampMs, is_stale};
use parking_lot::MutexGuard;
use tracing::warn;

use crate::disk::DiskFile;
use crate::encoding::frame::{self, FileKind};
use crate::encoding::record;
use crate::head::{Head, Series};
use crate::index::{self, Slot};
use crate::names;
use crate::restore::Damaged;
use crate::store::Span;
use crate::window::Window;

/// How often all series are gone through, at most.
const SWEEP_MS: i64 = 15_000;

/// A series without a new sample for so long gives its open chunk back.
const IDLE_MS: i64 = 1_800_000;

/// A series that was resolved and has not got a sample is kept for so long.
const UNUSED_MS: i64 = 600_000;

/// Into so many parts the retention is cut, a chunk file each: more files cost more definitions of series, fewer
/// keep more chunks on disk that have left the window.
const FILES: i64 = 4;

/// Log that is not worth a checkpoint.
const LITTLE_LOG: u64 = 64 << 10;

/// Bytes of a checkpoint that are written at once.
const WRITE_AT: usize = 256 << 10;

/// When what is due.
pub(crate) struct Schedule {
    synced_ms: TimestampMs,
    swept_ms: TimestampMs,
    checkpoint_ms: TimestampMs,
}

impl Schedule {
    pub(crate) fn new(now_ms: TimestampMs) -> Self {
        Self { synced_ms: now_ms, swept_ms: TimestampMs::MIN, checkpoint_ms: now_ms }
    }
}

/// Whether `interval_ms` have passed, or the clock was set back.
fn is_due(last_ms: TimestampMs, interval_ms: i64, now_ms: TimestampMs) -> bool {
    !(0..interval_ms).contains(&now_ms.saturating_sub(last_ms))
}

/// What a sweep found.
struct Sweep {
    min_ms: TimestampMs,
    now_ms: TimestampMs,
    oldest_file: u32,
    dead: Vec<(Slot, SeriesRef)>,
    chunks: usize,
    memory_bytes: usize,
    span: Span,
}

impl Window {
    /// Does what is due: fsync, checkpoint, retention, letting go of series, retrying what the disk refused. Call
    /// it about every second from a thread that may block; each part keeps its own interval. Logs what fails.
    pub fn maintain(&self) {
        let mut schedule = self.schedule.lock();
        let now_ms = self.clock.now_ms();
        self.log.lock().flush(now_ms);
        if is_due(schedule.synced_ms, self.options.sync_interval_ms, now_ms) {
            schedule.synced_ms = now_ms;
            self.sync_log();
        }
        let sweep_ms = SWEEP_MS.min(self.options.retention_ms / 12).max(1);
        if is_due(schedule.swept_ms, sweep_ms, now_ms) {
            schedule.swept_ms = now_ms;
            self.sweep(now_ms);
        }
        self.checkpoint_if_due(&mut schedule, now_ms);
        let log_bytes = self.log.lock().bytes();
        self.metrics.log_bytes.set(log_bytes as i64);
        self.metrics.chunk_bytes.set(self.store.bytes() as i64);
    }

    fn sync_log(&self) {
        let (unsynced, dir) = {
            let mut log = self.log.lock();
            (log.take_unsynced(), log.dir().to_owned())
        };
        if let Err(error) = unsynced.sync(&*self.disk, &dir) {
            self.metrics.log_writes_failed.inc();
            warn!(%error, dir = %dir.display(), "cannot sync the write-ahead log");
            self.log.lock().give_back_unsynced(unsynced);
        }
    }

    fn checkpoint_if_due(&self, schedule: &mut MutexGuard<'_, Schedule>, now_ms: TimestampMs) {
        let bytes = self.log.lock().bytes();
        let in_time = bytes > LITTLE_LOG && is_due(schedule.checkpoint_ms, self.options.checkpoint_interval_ms, now_ms);
        // A checkpoint that just failed is not tried again at once, however long the log.
        let early = bytes > self.options.checkpoint_wal_bytes
            && is_due(schedule.checkpoint_ms, self.options.checkpoint_interval_ms / 10, now_ms);
        if in_time || early {
            schedule.checkpoint_ms = now_ms;
            self.checkpoint();
        }
    }

    /// Writes everything down, whatever is due.
    pub(crate) fn write_down(&self) {
        let schedule = self.schedule.lock();
        self.log.lock().flush(self.clock.now_ms());
        self.checkpoint();
        self.sync_log();
        drop(schedule);
    }

    /// Finishes the opening: takes stock, and when files were damaged, saves what could be read of them before
    /// they are set aside.
    pub(crate) fn settle(&self, damaged: &[Damaged]) {
        self.sweep(self.clock.now_ms());
        if damaged.is_empty() || !self.checkpoint() {
            return;
        }
        for Damaged { path } in damaged {
            let mut aside = path.clone().into_os_string();
            aside.push(".corrupt");
            // A checkpoint has removed the segments that it stands for.
            match self.disk.rename(path, &PathBuf::from(aside)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => warn!(%error, path = %path.display(), "cannot set a damaged file aside"),
            }
        }
    }

    /// Lets go of what has left the window, and takes stock of the rest.
    fn sweep(&self, now_ms: TimestampMs) {
        let retention_ms = self.options.retention_ms;
        let min_ms = now_ms.saturating_sub(retention_ms);
        let room = self.options.retention_bytes.map(|bytes| bytes.saturating_sub(self.log.lock().bytes()));
        self.store.flush();
        self.store.seal_if_older((retention_ms / FILES).max(1), now_ms);
        let oldest_file = self.store.retain(min_ms, room);
        let mut sweep = Sweep {
            min_ms,
            now_ms,
            oldest_file,
            dead: Vec::new(),
            chunks: 0,
            memory_bytes: 0,
            span: Span { oldest_ms: self.store.oldest_ms(), newest_ms: TimestampMs::MIN },
        };
        let slots = self.index.read().slots();
        for page in Head::pages(slots) {
            self.head.visit(page, |slot, room| {
                if let Some(series) = room
                    && !self.keep(slot, series, &mut sweep)
                {
                    sweep.dead.push((slot, index::series_ref(slot, series.generation)));
                    *room = None;
                }
            });
        }
        self.bury(&sweep.dead);
        self.take_stock(&sweep);
    }

    /// Looks after one series; says whether it is to be kept.
    fn keep(&self, slot: Slot, series: &mut Series, sweep: &mut Sweep) -> bool {
        series.drop_before(sweep.oldest_file, sweep.min_ms);
        let newest_ms = series.chunk.newest_ms();
        if newest_ms == TimestampMs::MIN {
            return sweep.now_ms.saturating_sub(series.created_ms) < UNUSED_MS;
        }
        if series.closed.is_empty() && newest_ms < sweep.min_ms {
            return false;
        }
        let ended = is_stale(f64::from_bits(series.chunk.newest_bits()));
        let patience_ms = if ended { self.options.lookback_ms.saturating_mul(2) } else { IDLE_MS };
        if sweep.now_ms.saturating_sub(newest_ms) > patience_ms {
            series.close(slot, &self.store);
        }
        if !series.chunk.is_empty() {
            sweep.chunks += 1;
            sweep.span.oldest_ms = sweep.span.oldest_ms.min(series.chunk.first_ms());
        }
        sweep.span.newest_ms = sweep.span.newest_ms.max(newest_ms);
        sweep.chunks += series.closed.len();
        sweep.memory_bytes += series.memory_bytes();
        true
    }

    fn bury(&self, dead: &[(Slot, SeriesRef)]) {
        if dead.is_empty() {
            return;
        }
        let (slots, refs): (Vec<Slot>, Vec<SeriesRef>) = dead.iter().copied().unzip();
        self.index.write().remove(&slots);
        self.forward.forget(&refs);
        self.metrics.series_removed.inc_by(refs.len() as u64);
    }

    fn take_stock(&self, sweep: &Sweep) {
        *self.span.lock() = sweep.span;
        let index = self.index.read();
        self.metrics.series.set(index.len() as i64);
        self.metrics.chunks.set(sweep.chunks as i64);
        self.metrics.memory_bytes.set((sweep.memory_bytes + index.memory_bytes()) as i64);
        if !sweep.span.is_empty() {
            self.metrics.min_time.set(sweep.span.oldest_ms);
            self.metrics.max_time.set(sweep.span.newest_ms);
        }
    }

    /// Writes the open chunks down and removes the log that is no longer needed for them. Counts and logs a
    /// failure; says whether it went well.
    fn checkpoint(&self) -> bool {
        self.metrics.checkpoints.inc();
        let done = self.try_checkpoint();
        if let Err(error) = &done {
            self.metrics.checkpoints_failed.inc();
            warn!(%error, "cannot write a checkpoint; the log grows until one succeeds");
        }
        done.is_ok()
    }

    fn try_checkpoint(&self) -> io::Result<()> {
        // The order matters: the log is cut first, so every sample is in what follows, or behind the cut, or both.
        let (number, dir) = {
            let mut log = self.log.lock();
            (log.cut()?, log.dir().to_owned())
        };
        let path = names::path(&dir, number, names::CHECKPOINT);
        let unfinished = path.with_extension("tmp");
        let written = self.write_checkpoint(&self.disk.create(&unfinished)?);
        // What a series had in closed chunks when it was written down is in the store by now.
        let written = written.and_then(|()| self.store.sync());
        if let Err(error) = written {
            // The next checkpoint makes the file anew, so it does no harm if it stays.
            let _ = self.disk.remove(&unfinished);
            return Err(error);
        }
        self.disk.rename(&unfinished, &path)?;
        self.disk.sync_dir(&dir)?;
        let old = self.log.lock().take_before(number);
        for segment in &old {
            self.remove(names::path(&dir, segment.number, names::LOG));
        }
        for older in names::numbers(&*self.disk, &dir, names::CHECKPOINT)?.into_iter().filter(|n| *n < number) {
            self.remove(names::path(&dir, older, names::CHECKPOINT));
        }
        self.metrics.log_truncations.inc();
        Ok(())
    }

    fn remove(&self, path: PathBuf) {
        if let Err(error) = self.disk.remove(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            warn!(%error, path = %path.display(), "cannot remove a file that is no longer needed");
        }
    }

    fn write_checkpoint(&self, file: &Arc<dyn DiskFile>) -> io::Result<()> {
        let mut buffer = FileKind::Checkpoint.header().to_vec();
        let mut written = 0;
        let slots = self.index.read().slots();
        for page in Head::pages(slots) {
            self.head.visit(page, |slot, series| {
                if let Some(series) = series
                    && series.chunk.newest_ms() != TimestampMs::MIN
                {
                    frame::put(&mut buffer, |out| record::put_series(out, slot, &series.labels));
                    frame::put(&mut buffer, |out| record::put_chunk(out, slot, &series.chunk));
                }
            });
            if buffer.len() >= WRITE_AT {
                file.write_at(&buffer, written)?;
                written += buffer.len() as u64;
                buffer.clear();
            }
        }
        frame::put(&mut buffer, record::put_checkpoint_end);
        file.write_at(&buffer, written)?;
        file.sync()
    }
}
