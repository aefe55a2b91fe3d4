//! Container runtimes: what they know of containers that the kernel does not.
//!
//! A runtime is one file here and two lines: `mod NAME;` and an entry in [`RUNTIMES`]. It follows its engine for ever
//! on a task of its own and publishes what it knows; a scrape reads the last word and waits for nothing. An
//! engine that is away, hangs or lies costs names and labels, never figures.

mod docker;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::{Mutex, RwLock};

use crate::Error;
use crate::config::Config;

/// A runtime, if the configuration wants it.
pub(crate) type Built = Option<Box<dyn Runtime>>;

/// How a runtime is registered.
pub(crate) struct Spec {
    /// The value of the label `runtime`, and the name of its file here.
    pub(crate) name: &'static str,
    /// Makes it; nothing when the configuration does not want it.
    pub(crate) build: fn(&Config) -> Result<Built, Error>,
}

/// All runtimes, in the order in which they are asked about a container.
pub(crate) const RUNTIMES: &[&Spec] = &[&docker::SPEC];

/// Follows one engine.
pub(crate) trait Runtime: Send {
    /// Runs for ever: connects, publishes to `view`, and when the connection breaks begins again after a while
    /// that grows up to a bound. Dropping the future must stop it.
    fn watch(self: Box<Self>, view: Arc<View>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// What kind of network a container has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Network {
    /// Its own namespace.
    #[default]
    Own,
    /// The host's.
    Host,
    /// That of another container.
    Other,
}

/// The last result of a health check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Healthy,
    StartingOrUnhealthy,
    /// There is no check.
    Unchecked,
}

/// What a runtime knows of one container.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Described {
    pub(crate) id: Arc<str>,
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// Variables of the environment that are to be labels; no others are kept, since they may be secret.
    pub(crate) env: BTreeMap<String, String>,
    /// Seconds since 1970.
    pub(crate) created: Option<f64>,
    /// Seconds since 1970.
    pub(crate) started: Option<f64>,
    /// Its first process, while it runs.
    pub(crate) pid: Option<u32>,
    pub(crate) health: Health,
    pub(crate) network: Network,
    /// The writable layer, as the engine sees it.
    pub(crate) upper_dir: Option<PathBuf>,
    /// Out-of-memory kills that the engine told of.
    pub(crate) ooms: u64,
}

/// All that a runtime knows at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) containers: HashMap<Arc<str>, Arc<Described>>,
    /// The engine's version, if it told it.
    pub(crate) version: Option<String>,
}

/// Why following an engine failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Failure {
    /// Nothing answers at the address.
    Connect,
    /// No answer in time.
    Timeout,
    /// The answer is no answer of such an engine.
    Protocol,
    /// The engine answered with an error.
    Refused,
    /// The answer, or the stream of events, is beyond all measure.
    Flood,
    /// The stream of events ended.
    Ended,
}

impl Failure {
    pub(crate) const ALL: [Self; 6] =
        [Self::Connect, Self::Timeout, Self::Protocol, Self::Refused, Self::Flood, Self::Ended];

    /// The value of the label `reason`.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::Refused => "refused",
            Self::Flood => "flood",
            Self::Ended => "ended",
        }
    }
}

/// What is told about following an engine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Telling {
    pub(crate) connected: bool,
    pub(crate) last_event: Option<SystemTime>,
    pub(crate) events: u64,
    pub(crate) failures: BTreeMap<Failure, u64>,
}

/// Where a runtime publishes and a scrape reads.
#[derive(Debug, Default)]
pub(crate) struct View {
    snapshot: RwLock<(u64, Arc<Snapshot>)>,
    telling: Mutex<Telling>,
}

impl View {
    /// The last word, and a number that grows with each.
    pub(crate) fn snapshot(&self) -> (u64, Arc<Snapshot>) {
        self.snapshot.read().clone()
    }

    pub(crate) fn publish(&self, snapshot: Snapshot) {
        let mut current = self.snapshot.write();
        *current = (current.0 + 1, Arc::new(snapshot));
    }

    pub(crate) fn telling(&self) -> Telling {
        self.telling.lock().clone()
    }

    pub(crate) fn connected(&self, connected: bool) {
        self.telling.lock().connected = connected;
    }

    pub(crate) fn failed(&self, failure: Failure) {
        *self.telling.lock().failures.entry(failure).or_default() += 1;
    }

    pub(crate) fn event(&self) {
        let mut telling = self.telling.lock();
        telling.events += 1;
        telling.last_event = Some(SystemTime::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_registered() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/runtimes");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| {
                entry.unwrap().file_name().into_string().unwrap().strip_suffix(".rs").map(str::to_owned)
            })
            .filter(|name| name != "mod")
            .collect();
        files.sort();
        let mut names: Vec<_> = RUNTIMES.iter().map(|spec| spec.name.to_owned()).collect();
        names.sort();
        assert_eq!(names, files);
    }
}
