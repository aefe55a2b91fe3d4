//! What can be seen of the targets from outside.

use std::collections::BTreeMap;
use std::time::Duration;

use collector_model::{Labels, Metadata, TimestampMs};

/// How a target does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Health {
    /// Not scraped yet.
    #[default]
    Unknown,
    /// The last scrape went well.
    Up,
    /// The last scrape failed.
    Down,
}

impl Health {
    /// The word that the HTTP API has for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// A target that is scraped, and how its last scrape went.
#[derive(Clone, Debug)]
pub struct ActiveTarget {
    /// Before relabelling.
    pub discovered_labels: Labels,
    /// What its series carry.
    pub labels: Labels,
    /// The job.
    pub scrape_pool: String,
    /// What is asked for, with the parameters.
    pub scrape_url: String,
    /// The same as seen from elsewhere: a loopback address is replaced by this host's name.
    pub global_url: String,
    /// What was wrong with the last scrape, if anything; the whole chain of causes.
    pub last_error: Option<String>,
    /// When the last scrape began, in milliseconds since the epoch.
    pub last_scrape_ms: Option<TimestampMs>,
    /// How long it took.
    pub last_duration: Duration,
    /// Whether it went well.
    pub health: Health,
    /// Time between two scrapes.
    pub interval: Duration,
    /// Deadline of one scrape.
    pub timeout: Duration,
}

/// A discovered target that relabelling dropped.
#[derive(Clone, Debug)]
pub struct DroppedTarget {
    /// Before relabelling.
    pub discovered_labels: Labels,
    /// The job.
    pub scrape_pool: String,
}

/// All targets at one moment.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// Those that are scraped, by job and URL.
    pub active: Vec<ActiveTarget>,
    /// Those that were dropped, as far as `keep_dropped_targets` lets them be remembered.
    pub dropped: Vec<DroppedTarget>,
    /// How many were dropped, by job.
    pub dropped_counts: BTreeMap<String, usize>,
}

/// What one target says about one of its metric families.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetMetadata {
    /// The labels of the target.
    pub target: Labels,
    /// The family.
    pub metric: String,
    /// What it is.
    pub metadata: Metadata,
}
