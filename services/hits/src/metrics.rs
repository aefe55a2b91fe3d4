//! What is told of hits.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use services_kit::redis::Error;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Because {
    reason: &'static str,
}

/// Redis could not be asked: not counted.
const AWAY: Because = Because { reason: "redis_away" };
/// It was asked and did not answer: counted or not.
const NO_ANSWER: Because = Because { reason: "redis_gave_no_answer" };
/// It said no: not counted.
const REFUSED: Because = Because { reason: "redis_refused" };

#[derive(Clone)]
pub(crate) struct Metrics {
    counted: Counter,
    failed: Family<Because, Counter>,
    seen: Gauge,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self { counted: Counter::default(), failed: Family::default(), seen: Gauge::default() };
        for reason in [AWAY, NO_ANSWER, REFUSED] {
            drop(metrics.failed.get_or_create(&reason));
        }
        registry.register("hits_counted", "Hits that this process counted in Redis", metrics.counted.clone());
        registry.register(
            "hits_failed",
            "Hits that were answered with an error; one to which Redis gave no answer may have been counted",
            metrics.failed.clone(),
        );
        registry.register("hits_seen", "The count of all processes as Redis told it last", metrics.seen.clone());
        metrics
    }

    pub(crate) fn counted(&self, count: i64) {
        self.counted.inc();
        self.seen.set(count);
    }

    pub(crate) fn failed(&self, error: &Error) {
        let reason = match error {
            Error::NoAnswer { .. } => NO_ANSWER,
            Error::Refused { .. } => REFUSED,
            _ => AWAY,
        };
        self.failed.get_or_create(&reason).inc();
    }
}
