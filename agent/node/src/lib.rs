//! The node side of the agent: one collector per file under `collectors/`, with node_exporter's names.

use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_exposition::Page;
use agent_gpu::Gpus;
use agent_procfs::Root;

use crate::attributes::Descriptors;
use crate::shared::{SharedLinks, SharedMounts, SharedStat};

mod attributes;
mod btrfs_devices;
mod bus;
pub mod collectors;
mod devices;
mod directory;
mod disk_identity;
mod ethtool_calls;
mod fields;
mod flags;
mod hwmon_sensors;
mod infiniband_rows;
mod kernel_clock;
mod link_modes;
mod netclass_columns;
mod netdev_columns;
mod netlink;
mod nfs_methods;
mod pattern;
mod pci_names;
mod power_supply_rows;
mod shared;
mod source;
mod stamp;
mod stat_pool;
mod systemd_units;
mod text_families;
mod throttle;
mod xfs_counters;

pub use flags::{FlagKind, FlagSpec, Flags};

/// What a collector knows when it is built. Collectors built from clones of one context share what several of them
/// read, so build all collectors of a process from one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Context {
    /// Where /proc, /sys, / and udev's data are.
    pub root: Root,
    /// The collectors' own flags.
    pub flags: Arc<Flags>,
    /// NVIDIA's GPUs, whose library is loaded once for all.
    pub gpus: Gpus,
    pub(crate) stat: Arc<SharedStat>,
    pub(crate) links: Arc<SharedLinks>,
    pub(crate) mounts: Arc<SharedMounts>,
    pub(crate) descriptors: Arc<Descriptors>,
}

impl Context {
    /// A context of its own.
    pub fn new(root: Root, flags: Arc<Flags>) -> Self {
        let (stat, mounts) = (Arc::new(SharedStat::new(&root)), Arc::new(SharedMounts::new(&root)));
        let gpus = Gpus::new(collectors::nvidia_library(&flags), &root);
        Self { root, flags, gpus, stat, links: Arc::default(), mounts, descriptors: Arc::new(Descriptors::new()) }
    }
}

/// One scrape, as every collector that takes part in it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scrape {
    /// Differs from scrape to scrape: what one collector has read is good for another one of the same scrape only.
    pub number: u64,
    /// When the answer must be there.
    pub deadline: Instant,
}

impl Scrape {
    /// The scrape of a collector that was not told of any.
    fn untold() -> Self {
        Self { number: 0, deadline: Instant::now() + Duration::from_secs(10) }
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
    /// The flags it takes besides `--[no-]collector.NAME`.
    pub flags: &'static [FlagSpec],
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
    /// The kernel did not answer over netlink.
    #[error("cannot ask the kernel over netlink")]
    Netlink(#[source] std::io::Error),
    /// The kernel refused a system call.
    #[error("cannot call {name}")]
    Call {
        /// Which one.
        name: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// NVIDIA's library did not answer.
    #[error(transparent)]
    Gpu(#[from] agent_gpu::Error),
    /// A service did not answer over D-Bus.
    #[error("cannot ask over D-Bus")]
    Bus(#[source] zbus::Error),
}

/// Reads one part of the kernel's story. Called by one thread at a time, again for every scrape; what it keeps
/// between calls (descriptors, last values) is its own.
pub trait Collector: Send {
    /// Announces the next [`collect`](Self::collect). A collector that waits for something that may never come (a
    /// stuck mount) waits no longer than the scrape's deadline.
    fn begin(&mut self, _scrape: Scrape) {}

    /// Adds the families to the page. May block on a file that is stuck: the caller has the deadline.
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError>;
}
