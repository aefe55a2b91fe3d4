//! What is told of records and of the store.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::store::Error;

/// Upper bounds in seconds: from a read out of memory to a wait for another process.
const SECONDS: [f64; 11] = [0.0001, 0.00025, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];

/// What the store was asked to do.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// A transaction of one or more inserts.
    Insert,
    /// A read of one page of records.
    Read,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Doing {
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Because {
    reason: &'static str,
}

/// Why a record was not kept.
const REASONS: [&str; 8] = ["record", "too_long", "full", "busy", "too_many", "slow", "abandoned", "failed"];

/// The registry's metrics.
#[derive(Clone)]
pub struct Metrics {
    records: Gauge,
    waiting: Gauge,
    inserted: Counter,
    refused: Family<Because, Counter>,
    seconds: Family<Doing, Histogram>,
}

impl Metrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            records: Gauge::default(),
            waiting: Gauge::default(),
            inserted: Counter::default(),
            refused: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
        };
        for reason in REASONS {
            drop(metrics.refused.get_or_create(&Because { reason }));
        }
        registry.register("registry_records", "Records in the shared store", metrics.records.clone());
        registry.register("registry_inserts_waiting", "Inserts that wait in this process", metrics.waiting.clone());
        registry.register("registry_inserted", "Records that this process stored", metrics.inserted.clone());
        registry.register(
            "registry_refused",
            "Records that were refused; one that was slow may be stored all the same",
            metrics.refused.clone(),
        );
        registry.register(
            "registry_store_duration_seconds",
            "Seconds that the store took, for a transaction of one or more inserts or for a read",
            metrics.seconds.clone(),
        );
        metrics
    }

    /// How many there are.
    pub(crate) fn records(&self, count: i64) {
        self.records.set(count);
    }

    pub(crate) fn waiting(&self, count: usize) {
        self.waiting.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn inserted(&self, count: usize, records: i64) {
        self.inserted.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
        self.records(records);
    }

    pub(crate) fn took(&self, operation: Operation, time: Duration) {
        let operation = match operation {
            Operation::Insert => "insert",
            Operation::Read => "read",
        };
        self.seconds.get_or_create(&Doing { operation }).observe(time.as_secs_f64());
    }

    /// Not kept, since who sent it had gone.
    pub(crate) fn abandoned(&self) {
        self.refused.get_or_create(&Because { reason: "abandoned" }).inc();
    }

    /// The body was no record.
    pub(crate) fn no_record(&self, too_long: bool) {
        let reason = if too_long { "too_long" } else { "record" };
        self.refused.get_or_create(&Because { reason }).inc();
    }

    /// Not kept by the store.
    pub(crate) fn not_kept(&self, error: &Error) {
        let reason = match error {
            Error::Full { .. } => "full",
            Error::Busy { .. } => "busy",
            Error::TooMany => "too_many",
            Error::Slow { .. } => "slow",
            _ => "failed",
        };
        self.refused.get_or_create(&Because { reason }).inc();
    }
}
