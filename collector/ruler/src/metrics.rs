//! What the ruler counts, under Prometheus's names.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use collector_model::{Rejection, TimestampMs};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

type GroupLabel = [(&'static str, String); 1];
type ByGroup<M> = Family<GroupLabel, M>;
type Seconds = Gauge<f64, AtomicU64>;

/// Handles on the ruler's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    evaluations: ByGroup<Counter>,
    failures: ByGroup<Counter>,
    iterations: ByGroup<Counter>,
    missed: ByGroup<Counter>,
    interval: ByGroup<Seconds>,
    last_duration: ByGroup<Seconds>,
    last_evaluation: ByGroup<Seconds>,
    last_samples: ByGroup<Gauge>,
    rules: ByGroup<Gauge>,
    duration: Histogram,
    rejected: Family<[(&'static str, &'static str); 1], Counter>,
}

/// What one evaluation of a group did, for counting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Iteration<'a> {
    pub(crate) evaluated: usize,
    pub(crate) failed: usize,
    pub(crate) samples: usize,
    pub(crate) rejected: &'a [(Rejection, usize)],
    pub(crate) took: Duration,
    pub(crate) at_ms: TimestampMs,
}

impl Metrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            evaluations: Family::default(),
            failures: Family::default(),
            iterations: Family::default(),
            missed: Family::default(),
            interval: Family::default(),
            last_duration: Family::default(),
            last_evaluation: Family::default(),
            last_samples: Family::default(),
            rules: Family::default(),
            duration: Histogram::new([0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0]),
            rejected: Family::default(),
        };
        let m = &metrics;
        registry.register("prometheus_rule_evaluations", "Rule evaluations", m.evaluations.clone());
        registry.register("prometheus_rule_evaluation_failures", "Rule evaluations that failed", m.failures.clone());
        registry.register(
            "prometheus_rule_group_iterations",
            "Scheduled evaluations of the group",
            m.iterations.clone(),
        );
        registry.register(
            "prometheus_rule_group_iterations_missed",
            "Scheduled evaluations of the group that were skipped because an earlier one took too long",
            m.missed.clone(),
        );
        registry.register("prometheus_rule_group_interval_seconds", "Interval of the group", m.interval.clone());
        registry.register(
            "prometheus_rule_group_last_duration_seconds",
            "Duration of the group's last evaluation",
            m.last_duration.clone(),
        );
        registry.register(
            "prometheus_rule_group_last_evaluation_timestamp_seconds",
            "Time for which the group was last evaluated, in seconds since the epoch",
            m.last_evaluation.clone(),
        );
        registry.register(
            "prometheus_rule_group_last_evaluation_samples",
            "Samples that the group's last evaluation wrote",
            m.last_samples.clone(),
        );
        registry.register("prometheus_rule_group_rules", "Rules in the group", m.rules.clone());
        registry.register(
            "prometheus_rule_group_duration_seconds",
            "Durations of group evaluations",
            m.duration.clone(),
        );
        registry.register(
            "atalaia_rule_rejected_samples",
            "Samples of rule results that the window refused, by reason",
            m.rejected.clone(),
        );
        metrics
    }

    /// Makes a group's series, so that its counters start at zero.
    pub(crate) fn add_group(&self, key: &str, interval: Duration, rules: usize) {
        let label = label(key);
        self.evaluations.get_or_create(&label).inc_by(0);
        self.failures.get_or_create(&label).inc_by(0);
        self.iterations.get_or_create(&label).inc_by(0);
        self.missed.get_or_create(&label).inc_by(0);
        self.interval.get_or_create(&label).set(interval.as_secs_f64());
        self.rules.get_or_create(&label).set(i64::try_from(rules).unwrap_or(i64::MAX));
    }

    /// Removes a group's series.
    pub(crate) fn remove_group(&self, key: &str) {
        let label = label(key);
        self.evaluations.remove(&label);
        self.failures.remove(&label);
        self.iterations.remove(&label);
        self.missed.remove(&label);
        self.interval.remove(&label);
        self.last_duration.remove(&label);
        self.last_evaluation.remove(&label);
        self.last_samples.remove(&label);
        self.rules.remove(&label);
    }

    /// Counts one evaluation of a group.
    pub(crate) fn iteration(&self, key: &str, iteration: Iteration<'_>) {
        let label = label(key);
        self.evaluations.get_or_create(&label).inc_by(iteration.evaluated as u64);
        self.failures.get_or_create(&label).inc_by(iteration.failed as u64);
        self.iterations.get_or_create(&label).inc();
        self.last_duration.get_or_create(&label).set(iteration.took.as_secs_f64());
        self.last_evaluation.get_or_create(&label).set(iteration.at_ms as f64 / 1000.0);
        self.last_samples.get_or_create(&label).set(i64::try_from(iteration.samples).unwrap_or(i64::MAX));
        self.duration.observe(iteration.took.as_secs_f64());
        for (reason, count) in iteration.rejected {
            self.rejected.get_or_create(&[("reason", reason.as_str())]).inc_by(*count as u64);
        }
    }

    /// Counts skipped slots, which Prometheus counts among the scheduled ones too.
    pub(crate) fn missed(&self, key: &str, slots: u64) {
        self.missed.get_or_create(&label(key)).inc_by(slots);
        self.iterations.get_or_create(&label(key)).inc_by(slots);
    }
}

fn label(key: &str) -> GroupLabel {
    [("rule_group", key.to_owned())]
}
