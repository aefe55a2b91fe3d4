//! Disk use: file systems of the machine, the writable layers, volumes and logs of containers.
//!
//! Most of it must be walked, which may take long; so it is done beside the scrapes, one place after the other, the one
//! that waited longest first, at most a twentieth of one CPU and half of the time, and a scrape shows the last result.
//! A large place is walked in stretches, so that the small ones have their turn. A file system that hangs costs what
//! lies on it; what was found there before is shown for an hour, and then nothing.

mod errands;
mod look;
mod mounts;
mod quota;
mod turns;
mod walk;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use super::Signal;
use super::tally::{Named, Tally};
pub(crate) use turns::Walker;

/// Results older than this are not shown: nobody knows whether they are still true. Long enough for a turn over many
/// large places.
const STALE_AFTER: Duration = Duration::from_secs(3600);

/// A container of which something is wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Wanted {
    /// Of its cgroup.
    pub(crate) path: Arc<str>,
    pub(crate) layer: Option<Layer>,
    /// Where its volumes lie.
    pub(crate) volumes: Vec<Arc<Path>>,
    pub(crate) log: Option<Arc<Path>>,
}

/// Where a writable layer is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Layer {
    /// As the engine says.
    pub(crate) upper_dir: Option<PathBuf>,
    /// A process, to look for the layer among its mounts where the engine does not say.
    pub(crate) pid: Option<u32>,
}

/// A file system, bytes and inodes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FileSystem {
    pub(crate) device: Arc<str>,
    pub(crate) used: u64,
    /// For users without privileges.
    pub(crate) available: u64,
    pub(crate) size: u64,
    /// All and free ones; nothing where they are not counted.
    pub(crate) inodes: Option<(u64, u64)>,
}

/// What a place takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Use {
    /// On the disk.
    pub(crate) bytes: u64,
    /// Files and folders.
    pub(crate) inodes: u64,
}

/// The last result of a place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measured {
    found: Instant,
    pub(crate) time: SystemTime,
    pub(crate) used: Use,
    /// Where what it lies on is mounted.
    mount: Arc<Path>,
}

/// Why a place was not measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Its file system does not answer.
    Stuck,
    /// A part of it cannot be read.
    Unreadable,
    /// It is not there.
    Gone,
    /// Another file system is there on the machine than this process sees.
    Hidden,
    /// Its folders are nested beyond measure.
    TooDeep,
    /// The walk took longer than its result would be worth.
    TooLong,
}

impl Named for Failure {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Stuck, "stuck"),
        (Self::Unreadable, "unreadable"),
        (Self::Gone, "gone"),
        (Self::Hidden, "hidden"),
        (Self::TooDeep, "too_deep"),
        (Self::TooLong, "too_long"),
    ];
}

/// How a place was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Walk,
    Quota,
    FileSystem,
}

impl Named for Method {
    const ALL: &'static [(Self, &'static str)] =
        &[(Self::Walk, "walk"), (Self::Quota, "quota"), (Self::FileSystem, "filesystem")];
}

/// What scrapes want and what the thread found.
#[derive(Debug, Default)]
pub(crate) struct DiskBoard {
    wanted: Mutex<Arc<[Wanted]>>,
    found: Mutex<Found>,
    pub(crate) signal: Signal,
    /// Nanoseconds of CPU time that the looking took.
    pub(crate) cost: AtomicU64,
    /// Threads that are left behind in file systems which hang.
    pub(crate) stuck: AtomicU64,
    /// Places, by how they were measured.
    pub(crate) measured: Tally<Method>,
    /// Places that were not measured, by reason.
    pub(crate) failures: Tally<Failure>,
}

/// Results so far.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Those of the machine.
    machine: Vec<Arc<Path>>,
    /// By where they are mounted.
    file_systems: HashMap<Arc<Path>, (Instant, FileSystem)>,
    /// Where layers lie, by cgroup path.
    layers: HashMap<Arc<str>, Arc<Path>>,
    places: HashMap<Arc<Path>, Measured>,
    logs: HashMap<Arc<Path>, (Instant, u64)>,
}

impl Found {
    /// The machine's file systems, without those that are too old.
    pub(crate) fn machine(&self, now: Instant) -> impl Iterator<Item = &FileSystem> {
        self.machine.iter().filter_map(move |mount| self.file_system(mount, now))
    }

    fn file_system(&self, mount: &Path, now: Instant) -> Option<&FileSystem> {
        self.file_systems.get(mount).filter(|(found, _)| is_fresh(*found, now)).map(|(_, file_system)| file_system)
    }

    /// The writable layer of a container, by its cgroup's path, and what it lies on.
    pub(crate) fn layer(&self, path: &str, now: Instant) -> Option<(&Measured, &FileSystem)> {
        let place = self.place(self.layers.get(path)?, now)?;
        Some((place, self.file_system(&place.mount, now)?))
    }

    /// A place that a volume has. Nothing where that is too old.
    pub(crate) fn place(&self, path: &Path, now: Instant) -> Option<&Measured> {
        self.places.get(path).filter(|place| is_fresh(place.found, now))
    }

    /// What a place that was measured lies on, and where that is mounted.
    pub(crate) fn under(&self, place: &Measured, now: Instant) -> Option<(&Path, &FileSystem)> {
        let (mount, _) = self.file_systems.get_key_value(&place.mount)?;
        Some((mount, self.file_system(mount, now)?))
    }

    /// What a log and its predecessors take, in bytes.
    pub(crate) fn log(&self, path: &Path, now: Instant) -> Option<u64> {
        self.logs.get(path).filter(|(found, _)| is_fresh(*found, now)).map(|(_, bytes)| *bytes)
    }
}

fn is_fresh(found: Instant, now: Instant) -> bool {
    now.saturating_duration_since(found) <= STALE_AFTER
}

impl DiskBoard {
    pub(crate) fn want(&self, wanted: Vec<Wanted>) {
        *self.wanted.lock() = wanted.into();
    }

    pub(crate) fn with_found<T>(&self, read: impl FnOnce(&Found) -> T) -> T {
        read(&self.found.lock())
    }
}

#[cfg(test)]
mod tests;
