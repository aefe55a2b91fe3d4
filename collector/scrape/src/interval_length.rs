//! The actual distances between scrapes, as quantiles: `prometheus_target_interval_length_seconds`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use collector_model::PromDuration;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

const NAME: &str = "prometheus_target_interval_length_seconds";
const QUANTILES: [(f64, &str); 5] = [(0.01, "0.01"), (0.05, "0.05"), (0.5, "0.5"), (0.9, "0.9"), (0.99, "0.99")];
/// Distances of each interval that quantiles are taken over.
const WINDOW: usize = 512;

/// Distances between scrapes, by configured interval.
#[derive(Clone, Debug, Default)]
pub(crate) struct IntervalLength(Arc<Mutex<BTreeMap<Duration, Distances>>>);

#[derive(Clone, Debug, Default)]
struct Distances {
    /// The newest ones, in seconds, in a ring.
    newest: Vec<f64>,
    oldest: usize,
    sum: f64,
    count: u64,
}

impl IntervalLength {
    pub(crate) fn observe(&self, interval: Duration, actual: Duration) {
        let mut intervals = self.0.lock();
        let distances = intervals.entry(interval).or_default();
        let seconds = actual.as_secs_f64();
        distances.sum += seconds;
        distances.count += 1;
        if distances.newest.len() < WINDOW {
            distances.newest.push(seconds);
        } else if let Some(slot) = distances.newest.get_mut(distances.oldest) {
            *slot = seconds;
            distances.oldest = (distances.oldest + 1) % WINDOW;
        }
    }
}

fn quantile(sorted: &[f64], q: f64) -> f64 {
    let rank = (q * sorted.len() as f64).ceil().max(1.0) as usize - 1;
    sorted.get(rank).copied().unwrap_or(f64::NAN)
}

impl Collector for IntervalLength {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        // The client library has no summary; three families make the same series.
        let intervals = self.0.lock().clone();
        let named = |interval: &Duration| PromDuration(*interval).to_string();
        let mut family =
            encoder.encode_descriptor(NAME, "Actual intervals between scrapes", None, MetricType::Gauge)?;
        for (interval, distances) in &intervals {
            let mut sorted = distances.newest.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            for (q, text) in QUANTILES {
                let labels = [("interval", named(interval)), ("quantile", text.to_owned())];
                ConstGauge::new(quantile(&sorted, q)).encode(family.encode_family(&labels)?)?;
            }
        }
        for (suffix, help) in [("_sum", "Sum of the actual intervals"), ("_count", "Number of intervals")] {
            let name = format!("{NAME}{suffix}");
            let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
            for (interval, distances) in &intervals {
                let value = if suffix == "_sum" { distances.sum } else { distances.count as f64 };
                ConstGauge::new(value).encode(family.encode_family(&[("interval", named(interval))])?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_like_a_summary() {
        let lengths = IntervalLength::default();
        for ms in (1..=1000).rev() {
            lengths.observe(Duration::from_secs(5), Duration::from_millis(ms));
        }
        let mut registry = prometheus_client::registry::Registry::default();
        registry.register_collector(Box::new(lengths));
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
        assert!(
            page.contains("prometheus_target_interval_length_seconds{interval=\"5s\",quantile=\"0.5\"} 0.256\n"),
            "{page}"
        );
        assert!(page.contains("prometheus_target_interval_length_seconds_sum{interval=\"5s\"} 500.5"), "{page}");
        assert!(page.contains("prometheus_target_interval_length_seconds_count{interval=\"5s\"} 1000.0\n"), "{page}");
    }
}
