//! What is told of votes that are taken.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use services_kit as kit;

use crate::options::Choice;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct For {
    vote: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Because {
    reason: &'static str,
}

/// Why a vote was not taken.
#[derive(Clone, Copy, Debug)]
pub enum Reason {
    /// The request does not say for what.
    Form,
    /// It was not queued.
    Away,
    /// It may have been queued.
    NoAnswer,
}

impl Reason {
    const ALL: [Self; 3] = [Self::Form, Self::Away, Self::NoAnswer];

    fn as_str(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Away => "redis_away",
            Self::NoAnswer => "redis_gave_no_answer",
        }
    }
}

impl From<&kit::redis::Error> for Reason {
    fn from(error: &kit::redis::Error) -> Self {
        match error {
            kit::redis::Error::NoAnswer { .. } => Self::NoAnswer,
            _ => Self::Away,
        }
    }
}

/// Counts votes.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    accepted: Family<For, Counter>,
    refused: Family<Because, Counter>,
}

impl Metrics {
    /// Shows them in a registry, from 0.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for choice in [Choice::A, Choice::B] {
            drop(metrics.accepted.get_or_create(&For { vote: choice.as_str() }));
        }
        for reason in Reason::ALL {
            drop(metrics.refused.get_or_create(&Because { reason: reason.as_str() }));
        }
        registry.register("voting_votes_accepted", "Votes that Redis has queued, by option", metrics.accepted.clone());
        registry.register(
            "voting_votes_refused",
            "Votes that were answered with an error, by reason; those that Redis gave no answer for may be queued",
            metrics.refused.clone(),
        );
        metrics
    }

    /// A vote is queued.
    pub fn accepted(&self, choice: Choice) {
        self.accepted.get_or_create(&For { vote: choice.as_str() }).inc();
    }

    /// A vote is not queued, or nobody knows.
    pub fn refused(&self, reason: Reason) {
        self.refused.get_or_create(&Because { reason: reason.as_str() }).inc();
    }
}
