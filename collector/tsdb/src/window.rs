//! The window itself: the one type that the binary holds, and the way of a sample into it.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use collector_model::{
    Append, AppendError, Appended, Clock, Forward, Labels, RefSample, Rejection, SeriesRef, TimestampMs,
};
use parking_lot::{Mutex, RwLock};
use prometheus_client::registry::Registry;

use crate::disk::{Disk, OsDisk};
use crate::head::{ChunkSize, Cursor, Head, Series, Verdict};
use crate::index::{self, Index};
use crate::log::Log;
use crate::maintain::Schedule;
use crate::metrics::Metrics;
use crate::restore;
use crate::store::{Span, Store};
use crate::{OpenError, Options};

/// The last hours of every series, in memory and in a directory.
///
/// Locks are taken in the order in which the fields stand, and never two of the head's.
pub struct Window {
    pub(crate) schedule: Mutex<Schedule>,
    /// Held through the whole of an append, so that the log has the samples of each series in the order in which
    /// they came into memory.
    pub(crate) log: Mutex<Log>,
    pub(crate) index: RwLock<Index>,
    pub(crate) head: Head,
    pub(crate) store: Store,
    /// What the samples spanned at the last sweep.
    pub(crate) span: Mutex<Span>,
    chunk_size: ChunkSize,
    pub(crate) options: Options,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) forward: Arc<dyn Forward>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) metrics: Metrics,
    closed: AtomicBool,
    _lock: Box<dyn Any + Send + Sync>,
}

/// The time stamps that are taken, both ends inclusive.
struct Bounds {
    min_ms: TimestampMs,
    max_ms: TimestampMs,
}

impl Window {
    /// Opens the directory, takes its lock, and brings back what an earlier process left there.
    ///
    /// `registry` must be the root registry, without a prefix: the metrics carry Prometheus's own names.
    ///
    /// # Errors
    /// When another process has the directory or it cannot be used at all. Damaged files are set aside, logged
    /// and counted.
    pub fn open(
        options: Options,
        clock: Arc<dyn Clock>,
        forward: Arc<dyn Forward>,
        registry: &mut Registry,
    ) -> Result<Arc<Self>, OpenError> {
        Self::open_on(Arc::new(OsDisk), options, clock, forward, registry)
    }

    /// As [`open`](Self::open), on another disk.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_on(
        disk: Arc<dyn Disk>,
        options: Options,
        clock: Arc<dyn Clock>,
        forward: Arc<dyn Forward>,
        registry: &mut Registry,
    ) -> Result<Arc<Self>, OpenError> {
        let metrics = Metrics::register(registry);
        let lock = restore::take_directory(&*disk, &options.dir)?;
        let restored = restore::restore(&disk, &options, &metrics, clock.now_ms())?;
        let window = Arc::new(Self {
            schedule: Mutex::new(Schedule::new(clock.now_ms())),
            log: Mutex::new(restored.log),
            index: RwLock::new(restored.index),
            head: restored.head,
            store: restored.store,
            span: Mutex::new(Span::EMPTY),
            chunk_size: ChunkSize::of(&options),
            options,
            clock,
            forward,
            disk,
            metrics,
            closed: AtomicBool::new(false),
            _lock: lock,
        });
        window.settle(&restored.damaged);
        Ok(window)
    }

    /// Refuses further samples, writes everything down so that the next start is quick, and syncs. Reading still
    /// works. A window that is merely dropped loses nothing either, its next start takes longer.
    pub fn close(&self) {
        {
            let _log = self.log.lock();
            self.closed.store(true, Ordering::Relaxed);
        }
        self.write_down();
    }

    /// The labels of a series, while the window holds it.
    pub fn labels(&self, series: SeriesRef) -> Option<Labels> {
        let (slot, generation) = index::parts(series);
        let index = self.index.read();
        index.entry(slot).filter(|e| e.generation == generation).map(|e| e.labels.clone())
    }

    fn bounds(&self, now_ms: TimestampMs) -> Bounds {
        // The lowest number stands for "no sample yet" in a chunk, so it can be none.
        let min_ms = now_ms.saturating_sub(self.options.retention_ms).max(TimestampMs::MIN + 1);
        Bounds { min_ms, max_ms: now_ms.saturating_add(self.options.future_limit_ms) }
    }

    #[inline]
    fn take(&self, cursor: &mut Cursor<'_>, log: &mut Log, sample: &RefSample, bounds: &Bounds) -> Verdict {
        let (slot, generation) = index::parts(sample.series);
        let Some(series) = cursor.get(slot, generation) else { return Verdict::Refused(Rejection::UnknownSeries) };
        let at_ms = sample.timestamp_ms;
        if at_ms < bounds.min_ms || at_ms > bounds.max_ms {
            return Verdict::Refused(Rejection::OutOfBounds);
        }
        let verdict = series.judge(at_ms, sample.value.to_bits());
        if verdict == Verdict::New {
            if series.logged_in != log.epoch() {
                series.logged_in = log.epoch();
                log.define(slot, &series.labels);
            }
            series.push(slot, (at_ms, sample.value.to_bits()), self.chunk_size, &self.store);
            log.push(slot, at_ms, sample.value);
        }
        verdict
    }
}

