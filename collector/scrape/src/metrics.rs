//! What scraping counts, under Prometheus's own names.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::interval_length::IntervalLength;

/// Which job.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Job {
    pub(crate) scrape_job: String,
}

/// What can keep a scrape from being a good one: no answer, not in time, a page that broke off, another HTTP status than
/// 200, a format that is not read here, something that is no metric, more than the job allows, a window that takes nothing.
pub(crate) const REASONS: [&str; 8] =
    ["unreachable", "timeout", "broken", "status", "content_type", "malformed", "limit", "window"];

/// Which scrapes failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Failure {
    pub(crate) scrape_job: String,
    /// One of [`REASONS`].
    pub(crate) reason: &'static str,
}

/// Counters and gauges of scraping.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) interval_length: IntervalLength,
    pub(crate) out_of_order: Counter,
    pub(crate) duplicate_timestamp: Counter,
    pub(crate) out_of_bounds: Counter,
    pub(crate) exceeded_sample_limit: Counter,
    pub(crate) exceeded_body_size_limit: Counter,
    pub(crate) exceeded_target_limit: Counter,
    pub(crate) exceeded_label_limits: Counter,
    pub(crate) cache_flush_forced: Counter,
    pub(crate) append_failures: Counter,
    pub(crate) series_over_limit: Counter,
    pub(crate) failed: Family<Failure, Counter>,
    pub(crate) pools: Counter,
    pub(crate) pool_reloads: Counter,
    pub(crate) pool_reloads_failed: Counter,
    pub(crate) pool_targets: Family<Job, Gauge>,
    pub(crate) pool_target_limit: Family<Job, Gauge>,
    pub(crate) pool_syncs: Family<Job, Counter>,
    pub(crate) sync_failed: Family<Job, Counter>,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        registry.register_collector(Box::new(m.interval_length.clone()));
        let counters = [
            (
                "prometheus_target_scrapes_sample_out_of_order",
                "Total number of samples rejected due to not being out of the expected order",
                &m.out_of_order,
            ),
            (
                "prometheus_target_scrapes_sample_duplicate_timestamp",
                "Total number of samples rejected due to duplicate timestamps but different values",
                &m.duplicate_timestamp,
            ),
            (
                "prometheus_target_scrapes_sample_out_of_bounds",
                "Total number of samples rejected due to timestamp falling outside of the time bounds",
                &m.out_of_bounds,
            ),
            (
                "prometheus_target_scrapes_exceeded_sample_limit",
                "Total number of scrapes that hit the sample limit and were rejected",
                &m.exceeded_sample_limit,
            ),
            (
                "prometheus_target_scrapes_exceeded_body_size_limit",
                "Total number of scrapes that hit the body size limit",
                &m.exceeded_body_size_limit,
            ),
            (
                "prometheus_target_scrape_pool_exceeded_target_limit",
                "Total number of times scrape pools hit the target limit, during sync or config reload",
                &m.exceeded_target_limit,
            ),
            (
                "prometheus_target_scrape_pool_exceeded_label_limits",
                "Total number of times scrape pools hit the label limits, during sync or config reload",
                &m.exceeded_label_limits,
            ),
            (
                "prometheus_target_scrapes_cache_flush_forced",
                "How many times a scrape cache was flushed due to getting big while scrapes are failing",
                &m.cache_flush_forced,
            ),
            (
                "atalaia_target_scrapes_append_failures",
                "Total number of scrapes whose samples the local window could not take at all",
                &m.append_failures,
            ),
            (
                "atalaia_target_scrapes_series_over_limit",
                "Total number of samples lost because their series was new and the local window held as many as it may",
                &m.series_over_limit,
            ),
            ("prometheus_target_scrape_pools", "Total number of scrape pool creation attempts", &m.pools),
            ("prometheus_target_scrape_pool_reloads", "Total number of scrape pool reloads", &m.pool_reloads),
            (
                "prometheus_target_scrape_pool_reloads_failed",
                "Total number of failed scrape pool reloads",
                &m.pool_reloads_failed,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register(
            "atalaia_target_scrapes_failed",
            "Total number of scrapes after which their target counted as down",
            m.failed.clone(),
        );
        registry.register(
            "prometheus_target_scrape_pool_targets",
            "Current number of targets in this scrape pool",
            m.pool_targets.clone(),
        );
        registry.register(
            "prometheus_target_scrape_pool_target_limit",
            "Maximum number of targets allowed in this scrape pool",
            m.pool_target_limit.clone(),
        );
        registry.register(
            "prometheus_target_scrape_pool_sync",
            "Total number of syncs that were executed on a scrape pool",
            m.pool_syncs.clone(),
        );
        registry.register(
            "prometheus_target_sync_failed",
            "Total number of target sync failures",
            m.sync_failed.clone(),
        );
        m
    }

    pub(crate) fn job(name: &str) -> Job {
        Job { scrape_job: name.to_owned() }
    }

    /// Begins to count for a job: nothing failed so far is a count too.
    pub(crate) fn know_job(&self, name: &str) {
        for reason in REASONS {
            drop(self.failed.get_or_create(&Self::failure(name, reason)));
        }
    }

    pub(crate) fn failure(job: &str, reason: &'static str) -> Failure {
        Failure { scrape_job: job.to_owned(), reason }
    }

    /// Lets go of what belongs to a job that is gone.
    pub(crate) fn forget_job(&self, name: &str) {
        let job = Self::job(name);
        self.pool_targets.remove(&job);
        self.pool_target_limit.remove(&job);
        self.pool_syncs.remove(&job);
        self.sync_failed.remove(&job);
        for reason in REASONS {
            self.failed.remove(&Self::failure(name, reason));
        }
    }
}
