//! What empties a queue: reads it in order, spreads the samples over shards so that one series always goes through
//! one, and lets the cursor follow what was acknowledged.
//!
//! One task for each destination; each request in flight has a task of its own. At a full shard reading stops: what
//! is not read waits on disk, not in memory.

mod delivery;
mod in_flight;
mod resharding;
mod shard;

use std::sync::Arc;
use std::time::Duration;

use collector_model::{Clock, is_stale};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::config::QueueConfig;
use crate::metrics::{Meter, Reason};
use crate::queue::{Block, Queue, Reader};
use crate::sinks::{Point, Sink};
use crate::status::Health;

use delivery::Delivery;
use in_flight::InFlight;
use resharding::Resharding;
use shard::{Parcel, Shard};

/// How often the cursor file follows the acknowledgements. What was acknowledged since is sent again after a crash.
const CURSOR_INTERVAL: Duration = Duration::from_secs(2);

/// How often the number of shards is reconsidered; Prometheus's own interval.
const RESHARD_INTERVAL: Duration = Duration::from_secs(10);

/// Wait after the queue could not be read.
const READ_RETRY: Duration = Duration::from_secs(1);

/// What a sender is made of.
pub(crate) struct Parts {
    pub name: String,
    pub queue: Arc<Queue>,
    pub sink: Arc<dyn Sink>,
    pub config: QueueConfig,
    pub finite_only: bool,
    pub meter: Meter,
    pub health: Arc<Health>,
    pub clock: Arc<dyn Clock>,
}

/// A running sender.
pub(crate) struct Sender {
    stop: watch::Sender<Option<Instant>>,
    task: JoinHandle<()>,
}

impl Sender {
    /// Begins to send what the queue holds, from behind what was acknowledged.
    pub(crate) fn spawn(runtime: &tokio::runtime::Handle, parts: Parts) -> Self {
        let (stop, stopped) = watch::channel(None);
        let task = runtime.spawn(Loop::new(parts).run(stopped));
        Self { stop, task }
    }

