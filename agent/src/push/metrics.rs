//! How delivery does, for the node page.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use agent_exposition::{Kind, Page};
use parking_lot::Mutex;

use super::queue::Pending;

/// Why samples were not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// The queue was full.
    QueueFull,
    /// The receiver refused them.
    Rejected,
    /// The agent ended first.
    Shutdown,
}

const REASONS: [(Reason, &str); 3] =
    [(Reason::QueueFull, "queue_full"), (Reason::Rejected, "rejected"), (Reason::Shutdown, "shutdown")];

#[derive(Debug, Default)]
pub(crate) struct Metrics {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    sent: u64,
    dropped: BTreeMap<Reason, u64>,
    /// By status; `None` where no answer came.
    requests: BTreeMap<Option<u16>, u64>,
    last_success: Option<f64>,
}

impl Metrics {
    /// A request has ended with this status, or without an answer.
    pub(crate) fn request(&self, status: Option<u16>) {
        *self.counts.lock().requests.entry(status).or_default() += 1;
    }

    pub(crate) fn sent(&self, samples: u64) {
        let mut counts = self.counts.lock();
        counts.sent += samples;
        counts.last_success = SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs_f64());
    }

    pub(crate) fn dropped(&self, reason: Reason, samples: u64) {
        if samples > 0 {
            *self.counts.lock().dropped.entry(reason).or_default() += samples;
        }
    }

    /// Adds `atalaia_push_*`.
    pub(crate) fn add_to(&self, page: &mut Page, pending: Pending) {
        use Kind::{Counter, Gauge};
        let counts = self.counts.lock();
        page.single("atalaia_push_samples_sent_total", "Samples that the receiver took.", Counter, counts.sent as f64);
        let dropped = page.family("atalaia_push_samples_dropped_total", "Samples that were not delivered.", Counter);
        for (reason, name) in REASONS {
            let samples = counts.dropped.get(&reason).copied().unwrap_or_default();
            page.sample(dropped, &[("reason", name)], samples as f64);
        }
        let requests = page.family(
            "atalaia_push_requests_total",
            "Requests to the receiver by status; \"none\" where no answer came.",
            Counter,
        );
        for (status, count) in &counts.requests {
            let code = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
            page.sample(requests, &[("code", &code)], *count as f64);
        }
        page.single("atalaia_push_pending_bytes", "Bytes that wait.", Gauge, pending.bytes as f64);
        page.single("atalaia_push_pending_samples", "Samples that wait.", Gauge, pending.samples as f64);
        if let Some(since) = pending.since {
            let age = Instant::now().saturating_duration_since(since).as_secs_f64();
            page.single("atalaia_push_oldest_pending_seconds", "Age of the oldest samples that wait.", Gauge, age);
        }
        if let Some(time) = counts.last_success {
            let help = "When the receiver last took samples, since 1970.";
            page.single("atalaia_push_last_success_timestamp_seconds", help, Gauge, time);
        }
    }
}
