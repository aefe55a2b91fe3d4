//! What empties a queue: reads it in order, spreads the samples over shards so that one series always goes through
//! one, and lets the cursor follow what was acknowledged.
//!
//! One task for each destination; each request in flight has a task of its own. At a full shard reading stops: what
//! is not read waits on disk, not in memory.

mod delivery;
mod in_flight;
mod resharding;
mod shard;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use collector_model::{Clock, is_stale};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinHandle, JoinSet};
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

/// A parcel in the care of a request.
struct Attempt {
    parcel: Arc<Parcel>,
    /// The wait before the next attempt, should this one panic.
    backoff: Duration,
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
    requests: JoinSet<()>,
    /// What each request is to deliver, so that it is not lost with one that panics.
    parcels: HashMap<Id, Attempt>,
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
            parcels: HashMap::new(),
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
                Some(done) = self.requests.join_next_with_id() => self.finish(done),
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
                shard.push(point, series.hash, number, now);
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
                let parcel = Arc::new(shard.take(index, most, now));
                let attempt = Attempt { parcel: Arc::clone(&parcel), backoff: self.config.min_backoff.0 };
                let delivery = Arc::clone(&self.delivery);
                let request = self.requests.spawn(async move { delivery.deliver(&parcel).await });
                self.parcels.insert(request.id(), attempt);
            }
        }
        if resharding && self.requests.is_empty() && self.shards.iter().all(|shard| shard.len() == 0) {
            self.shards = (0..self.resharding.target()).map(|_| Shard::default()).collect();
        }
    }

    fn finish(&mut self, done: Result<(Id, ()), JoinError>) {
        let id = done.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
        let Some(attempt) = self.parcels.remove(&id) else { return };
        // Only a panic is an error here: nothing aborts a request while the loop runs.
        if let Err(error) = done {
            self.try_again(attempt, error);
            return;
        }
        let parcel = attempt.parcel;
        if let Some(shard) = self.shards.get_mut(parcel.shard) {
            shard.finished();
        }
        for (block, count) in &parcel.blocks {
            self.in_flight.done(*block, *count);
        }
        self.settle();
    }

    /// Delivers a parcel whose request panicked once more, after a wait. What it had delivered before is sent again.
    fn try_again(&mut self, attempt: Attempt, error: JoinError) {
        let message = format!("panic in a request: {}", panic_message(error));
        tracing::error!(destination = %self.delivery.name(), error = %message, "a request failed, trying it again");
        self.health.failed(self.delivery.name(), self.clock.now_ms(), message);
        self.meter.retried.inc_by(attempt.parcel.points.len() as u64);
        let Attempt { parcel, backoff: wait } = attempt;
        let backoff = (wait * 2).min(self.config.max_backoff.0);
        let attempt = Attempt { parcel: Arc::clone(&parcel), backoff };
        let (delivery, health) = (Arc::clone(&self.delivery), Arc::clone(&self.health));
        let request = self.requests.spawn(async move {
            health.wait(wait).await;
            delivery.deliver(&parcel).await;
        });
        self.parcels.insert(request.id(), attempt);
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

/// What a panic said, where that is text.
fn panic_message(error: JoinError) -> String {
    let Ok(payload) = error.try_into_panic() else { return "no panic, but aborted".to_owned() };
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => other.downcast_ref::<&str>().copied().unwrap_or("(no text)").to_owned(),
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::atomic::{AtomicU32, Ordering};

    use bytes::Bytes;
    use collector_model::{Labels, PromDuration};
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::metrics::{Metrics, Remote};
    use crate::queue::disk::Folder;
    use crate::queue::record::{self, IdSample};
    use crate::sinks::Outcome;
    use crate::status::{DestinationStatus, LastError};

    struct Fixed;

    impl Clock for Fixed {
        fn now_ms(&self) -> i64 {
            7
        }
    }

    /// Panics so many times, then takes everything.
    struct Panics(AtomicU32);

    impl Sink for Panics {
        fn encode(&self, points: &[Point]) -> Bytes {
            Bytes::from(vec![0; points.len()])
        }

        fn send(&self, _body: Bytes, _attempt: u32) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
            Box::pin(async move {
                let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
                assert!(left.is_err(), "the sink is broken");
                Outcome::Delivered
            })
        }
    }

    fn last_error(health: &Health) -> Option<LastError> {
        let mut status = DestinationStatus {
            name: String::new(),
            url: String::new(),
            kind: "",
            pending_samples: 0,
            disk_bytes: 0,
            oldest_unsent_ms: None,
            highest_sent_ms: None,
            last_error: None,
            last_success_ms: None,
            samples_sent: 0,
            samples_retried: 0,
            samples_failed: 0,
            samples_dropped: BTreeMap::new(),
            bytes_sent: 0,
            shards: 0,
            shards_waiting: 0,
        };
        health.fill(&mut status);
        status.last_error
    }

    #[tokio::test]
    async fn a_panic_in_a_request_costs_a_retry() {
        let folder = tempfile::tempdir().unwrap();
        let (queue, mut writer) =
            crate::queue::open(Arc::new(Folder::create(folder.path()).unwrap()), 1 << 20).unwrap();
        writer.segment().unwrap();
        let mut bytes = Vec::new();
        let labels = Labels::from_pairs([("__name__", "up")]);
        record::write_series([(0, &labels)].into_iter(), &mut Vec::new(), &mut bytes);
        record::write_samples(&[IdSample { id: 0, timestamp_ms: 5, value: 1.0 }], &mut bytes);
        writer.append(&bytes, 1, 5).unwrap();
        let remote = Remote { remote_name: "test".to_owned(), url: "http://h".to_owned() };
        let meter = Metrics::register(&mut Registry::default()).of(&remote);
        let health = Arc::new(Health::default());
        let config = QueueConfig {
            batch_send_deadline: PromDuration::from_millis(1),
            min_backoff: PromDuration::from_millis(300),
            max_backoff: PromDuration::from_millis(400),
            ..QueueConfig::default()
        };
        let parts = Parts {
            name: "test".to_owned(),
            queue: Arc::clone(&queue),
            sink: Arc::new(Panics(AtomicU32::new(2))),
            config,
            finite_only: false,
            meter: meter.clone(),
            health: Arc::clone(&health),
            clock: Arc::new(Fixed),
        };
        let begun = Instant::now();
        let sender = Sender::spawn(&tokio::runtime::Handle::current(), parts);
        let mut told = None;
        while meter.samples.get() == 0 {
            assert!(begun.elapsed() < Duration::from_secs(20), "delivery ended with the panic");
            told = told.or_else(|| last_error(&health));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(
            begun.elapsed() >= Duration::from_millis(300 + 400),
            "it waits before it tries again, longer each time"
        );
        let told = told.unwrap();
        assert_eq!((told.at_ms, told.message.as_str()), (7, "panic in a request: the sink is broken"));
        assert_eq!((meter.samples.get(), meter.retried.get()), (1, 2));
        sender.stop(Instant::now() + Duration::from_secs(20)).await;
        assert_eq!((queue.size().waiting, health.in_flight()), (0, 0));
    }
}