    /// Sends until the queue is empty or the deadline comes.
    pub(crate) async fn stop(mut self, deadline: Instant) {
        // The task has ended already where this fails.
        let _ = self.stop.send(Some(deadline));
        let _ = (&mut self.task).await;
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Loop {
    queue: Arc<Queue>,
    reader: Reader,
    delivery: Arc<Delivery>,
    config: QueueConfig,
    finite_only: bool,
    meter: Meter,
    health: Arc<Health>,
    clock: Arc<dyn Clock>,

    shards: Vec<Shard>,
    in_flight: InFlight,
    requests: JoinSet<Parcel>,
    resharding: Resharding,
    read_again: Option<Instant>,
    cursor_writer: Option<JoinHandle<()>>,
    flushing: bool,
}

impl Loop {
    fn new(parts: Parts) -> Self {
        let delivery = Delivery::new(&parts);
        let shards = parts.config.min_shards;
        Self {
            reader: parts.queue.reader(),
            queue: parts.queue,
            delivery: Arc::new(delivery),
            resharding: Resharding::new(shards, parts.config.min_shards, parts.config.max_shards),
            config: parts.config,
            finite_only: parts.finite_only,
            meter: parts.meter,
            health: parts.health,
            clock: parts.clock,
            shards: (0..shards).map(|_| Shard::default()).collect(),
            in_flight: InFlight::default(),
            requests: JoinSet::new(),
            read_again: None,
            cursor_writer: None,
            flushing: false,
        }
    }

    async fn run(mut self, mut stopped: watch::Receiver<Option<Instant>>) {
        let mut cursor_tick = tokio::time::interval(CURSOR_INTERVAL);
        let mut reshard_tick = tokio::time::interval(RESHARD_INTERVAL);
        let mut deadline = None;
        loop {
            self.fill();
            self.launch();
            self.observe();
            if self.flushing && self.is_empty() {
                break;
            }
            let wake = self.next_wake();
            tokio::select! {
                Some(done) = self.requests.join_next() => self.finish(done),
                () = self.queue.written(), if self.has_room() => {}
                () = sleep_until(wake) => {}
                () = sleep_until(deadline) => break,
                _ = cursor_tick.tick() => self.write_cursor(),
                _ = reshard_tick.tick() => {
                    let waiting = self.queue.size().waiting;
                    self.resharding.tick(RESHARD_INTERVAL, self.meter.samples.get(), waiting, self.delivery.take_busy());
                    self.meter.shards_desired.set(self.resharding.desired());
                }
                Ok(()) = stopped.changed() => {
                    deadline = *stopped.borrow();
                    self.flushing = true;
                }
            }
        }
        self.requests.abort_all();
        self.last_cursor().await;
    }

    /// Reads blocks into the shards until one of them is full or nothing is left.
    fn fill(&mut self) {
        if self.read_again.is_some_and(|at| at > Instant::now()) {
            return;
        }
        self.read_again = None;
        while self.has_room() {
            match self.reader.next() {
                Ok(Some(block)) => self.spread(&block),
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(destination = %self.delivery.name(), %error, "cannot read a queue");
                    self.read_again = Some(Instant::now() + READ_RETRY);
                    break;
                }
            }
        }
        self.settle();
    }

    /// Spreads the samples of a block over the shards, but for those that the destination is not to get.
    fn spread(&mut self, block: &Block) {
        let oldest_ms = self.delivery.oldest_allowed(self.clock.now_ms());
        let count = self.shards.len() as u64;
        let number = self.in_flight.begin(block.mark);
        let now = Instant::now();
        let (mut stale, mut non_finite, mut too_old, mut unknown) = (0, 0, 0, 0);
        for sample in &block.samples {
            if self.finite_only && !sample.value.is_finite() {
                *(if is_stale(sample.value) { &mut stale } else { &mut non_finite }) += 1;
                continue;
            }
            if sample.timestamp_ms < oldest_ms {
                too_old += 1;
                continue;
            }
            let Some(series) = self.reader.series(sample.id) else {
                unknown += 1;
                continue;
            };
            let shard = usize::try_from(series.hash % count).unwrap_or(0);
            if let Some(shard) = self.shards.get_mut(shard) {
                let point =
                    Point { labels: series.labels.clone(), timestamp_ms: sample.timestamp_ms, value: sample.value };
                self.in_flight.add(sample.timestamp_ms);
                shard.push(point, number, now);
            }
        }
        self.meter.drop_samples(Reason::StaleMarker, stale);
        self.meter.drop_samples(Reason::NonFinite, non_finite);
        self.meter.drop_samples(Reason::TooOld, too_old);
        self.meter.drop_samples(Reason::UnknownSeries, unknown);
    }

    /// Whether the shards can take another block.
    fn has_room(&self) -> bool {
        let capacity = self.config.capacity.max(self.config.max_samples_per_send);
        !self.resharding.is_due(self.shards.len())
            && self.read_again.is_none()
            && self.shards.iter().all(|shard| shard.len() < capacity)
    }

    /// Sends what is due, and changes the number of shards once all is sent.
    fn launch(&mut self) {
        let resharding = self.resharding.is_due(self.shards.len());
        let now = Instant::now();
        let hurry = self.flushing || resharding;
        let (most, wait) = (self.config.max_samples_per_send, self.config.batch_send_deadline.0);
        for (index, shard) in self.shards.iter_mut().enumerate() {
            if shard.is_due(now, most, wait, hurry) {
                let parcel = shard.take(index, most, now);
                let delivery = Arc::clone(&self.delivery);
                self.requests.spawn(async move {
                    delivery.deliver(&parcel).await;
                    parcel
                });
            }
        }
        if resharding && self.requests.is_empty() && self.shards.iter().all(|shard| shard.len() == 0) {
            self.shards = (0..self.resharding.target()).map(|_| Shard::default()).collect();
        }
    }

    fn finish(&mut self, done: Result<Parcel, tokio::task::JoinError>) {
        match done {
            Ok(parcel) => {
                if let Some(shard) = self.shards.get_mut(parcel.shard) {
                    shard.finished();
                }
                for (block, count) in &parcel.blocks {
                    self.in_flight.done(*block, *count);
                }
                self.settle();
            }
            // Only a panic comes here: nothing aborts a request while the loop runs.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn settle(&mut self) {
        if let Some(mark) = self.in_flight.settle() {
            self.queue.acknowledge(mark);
        }
    }

    fn is_empty(&self) -> bool {
        self.in_flight.is_empty() && self.requests.is_empty() && self.queue.size().waiting == 0
    }

    fn next_wake(&self) -> Option<Instant> {
        let wait = self.config.batch_send_deadline.0;
        self.shards.iter().filter_map(|shard| shard.due_at(wait)).chain(self.read_again).min()
    }

    /// Brings metrics and status up to date.
    fn observe(&self) {
        let losses = self.queue.take_losses();
        self.meter.drop_samples(Reason::QueueFull, losses.samples_dropped);
        self.meter.drop_samples(Reason::Damaged, losses.samples_damaged);
        self.meter.damages.inc_by(losses.damages);
        if losses.samples_dropped > 0 {
            let samples = losses.samples_dropped;
            tracing::error!(destination = %self.delivery.name(), samples, "the queue is full, dropped its oldest samples");
        }
        self.meter.shards.set(i64::try_from(self.shards.len()).unwrap_or(i64::MAX));
        let size = self.queue.size();
        let pending = size.waiting + self.in_flight.samples();
        self.meter.pending.set(i64::try_from(pending).unwrap_or(i64::MAX));
        self.meter.queue_bytes.set(i64::try_from(size.bytes).unwrap_or(i64::MAX));
        self.health.set_in_flight(self.in_flight.samples(), self.in_flight.oldest_ms());
    }

    fn write_cursor(&mut self) {
        if self.cursor_writer.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let mark = self.queue.acknowledged();
        if !self.in_flight.cursor_moved(mark) {
            return;
        }
        let (queue, name) = (Arc::clone(&self.queue), self.delivery.name().to_owned());
        self.cursor_writer = Some(tokio::task::spawn_blocking(move || {
            if let Err(error) = queue.write_cursor(mark) {
                tracing::warn!(destination = %name, %error, "cannot write the cursor of a queue");
            }
        }));
    }

    async fn last_cursor(&mut self) {
        if let Some(running) = self.cursor_writer.take() {
            let _ = running.await;
        }
        self.write_cursor();
        if let Some(running) = self.cursor_writer.take() {
            let _ = running.await;
        }
        self.observe();
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
