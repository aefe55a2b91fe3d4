//! What is told of lines and connections.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::connection::Ended;

/// Upper bounds in seconds of what an answer takes here: until the system has taken it.
const SECONDS: [f64; 9] = [0.00001, 0.000025, 0.0001, 0.00025, 0.001, 0.01, 0.1, 1.0, 10.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    reason: &'static str,
}

/// The server's own metrics.
#[derive(Clone)]
pub(super) struct Metrics {
    pub(super) accepted: Counter,
    pub(super) accept_failures: Counter,
    pub(super) open: Gauge,
    pub(super) lines: Counter,
    pub(super) received: Counter,
    pub(super) sent: Counter,
    pub(super) durations: Histogram,
    ended: Family<Why, Counter>,
}

impl Metrics {
    /// Registers them, and beside them the counter of lines that the log had no room for.
    pub(super) fn register(registry: &mut Registry, log_dropped: Counter) -> Self {
        let metrics = Self {
            accepted: Counter::default(),
            accept_failures: Counter::default(),
            open: Gauge::default(),
            lines: Counter::default(),
            received: Counter::default(),
            sent: Counter::default(),
            durations: Histogram::new(SECONDS),
            ended: Family::default(),
        };
        // A reason that has not come up yet is told as 0: it is known.
        for ended in Ended::ALL {
            drop(metrics.ended.get_or_create(&Why { reason: ended.label() }));
        }
        let registry = registry.sub_registry_with_prefix("echo");
        registry.register("connections", "Connections accepted", metrics.accepted.clone());
        registry.register("accept_failures", "Connections that could not be accepted", metrics.accept_failures.clone());
        registry.register("connections_open", "Connections at present", metrics.open.clone());
        registry.register("connections_ended", "Connections ended, by reason", metrics.ended.clone());
        registry.register("lines", "Lines answered", metrics.lines.clone());
        registry.register("received_bytes", "Bytes received, of lines and what is none", metrics.received.clone());
        registry.register("sent_bytes", "Bytes of answers handed to the system", metrics.sent.clone());
        let about = "Seconds from having read a line until the system has taken its answer";
        registry.register("line_duration_seconds", about, metrics.durations.clone());
        registry.register("log_lines_dropped", "Lines of the log that were dropped: its reader is slow", log_dropped);
        metrics
    }

    pub(super) fn ended(&self, ended: Ended) {
        self.ended.get_or_create(&Why { reason: ended.label() }).inc();
    }
}
