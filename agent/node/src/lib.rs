//! The node side of the agent: one collector per file under `collectors/`, with node_exporter's names.

use std::sync::Arc;

use agent_exposition::Page;
use agent_procfs::Root;

pub mod collectors;

/// What a collector knows when it is built.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where /proc, /sys, / and udev's data are.
    pub root: Root,
    /// The collectors' own flags.
    pub flags: Arc<Flags>,
}

/// The flags `--collector.NAME.*` as typed, looked up by name without the leading dashes.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    values: std::collections::BTreeMap<String, Vec<String>>,
}

impl Flags {
    /// Sets a flag; a repeatable one gathers its values.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.values.entry(name.into()).or_default().push(value.into());
    }

    /// The last value given for a flag.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).and_then(|v| v.last()).map(String::as_str)
    }

    /// All values given for a flag.
    pub fn all(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }
}

/// How a collector is registered.
pub struct Spec {
    /// The name in `--collector.NAME`, `collect[]` and `node_scrape_collector_success`.
    pub name: &'static str,
    /// One sentence for `--help`.
    pub help: &'static str,
    /// Whether it runs without being asked for.
    pub default_on: bool,
    /// Makes it; an error is a wrong flag and stops the agent.
    pub build: fn(&Context) -> Result<Box<dyn Collector>, BuildError>,
}

/// A collector could not be built from its flags.
#[derive(Debug, thiserror::Error)]
#[error("--{flag}={value}: {reason}")]
pub struct BuildError {
    /// Which flag, without the leading dashes.
    pub flag: String,
    /// Its value.
    pub value: String,
    /// What is wrong with it and what would be right.
    pub reason: String,
}

/// What a collection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Families were added.
    Collected,
    /// This machine has nothing of the kind; not an error.
    Nothing,
}

/// A collection failed; what it had added to the page so far is thrown away with the page.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// A kernel file could not be read or understood.
    #[error(transparent)]
    Kernel(#[from] agent_procfs::Error),
}

/// Reads one part of the kernel's story. Called by one thread at a time, again for every scrape; what it keeps
/// between calls (descriptors, last values) is its own.
pub trait Collector: Send {
    /// Adds the families to the page. May block on a file that is stuck: the caller has the deadline.
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError>;
}
