//! Delivery's own metrics, under Prometheus's names where it has one.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Which destination.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Remote {
    pub remote_name: String,
    pub url: String,
}

/// Why a sample was dropped on this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// `write_relabel_configs` drop its series, as they are meant to.
    DroppedSeries,
    /// Its series is not known, or the record that named it was damaged.
    UnknownSeries,
    /// A stale marker, for a destination that stores none.
    StaleMarker,
    /// Another NaN or an infinity, for a destination that stores none.
    NonFinite,
    /// Older than `sample_age_limit`.
    TooOld,
    /// The queue reached `max_disk_bytes` and this was the oldest.
    QueueFull,
    /// The disk is full.
    DiskFull,
    /// The disk failed.
    WriteError,
    /// What was written could not be read again.
    Damaged,
}

impl Reason {
    const ALL: [Self; 9] = [
        Self::DroppedSeries,
        Self::UnknownSeries,
        Self::StaleMarker,
        Self::NonFinite,
        Self::TooOld,
        Self::QueueFull,
        Self::DiskFull,
        Self::WriteError,
        Self::Damaged,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::DroppedSeries => "dropped_series",
            Self::UnknownSeries => "unknown_series",
            Self::StaleMarker => "stale_marker",
            Self::NonFinite => "non_finite",
            Self::TooOld => "too_old",
            Self::QueueFull => "queue_full",
            Self::DiskFull => "disk_full",
            Self::WriteError => "write_error",
            Self::Damaged => "damaged",
        }
    }
}

impl EncodeLabelValue for Reason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.as_str(), encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RemoteReason {
    remote_name: String,
    url: String,
    reason: Reason,
}

/// A time in seconds since the epoch, or another number with a fraction.
pub(crate) type Seconds = Gauge<f64, AtomicU64>;

fn duration_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.005, 2.0, 14))
}

/// All of delivery's metrics.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub samples_in: Counter,
    pub highest_timestamp: Seconds,
    pub orphaned_queues: Gauge,
    samples: Family<Remote, Counter>,
    failed: Family<Remote, Counter>,
    retried: Family<Remote, Counter>,
    dropped: Family<RemoteReason, Counter>,
    bytes: Family<Remote, Counter>,
    damages: Family<Remote, Counter>,
    pending: Family<Remote, Gauge>,
    queue_bytes: Family<Remote, Gauge>,
    shards: Family<Remote, Gauge>,
    shards_min: Family<Remote, Gauge>,
    shards_max: Family<Remote, Gauge>,
    shards_desired: Family<Remote, Seconds>,
    shard_capacity: Family<Remote, Gauge>,
    max_samples_per_send: Family<Remote, Gauge>,
    highest_sent: Family<Remote, Seconds>,
    duration: Family<Remote, Histogram, fn() -> Histogram>,
}

