//! What discovery counts, under Prometheus's own names.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Which job.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Job {
    /// Always `scrape` here; Prometheus discovers Alertmanagers the same way and calls that `notify`.
    pub(crate) name: &'static str,
    pub(crate) config: String,
}

/// Which provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Mechanism {
    pub(crate) mechanism: &'static str,
}

/// Which file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct File {
    pub(crate) filename: String,
}

/// How long refreshes took, in seconds.
#[derive(Clone, Debug)]
struct Durations(Family<Mechanism, Histogram, fn() -> Histogram>);

impl Default for Durations {
    fn default() -> Self {
        Self(Family::new_with_constructor(|| Histogram::new([0.01, 0.1, 1.0, 10.0])))
    }
}

/// Counters and gauges of discovery.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(crate) discovered_targets: Family<Job, Gauge>,
    pub(crate) received_updates: Counter,
    pub(crate) refresh_failures: Family<Mechanism, Counter>,
    refresh_duration: Durations,
    pub(crate) dns_lookups: Counter,
    pub(crate) dns_lookup_failures: Counter,
    pub(crate) file_read_errors: Counter,
    pub(crate) file_watcher_errors: Counter,
    pub(crate) file_mtime: Family<File, Gauge<f64, AtomicU64>>,
}

impl Metrics {
    /// Registers all of them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "prometheus_sd_discovered_targets",
            "Current number of discovered targets",
            metrics.discovered_targets.clone(),
        );
        registry.register(
            "prometheus_sd_received_updates",
            "Total number of update events received from the SD providers",
            metrics.received_updates.clone(),
        );
        registry.register(
            "prometheus_sd_refresh_failures",
            "Number of refresh failures for the given SD mechanism",
            metrics.refresh_failures.clone(),
        );
        for name in ["prometheus_sd_refresh_duration_seconds", "prometheus_sd_refresh_duration_histogram_seconds"] {
            registry.register(
                name,
                "The duration of a refresh for the given SD mechanism, in seconds",
                metrics.refresh_duration.0.clone(),
            );
        }
        registry.register("prometheus_sd_dns_lookups", "The number of DNS-SD lookups", metrics.dns_lookups.clone());
        registry.register(
            "prometheus_sd_dns_lookup_failures",
            "The number of DNS-SD lookup failures",
            metrics.dns_lookup_failures.clone(),
        );
        registry.register(
            "prometheus_sd_file_read_errors",
            "The number of File-SD read errors",
            metrics.file_read_errors.clone(),
        );
        registry.register(
            "prometheus_sd_file_watcher_errors",
            "The number of File-SD errors caused by filesystem watch failures",
            metrics.file_watcher_errors.clone(),
        );
        registry.register(
            "prometheus_sd_file_mtime_seconds",
            "Modification time of each file read by File-SD, in seconds since the epoch",
            metrics.file_mtime.clone(),
        );
        metrics
    }

    /// One refresh is over, well or not.
    pub(crate) fn refreshed(&self, mechanism: &'static str, took: Duration, well: bool) {
        let mechanism = Mechanism { mechanism };
        self.refresh_duration.0.get_or_create(&mechanism).observe(took.as_secs_f64());
        let failures = self.refresh_failures.get_or_create(&mechanism);
        if !well {
            failures.inc();
        }
    }

    pub(crate) fn job(job: &str) -> Job {
        Job { name: "scrape", config: job.to_owned() }
    }
}
