//! The short story of one container, as `GET /info/ID` tells it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cgroups::Key;
use crate::collect::Collection;
use crate::runtimes::View;
use crate::stats::{cpu, memory};

/// The span of the CPU figure when there is none to go on from.
const SPAN: Duration = Duration::from_millis(100);
/// A reading older than this tells of another time.
const LONGEST_SPAN: Duration = Duration::from_secs(60);

/// How long an engine may take to tell of a container that has just started, and how often that is looked at.
const PATIENCE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(20);

/// One container at one moment.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Info {
    /// The container's full id; for a plain cgroup its path.
    pub id: String,
    /// The image's first tag; empty when no runtime tells it.
    pub image: String,
    /// The container's name; empty when no runtime tells it.
    pub name: String,
    /// When the figures were read, RFC 3339 in UTC.
    pub timestamp: String,
    /// Memory in use as charged by the kernel, MiB.
    pub memory_usage: f64,
    /// CPU time of the container over that of the whole machine (idle time included) in the same span: 0 to 1.
    pub cpu_usage: f64,
}

/// There is no story to tell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InfoError {
    /// No container has that id or name, and no id begins so.
    #[error("no container {asked:?}")]
    NotFound {
        /// The id, prefix or name as asked for.
        asked: String,
    },
    /// Several ids begin so.
    #[error("{count} containers have an id that begins with {asked:?}")]
    Ambiguous {
        /// The prefix as asked for.
        asked: String,
        /// How many there are.
        count: usize,
    },
    /// It exists, but its memory or CPU time could not be read; it may have just stopped.
    #[error("cannot read memory and CPU time of container {id}")]
    Unreadable {
        /// The container's id.
        id: String,
    },
}

pub(crate) fn info(collection: &Mutex<Collection>, view: &View, asked: &str) -> Result<Info, InfoError> {
    await_description(collection, view, asked);
    let path = {
        let mut collection = collection.lock();
        collection.refresh(view);
        let key = find(&collection, asked)?;
        let path = path_of(&collection, key).ok_or_else(|| InfoError::NotFound { asked: asked.to_owned() })?;
        let before = collection.registry.get(key).and_then(|known| known.cpu);
        let in_span = |(at, _): &(Instant, u64)| (SPAN..=LONGEST_SPAN).contains(&at.elapsed());
        if before.as_ref().is_some_and(in_span) {
            return measure(&mut collection, key);
        }
        read_cpu(&mut collection, key).ok_or_else(|| InfoError::Unreadable { id: path.to_string() })?;
        path
    };
    // Without the lock, so that scrapes go on.
    std::thread::sleep(SPAN);
    let mut collection = collection.lock();
    // What it was may have moved or gone meanwhile.
    let key = collection.tree.find(&path).ok_or_else(|| InfoError::Unreadable { id: path.to_string() })?;
    measure(&mut collection, key)
}

/// Waits a little for the name of a container that is there by its cgroup: who asks about itself as soon as it starts
/// is faster than the engine's word of it.
fn await_description(collection: &Mutex<Collection>, view: &View, asked: &str) {
    let deadline = Instant::now() + PATIENCE;
    let is_nameless = || {
        let mut collection = collection.lock();
        collection.refresh(view);
        let Ok(key) = find(&collection, asked) else { return false };
        let is_container = collection.tree.get(key).is_some_and(|cgroup| cgroup.container.is_some());
        is_container && collection.registry.get(key).is_some_and(|known| known.described.is_none())
    };
    // Without the lock in between, so that scrapes go on.
    while view.may_tell_more() && is_nameless() && Instant::now() < deadline {
        std::thread::sleep(LOOK);
    }
}

fn find(collection: &Collection, asked: &str) -> Result<Key, InfoError> {
    let not_found = || InfoError::NotFound { asked: asked.to_owned() };
    if asked.is_empty() {
        return Err(not_found());
    }
    if asked.starts_with('/')
        && let Some(key) = collection.tree.find(asked)
    {
        return Ok(key);
    }
    let name = asked.strip_prefix('/').unwrap_or(asked);
    let mut by_prefix = Vec::new();
    for key in collection.tree.keys() {
        let described = collection.registry.get(*key).and_then(|known| known.described.as_ref());
        let of_path = || collection.tree.get(*key)?.container.as_deref();
        let Some(id) = described.map(|described| &*described.id).or_else(of_path) else { continue };
        if id == name || described.is_some_and(|described| described.name == name) {
            return Ok(*key);
        }
        if id.starts_with(name) {
            by_prefix.push(*key);
        }
    }
    match by_prefix.as_slice() {
        [] => Err(not_found()),
        [key] => Ok(*key),
        several => Err(InfoError::Ambiguous { asked: asked.to_owned(), count: several.len() }),
    }
}

fn path_of(collection: &Collection, key: Key) -> Option<Arc<str>> {
    collection.tree.get(key).map(|cgroup| cgroup.path.clone())
}

/// Reads the CPU time and keeps it; gives what was kept before and what it is now.
#[allow(clippy::type_complexity, reason = "two readings of the same form")]
fn read_cpu(collection: &mut Collection, key: Key) -> Option<(Option<(Instant, u64)>, (Instant, u64))> {
    let cgroup = collection.tree.get_mut(key)?;
    let usage = cpu::usage(&collection.layout, &mut collection.desk, cgroup)?;
    let now = (Instant::now(), usage);
    let known = collection.registry.get_mut(key)?;
    Some((known.cpu.replace(now), now))
}

fn measure(collection: &mut Collection, key: Key) -> Result<Info, InfoError> {
    let path = path_of(collection, key).unwrap_or_else(|| "".into());
    let described = collection.registry.get(key).and_then(|known| known.described.clone());
    let of_path = collection.tree.get(key).and_then(|cgroup| cgroup.container.clone());
    let id = described.as_ref().map(|described| described.id.clone()).or(of_path).unwrap_or(path).to_string();
    let unreadable = || InfoError::Unreadable { id: id.clone() };
    let cpus = collection.machine.read().cpus.unwrap_or(1).max(1);
    let ((before, used_before), (now, used)) =
        read_cpu(collection, key).and_then(|(before, now)| Some((before?, now))).ok_or_else(unreadable)?;
    let cgroup = collection.tree.get_mut(key).ok_or_else(unreadable)?;
    let memory = memory::usage(&collection.layout, &mut collection.desk, cgroup).ok_or_else(unreadable)?;
    // The whole machine's time, idle or not, is one second a second for each CPU.
    let span = now.duration_since(before).as_nanos() as f64 * cpus as f64;
    let (image, name) = described.map(|d| (d.image.clone(), d.name.clone())).unwrap_or_default();
    Ok(Info {
        image,
        name,
        timestamp: OffsetDateTime::from(SystemTime::now()).format(&Rfc3339).unwrap_or_default(),
        memory_usage: memory as f64 / f64::from(1 << 20),
        cpu_usage: if span > 0.0 { used.saturating_sub(used_before) as f64 / span } else { 0.0 },
        id,
    })
}