impl Append for Window {
    fn resolve(&self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        if let Some((slot, generation)) = self.index.read().find(labels) {
            return Ok(index::series_ref(slot, generation));
        }
        if self.closed.load(Ordering::Relaxed) {
            return Err(AppendError::Closed);
        }
        let mut index = self.index.write();
        if let Some((slot, generation)) = index.find(labels) {
            return Ok(index::series_ref(slot, generation));
        }
        let limit = self.options.max_series;
        if index.len() >= limit {
            return Err(AppendError::SeriesLimit { limit, labels: labels.clone() });
        }
        let (slot, generation) = index.insert(labels);
        self.head.insert(slot, Series::new(labels.clone(), generation, self.clock.now_ms()));
        self.metrics.series_created.inc();
        self.metrics.series.set(index.len() as i64);
        Ok(index::series_ref(slot, generation))
    }

    fn append(&self, batch: &[RefSample]) -> Result<Appended, AppendError> {
        let now_ms = self.clock.now_ms();
        let bounds = self.bounds(now_ms);
        let mut log = self.log.lock();
        if self.closed.load(Ordering::Relaxed) {
            return Err(AppendError::Closed);
        }
        let mut rejected = Vec::new();
        let mut news = News::of(batch);
        let mut cursor = self.head.cursor();
        for (position, sample) in batch.iter().enumerate() {
            match self.take(&mut cursor, &mut log, sample, &bounds) {
                Verdict::New => news.keep(sample),
                Verdict::Repeat => news.leave_out(position),
                Verdict::Refused(rejection) => {
                    news.leave_out(position);
                    rejected.push((position, rejection));
                }
            }
        }
        drop(cursor);
        let news = news.samples();
        if !news.is_empty() {
            self.forward.forward(news, &|series| self.labels(series));
            log.commit(now_ms);
        }
        drop(log);
        self.metrics.samples_appended.inc_by(news.len() as u64);
        rejected.iter().for_each(|(_, rejection)| self.metrics.count_rejection(*rejection));
        Ok(Appended { accepted: batch.len() - rejected.len(), rejected })
    }
}

/// The samples of a batch that are news: the batch itself while all are, which is the rule, and else a copy.
struct News<'a> {
    batch: &'a [RefSample],
    some: Option<Vec<RefSample>>,
}

impl<'a> News<'a> {
    fn of(batch: &'a [RefSample]) -> Self {
        Self { batch, some: None }
    }

    #[inline]
    fn keep(&mut self, sample: &RefSample) {
        if let Some(some) = &mut self.some {
            some.push(*sample);
        }
    }

    fn leave_out(&mut self, position: usize) {
        self.some.get_or_insert_with(|| self.batch.get(..position).unwrap_or_default().to_vec());
    }

    fn samples(&self) -> &[RefSample] {
        self.some.as_deref().unwrap_or(self.batch)
    }
}
