//! Sinks: what knows how a destination wants its samples, one file each.
//!
//! A new sink is one file and two lines: `mod NAME;` and an entry in [`SINKS`]. The file holds its configuration
//! struct with an implementation of [`SinkConfig`], its [`Sink`], and its [`Spec`]. The queue, the shards, the
//! retries and the counting are the same for all (`sender/`).

use std::any::Any;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use collector_http::HttpClient;
use collector_model::{Labels, TimestampMs};
use parking_lot::Mutex;

use crate::ConfigError;
use crate::config::Settings;

pub mod influxdb;
pub mod remote_write;

/// All sinks.
pub const SINKS: &[&Spec] = &[&influxdb::SPEC, &remote_write::SPEC];

/// What a sink is called.
#[derive(Debug)]
pub struct Spec {
    /// Its name: the file's, and `kind` on the page.
    pub name: &'static str,
    /// The configuration's top-level key that lists its destinations.
    pub config_key: &'static str,
}

/// The configuration of one destination, as its sink's file defines it.
pub trait SinkConfig: Any + Debug + Send + Sync {
    /// Which sink.
    fn spec(&self) -> &'static Spec;

    /// What delivery needs to know.
    fn settings(&self) -> Settings;

    /// Checks what can be checked without the network and without reading files.
    ///
    /// # Errors
    /// The first thing that is wrong.
    fn validate(&self) -> Result<(), ConfigError>;

    /// The sink, given the client for the destination.
    ///
    /// # Errors
    /// What [`validate`](Self::validate) finds.
    fn build(&self, client: HttpClient) -> Result<Arc<dyn Sink>, ConfigError>;

    /// Whether the other configuration is this one, so that a reload can leave the destination alone.
    fn is_same(&self, other: &dyn SinkConfig) -> bool;
}

/// One sample on its way, with the labels that the destination is to see.
#[derive(Clone, Debug)]
pub struct Point {
    /// The final labels.
    pub labels: Labels,
    /// When, in milliseconds since the epoch.
    pub timestamp_ms: TimestampMs,
    /// What.
    pub value: f64,
}

/// Writes points as one destination wants them.
pub trait Sink: Send + Sync {
    /// The body of one request. Called again with fewer points when the receiver asks for smaller or other ones, so
    /// it may not remember anything.
    ///
    /// Points that the destination cannot store at all (see [`Settings::finite_only`]) do not come here.
    fn encode(&self, points: &[Point]) -> Bytes;

    /// Sends one body and says what became of it. `attempt` counts from 0. Bounded by the destination's timeout.
    fn send(&self, body: Bytes, attempt: u32) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>>;
}

/// Buffers that a sink uses again: one body after the other needs about the same room.
#[derive(Debug, Default)]
struct Scratch(Mutex<Vec<Vec<u8>>>);

impl Scratch {
    /// Buffers that are kept; with more requests at once they are made and let go.
    const KEPT: usize = 4;

    /// Calls with a buffer of unknown content.
    fn with<R>(&self, work: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let mut buffer = self.0.lock().pop().unwrap_or_default();
        let result = work(&mut buffer);
        let mut kept = self.0.lock();
        if kept.len() < Self::KEPT {
            kept.push(buffer);
        }
        result
    }
}

/// What became of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Taken.
    Delivered,
    /// Taken but for some points, which will not be taken later either.
    Partly {
        /// How many were refused, where the receiver says so.
        refused: usize,
        /// What it said.
        message: String,
    },
    /// Not taken; the same body may be taken later.
    Retry {
        /// What went wrong.
        message: String,
        /// How long the receiver asks to wait.
        after: Option<Duration>,
        /// Whether trying soon is pointless: the destination must be put right by someone.
        slowly: bool,
    },
    /// Not taken because there is too much in it: send it in halves.
    TooLarge {
        /// What the receiver said.
        message: String,
    },
    /// Not taken as a whole because of some points in it: find them by halves, send the others.
    Malformed {
        /// What the receiver said.
        message: String,
    },
    /// Not taken, and never will be.
    Rejected {
        /// What the receiver said.
        message: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_registered() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sinks");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter_map(|name| name.strip_suffix(".rs").map(str::to_owned))
            .filter(|name| name != "mod")
            .collect();
        files.sort();
        let mut names: Vec<_> = SINKS.iter().map(|spec| spec.name).collect();
        names.sort_unstable();
        assert_eq!(files, names);
    }
}
