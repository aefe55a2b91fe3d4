//! What the ruler tells about itself, for the API and the page.

use std::time::Duration;

use collector_model::{Labels, PromDuration, TimestampMs};
use collector_promql::VectorSample;

use crate::alert::{Alert, AlertState};

/// A group and its rules.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSnapshot {
    /// The file it comes from.
    pub file: String,
    /// Its name, unique in the file.
    pub name: String,
    /// How often it is evaluated.
    pub interval: PromDuration,
    /// How far before the scheduled time it looks and writes.
    pub query_offset: PromDuration,
    /// Most series or alerts per rule; 0 is no limit.
    pub limit: usize,
    /// For which time it was last evaluated.
    pub last_evaluation_ms: Option<TimestampMs>,
    /// How long that took.
    pub last_duration: Duration,
    /// Its rules in order.
    pub rules: Vec<RuleSnapshot>,
}

/// How a rule fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Not evaluated yet.
    #[default]
    Unknown,
    /// The last evaluation went well.
    Ok,
    /// The last evaluation failed.
    Err,
}

impl Health {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::Err => "err",
        }
    }
}

/// A rule.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleSnapshot {
    /// The recorded metric or the alert.
    pub name: String,
    /// The expression.
    pub query: String,
    /// Its labels as written, the group's among them.
    pub labels: Labels,
    /// How it fares.
    pub health: Health,
    /// Why the last evaluation failed, with the chain of causes.
    pub last_error: Option<String>,
    /// For which time it was last evaluated.
    pub last_evaluation_ms: Option<TimestampMs>,
    /// How long that took.
    pub last_duration: Duration,
    /// What only one kind of rule has.
    pub kind: RuleKind,
}

/// What only one kind of rule has.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleKind {
    /// A recording rule.
    Recording {
        /// How many series the last successful evaluation recorded.
        series: usize,
        /// One of them: the first by labels.
        sample: Option<VectorSample>,
    },
    /// An alerting rule.
    Alerting {
        /// `for`
        hold: PromDuration,
        /// `keep_firing_for`
        keep_firing_for: PromDuration,
        /// Annotations as written.
        annotations: Labels,
        /// The furthest state among its alerts.
        state: AlertState,
        /// Its active alerts, sorted by labels.
        alerts: Vec<Alert>,
    },
}