impl Metrics {
    /// Registers them.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            samples_in: Counter::default(),
            highest_timestamp: Seconds::default(),
            orphaned_queues: Gauge::default(),
            samples: Family::default(),
            failed: Family::default(),
            retried: Family::default(),
            dropped: Family::default(),
            bytes: Family::default(),
            damages: Family::default(),
            pending: Family::default(),
            queue_bytes: Family::default(),
            shards: Family::default(),
            shards_min: Family::default(),
            shards_max: Family::default(),
            shards_desired: Family::default(),
            shard_capacity: Family::default(),
            max_samples_per_send: Family::default(),
            highest_sent: Family::default(),
            duration: Family::new_with_constructor(duration_histogram),
        };
        metrics.register_totals(registry.sub_registry_with_prefix("prometheus_remote_storage"));
        metrics.register_gauges(registry.sub_registry_with_prefix("prometheus_remote_storage"));
        let own = registry.sub_registry_with_prefix("atalaia_remote");
        own.register("queue_bytes", "Bytes that the queue takes on disk", metrics.queue_bytes.clone());
        own.register(
            "queue_damages",
            "Records, or rests of segments, of the queue that could not be read",
            metrics.damages.clone(),
        );
        own.register(
            "orphaned_queues",
            "Queues on disk of destinations that are no longer configured",
            metrics.orphaned_queues.clone(),
        );
        metrics
    }

    fn register_totals(&self, registry: &mut Registry) {
        registry.register("samples_in", "Samples that were offered to all destinations", self.samples_in.clone());
        registry.register("samples", "Samples that the destination acknowledged", self.samples.clone());
        registry.register("samples_failed", "Samples that the destination refused for good", self.failed.clone());
        registry.register("samples_retried", "Samples sent again after a failure", self.retried.clone());
        registry.register("samples_dropped", "Samples dropped on this side, by reason", self.dropped.clone());
        registry.register("bytes", "Bytes of request bodies that the destination acknowledged", self.bytes.clone());
    }

    fn register_gauges(&self, registry: &mut Registry) {
        registry.register(
            "highest_timestamp_in_seconds",
            "Newest time stamp of all samples that were offered to the destinations",
            self.highest_timestamp.clone(),
        );
        registry.register(
            "queue_highest_sent_timestamp_seconds",
            "Newest time stamp that the destination acknowledged",
            self.highest_sent.clone(),
        );
        registry.register("samples_pending", "Samples that wait or are on their way", self.pending.clone());
        registry.register("shards", "Requests in flight at most", self.shards.clone());
        registry.register("shards_min", "Fewest shards", self.shards_min.clone());
        registry.register("shards_max", "Most shards", self.shards_max.clone());
        registry.register("shards_desired", "Shards that the load asks for", self.shards_desired.clone());
        registry.register("shard_capacity", "Samples that a shard holds in memory", self.shard_capacity.clone());
        registry.register("max_samples_per_send", "Most samples in one request", self.max_samples_per_send.clone());
        registry.register(
            "sent_batch_duration_seconds",
            "How long requests took, the failed ones too",
            self.duration.clone(),
        );
    }

    /// The metrics of one destination.
    pub(crate) fn of(&self, remote: &Remote) -> Meter {
        let dropped = Reason::ALL.map(|reason| {
            let labels = RemoteReason { remote_name: remote.remote_name.clone(), url: remote.url.clone(), reason };
            (reason, self.dropped.get_or_create_owned(&labels))
        });
        Meter {
            samples: self.samples.get_or_create_owned(remote),
            failed: self.failed.get_or_create_owned(remote),
            retried: self.retried.get_or_create_owned(remote),
            dropped: dropped.into_iter().collect(),
            bytes: self.bytes.get_or_create_owned(remote),
            damages: self.damages.get_or_create_owned(remote),
            pending: self.pending.get_or_create_owned(remote),
            queue_bytes: self.queue_bytes.get_or_create_owned(remote),
            shards: self.shards.get_or_create_owned(remote),
            shards_min: self.shards_min.get_or_create_owned(remote),
            shards_max: self.shards_max.get_or_create_owned(remote),
            shards_desired: self.shards_desired.get_or_create_owned(remote),
            shard_capacity: self.shard_capacity.get_or_create_owned(remote),
            max_samples_per_send: self.max_samples_per_send.get_or_create_owned(remote),
            highest_sent: self.highest_sent.get_or_create_owned(remote),
            duration: self.duration.get_or_create_owned(remote),
        }
    }

    /// Forgets a destination that is gone.
    pub(crate) fn remove(&self, remote: &Remote) {
        for family in [&self.samples, &self.failed, &self.retried, &self.bytes, &self.damages] {
            family.remove(remote);
        }
        for family in [
            &self.pending,
            &self.queue_bytes,
            &self.shards,
            &self.shards_min,
            &self.shards_max,
            &self.shard_capacity,
            &self.max_samples_per_send,
        ] {
            family.remove(remote);
        }
        self.shards_desired.remove(remote);
        self.highest_sent.remove(remote);
        self.duration.remove(remote);
        for reason in Reason::ALL {
            let labels = RemoteReason { remote_name: remote.remote_name.clone(), url: remote.url.clone(), reason };
            self.dropped.remove(&labels);
        }
    }
}

/// The metrics of one destination.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    pub samples: Counter,
    pub failed: Counter,
    pub retried: Counter,
    dropped: BTreeMap<Reason, Counter>,
    pub bytes: Counter,
    pub damages: Counter,
    pub pending: Gauge,
    pub queue_bytes: Gauge,
    pub shards: Gauge,
    pub shards_min: Gauge,
    pub shards_max: Gauge,
    pub shards_desired: Seconds,
    pub shard_capacity: Gauge,
    pub max_samples_per_send: Gauge,
    pub highest_sent: Seconds,
    pub duration: Histogram,
}

impl Meter {
    /// Counts dropped samples.
    pub(crate) fn drop_samples(&self, reason: Reason, count: u64) {
        if count > 0
            && let Some(counter) = self.dropped.get(&reason)
        {
            counter.inc_by(count);
        }
    }

    /// What was dropped, by reason, without what was meant to be and without zeros.
    pub(crate) fn dropped(&self) -> BTreeMap<&'static str, u64> {
        self.dropped
            .iter()
            .filter(|(reason, _)| **reason != Reason::DroppedSeries)
            .map(|(reason, counter)| (reason.as_str(), counter.get()))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}
