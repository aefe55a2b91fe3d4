//! What a page or an API shows of a destination.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use collector_model::TimestampMs;
use parking_lot::Mutex;

use crate::metrics::Seconds;

/// A destination as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct DestinationStatus {
    /// Its name: the configured one, or one made of the URL.
    pub name: String,
    /// Where to, without secrets.
    pub url: String,
    /// Its sink: `remote_write` or `influxdb`.
    pub kind: &'static str,
    /// Samples that wait or are on their way.
    pub pending_samples: u64,
    /// What the queue takes on disk.
    pub disk_bytes: u64,
    /// The time of the oldest sample that is not acknowledged yet; none when all are.
    pub oldest_unsent_ms: Option<TimestampMs>,
    /// The time of the newest sample that was acknowledged.
    pub highest_sent_ms: Option<TimestampMs>,
    /// What went wrong last, if it went wrong since the last success.
    pub last_error: Option<LastError>,
    /// When a request last succeeded.
    pub last_success_ms: Option<TimestampMs>,
    /// Samples acknowledged since the process began.
    pub samples_sent: u64,
    /// Samples sent again after a failure.
    pub samples_retried: u64,
    /// Samples that the receiver refused for good.
    pub samples_failed: u64,
    /// Samples dropped on this side, by reason.
    pub samples_dropped: BTreeMap<&'static str, u64>,
    /// Bytes of request bodies acknowledged.
    pub bytes_sent: u64,
    /// Requests in flight at most.
    pub shards: usize,
    /// Shards that wait after a failure before they try again.
    pub shards_waiting: usize,
}

/// What went wrong with a destination, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// When, in milliseconds since the epoch.
    pub at_ms: TimestampMs,
    /// What: the receiver's answer or why there was none.
    pub message: String,
}

/// How a destination fares, told by its sender and read by everyone.
#[derive(Debug, Default)]
pub(crate) struct Health {
    state: Mutex<State>,
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    in_flight: u64,
    oldest_ms: Option<TimestampMs>,
    highest_sent_ms: Option<TimestampMs>,
    last_success_ms: Option<TimestampMs>,
    last_error: Option<LastError>,
    /// The failure that was logged last; it is not logged again until it changes or passes.
    logged: Option<String>,
    /// The refusals that were logged, one of a kind.
    refusals: Vec<String>,
}

/// Kinds of refusals that are remembered as logged.
const MAX_REFUSALS: usize = 64;

impl Health {
    /// What is read and not acknowledged.
    pub(crate) fn set_in_flight(&self, samples: u64, oldest_ms: Option<TimestampMs>) {
        let mut state = self.state.lock();
        state.in_flight = samples;
        state.oldest_ms = oldest_ms;
    }

    /// Samples that were read and are not acknowledged.
    pub(crate) fn in_flight(&self) -> u64 {
        self.state.lock().in_flight
    }

    /// A request succeeded.
    pub(crate) fn delivered(&self, name: &str, now_ms: TimestampMs, newest_ms: TimestampMs, gauge: &Seconds) {
        let mut state = self.state.lock();
        let highest = state.highest_sent_ms.map_or(newest_ms, |before| before.max(newest_ms));
        state.highest_sent_ms = Some(highest);
        gauge.set(highest as f64 / 1e3);
        state.last_success_ms = Some(now_ms);
        state.last_error = None;
        if state.logged.take().is_some() {
            tracing::info!(destination = %name, "delivery works again");
        }
    }

    /// A request failed and will be tried again.
    pub(crate) fn failed(&self, name: &str, now_ms: TimestampMs, message: String) {
        let mut state = self.state.lock();
        if state.logged.as_deref() != Some(kind(&message)) {
            tracing::warn!(destination = %name, error = %message, "delivery failed, trying again until it works");
            state.logged = Some(kind(&message).to_owned());
        }
        state.last_error = Some(LastError { at_ms: now_ms, message });
    }

    /// Samples were refused for good.
    pub(crate) fn refused(&self, name: &str, now_ms: TimestampMs, samples: usize, message: &str) {
        if samples == 0 {
            return;
        }
        let mut state = self.state.lock();
        if state.refusals.len() < MAX_REFUSALS && !state.refusals.iter().any(|known| known == kind(message)) {
            tracing::error!(destination = %name, samples, error = %message, "the destination refused samples for good");
            state.refusals.push(kind(message).to_owned());
        }
        state.last_error = Some(LastError { at_ms: now_ms, message: message.to_owned() });
    }

    /// Waits before the next attempt, visibly.
    pub(crate) async fn wait(&self, duration: Duration) {
        /// Counts down even where the wait is given up.
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        tokio::time::sleep(duration).await;
    }

    /// Copies what it knows.
    pub(crate) fn fill(&self, status: &mut DestinationStatus) {
        let state = self.state.lock();
        status.oldest_unsent_ms = state.oldest_ms;
        status.highest_sent_ms = state.highest_sent_ms;
        status.last_success_ms = state.last_success_ms;
        status.last_error = state.last_error.clone();
        status.shards_waiting = self.waiting.load(Ordering::Relaxed);
    }
}

/// What makes two messages of one kind: the status, not the receiver's text, which may name the sample.
fn kind(message: &str) -> &str {
    message.split_once(':').map_or(message, |(kind, _)| kind)
}
