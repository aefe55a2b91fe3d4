//! What the worker tells of itself.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::ballot::Flaw;

/// Upper bounds in seconds of a batch: one commit, from a quick disk to one that is in trouble.
const SECONDS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Because {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct With {
    peer: &'static str,
}

/// No labels: as a family, a gauge can be absent.
type Plain = [(&'static str, &'static str); 0];
type Seconds = Gauge<f64, std::sync::atomic::AtomicU64>;

/// The two servers that it works with.
#[derive(Clone, Copy, Debug)]
pub enum Peer {
    /// The queue.
    Redis,
    /// The store.
    Postgres,
}

impl Peer {
    fn as_str(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Postgres => "postgres",
        }
    }
}

/// Handles to it.
#[derive(Clone, Debug)]
pub struct Metrics {
    queued: Family<Plain, Gauge>,
    lag: Family<Plain, Seconds>,
    processed: Counter,
    rejected: Family<Because, Counter>,
    batches: Histogram,
    reconnects: Family<With, Counter>,
    leads: Gauge,
}

impl Metrics {
    /// Shows it in a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            queued: Family::default(),
            lag: Family::default(),
            processed: Counter::default(),
            rejected: Family::default(),
            batches: Histogram::new(SECONDS),
            reconnects: Family::default(),
            leads: Gauge::default(),
        };
        let all = [Flaw::TooLong, Flaw::NotJson, Flaw::NotAnObject, Flaw::VoterId, Flaw::Vote, Flaw::Database];
        for flaw in all {
            drop(metrics.rejected.get_or_create(&Because { reason: flaw.as_str() }));
        }
        for peer in [Peer::Redis, Peer::Postgres] {
            drop(metrics.reconnects.get_or_create(&With { peer: peer.as_str() }));
        }
        registry.register(
            "voting_votes_queued",
            "Votes on the Redis list, read each second; absent while Redis is away",
            metrics.queued.clone(),
        );
        registry.register_with_unit(
            "voting_lag",
            "Age of the oldest vote on the Redis list at most, exact to a second; 0 if the list is empty, absent while \
             Redis is away",
            Unit::Seconds,
            metrics.lag.clone(),
        );
        registry.register(
            "voting_votes_processed",
            "Votes that PostgreSQL has committed and that are off the list; a later vote of a voter counts again",
            metrics.processed.clone(),
        );
        registry.register(
            "voting_votes_rejected",
            "Messages that are no vote, by what is wrong with them; the last 1000 are on the list votes:rejected",
            metrics.rejected.clone(),
        );
        registry.register_with_unit(
            "voting_batch_duration",
            "From a batch that is read to one that is stored and off the list; its count is that of the batches",
            Unit::Seconds,
            metrics.batches.clone(),
        );
        registry.register(
            "voting_reconnects",
            "Times that the connections were made anew, by the peer that failed",
            metrics.reconnects.clone(),
        );
        registry.register(
            "voting_worker_active",
            "1 if this worker stores votes, 0 if it stands by or is not connected",
            metrics.leads.clone(),
        );
        metrics
    }

    /// How many votes wait, and how long the oldest has; nothing if that is not known.
    pub fn queue(&self, seen: Option<(u64, Duration)>) {
        match seen {
            Some((queued, lag)) => {
                self.queued.get_or_create(&[]).set(i64::try_from(queued).unwrap_or(i64::MAX));
                self.lag.get_or_create(&[]).set(lag.as_secs_f64());
            }
            None => {
                self.queued.clear();
                self.lag.clear();
            }
        }
    }

    /// A batch is stored and off the list.
    pub fn batch(&self, votes: usize, took: Duration) {
        self.processed.inc_by(votes as u64);
        self.batches.observe(took.as_secs_f64());
    }

    /// A message is no vote.
    pub fn rejected(&self, flaw: Flaw) {
        self.rejected.get_or_create(&Because { reason: flaw.as_str() }).inc();
    }

    /// A peer failed.
    pub fn reconnects(&self, peer: Peer) {
        self.reconnects.get_or_create(&With { peer: peer.as_str() }).inc();
    }

    /// Whether this worker is the one that works.
    pub fn leads(&self, yes: bool) {
        self.leads.set(yes.into());
    }
}
