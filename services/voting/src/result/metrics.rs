//! What the result page tells of itself.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::tally::Tally;
use crate::options::Choice;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct For {
    vote: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct With {
    peer: &'static str,
}

type Seconds = Gauge<f64, std::sync::atomic::AtomicU64>;

/// Handles to it.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    votes: Family<For, Gauge>,
    read_at: Family<[(&'static str, &'static str); 0], Seconds>,
    reconnects: Family<With, Counter>,
    listeners: Gauge,
    listeners_refused: Counter,
}

impl Metrics {
    /// Shows it in a registry. Counts of votes are absent until they are known.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        drop(metrics.reconnects.get_or_create(&With { peer: "postgres" }));
        registry.register(
            "voting_result_votes",
            "Voters in PostgreSQL as last read, by the option that they chose",
            metrics.votes.clone(),
        );
        registry.register_with_unit(
            "voting_result_read_timestamp",
            "Unix time of the last reading",
            Unit::Seconds,
            metrics.read_at.clone(),
        );
        registry.register(
            "voting_reconnects",
            "Times that the connection was made anew, by the peer that failed",
            metrics.reconnects.clone(),
        );
        registry.register("voting_result_listeners", "Browsers that follow the result live", metrics.listeners.clone());
        registry.register(
            "voting_result_listeners_refused",
            "Browsers that could not, as there were too many",
            metrics.listeners_refused.clone(),
        );
        metrics
    }

    /// PostgreSQL gave the counts.
    pub fn read(&self, tally: Tally) {
        for (choice, votes) in [(Choice::A, tally.a), (Choice::B, tally.b)] {
            let votes = i64::try_from(votes).unwrap_or(i64::MAX);
            self.votes.get_or_create(&For { vote: choice.as_str() }).set(votes);
        }
        // A clock before 1970 tells nothing.
        if let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) {
            self.read_at.get_or_create(&[]).set(now.as_secs_f64());
        }
    }

    /// PostgreSQL gave nothing.
    pub fn failed(&self) {
        self.reconnects.get_or_create(&With { peer: "postgres" }).inc();
    }

    /// Counts a listener until it is let go.
    pub fn listener(&self) -> Listener {
        self.listeners.inc();
        Listener(self.listeners.clone())
    }

    /// There was no place for a listener.
    pub fn listener_refused(&self) {
        self.listeners_refused.inc();
    }
}

/// One that listens.
pub struct Listener(Gauge);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.dec();
    }
}
