//! The configuration in force, and how a new one takes its place: whole or not at all.

use collector_model::TimestampMs;
use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What is in force and how the last attempt to change it went.
#[derive(Debug)]
pub struct Reload {
    state: Mutex<State>,
    successful: Gauge,
    at_seconds: Gauge,
    /// One reload at a time.
    pub(crate) turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    text: String,
    ok: bool,
    at_ms: TimestampMs,
}

impl Reload {
    /// Nothing loaded yet.
    pub fn register(registry: &mut Registry) -> Self {
        let (successful, at_seconds) = (Gauge::default(), Gauge::default());
        registry.register(
            "prometheus_config_last_reload_successful",
            "Whether the last attempt to load the configuration succeeded",
            successful.clone(),
        );
        registry.register(
            "prometheus_config_last_reload_success_timestamp_seconds",
            "When the configuration was last loaded, in seconds since the epoch",
            at_seconds.clone(),
        );
        Self { state: Mutex::default(), successful, at_seconds, turn: tokio::sync::Mutex::default() }
    }

    /// Notes that a configuration is in force.
    pub fn succeeded(&self, text: String, now_ms: TimestampMs) {
        *self.state.lock() = State { text, ok: true, at_ms: now_ms };
        self.successful.set(1);
        self.at_seconds.set(now_ms / 1000);
    }

    /// Notes that a new one was refused.
    pub fn failed(&self) {
        self.state.lock().ok = false;
        self.successful.set(0);
    }

    /// The text in force.
    pub fn loaded_text(&self) -> String {
        self.state.lock().text.clone()
    }

    /// Whether the last attempt succeeded, and when the last success was.
    pub fn last_outcome(&self) -> (bool, TimestampMs) {
        let state = self.state.lock();
        (state.ok, state.at_ms)
    }
}
