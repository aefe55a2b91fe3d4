//! Monitoring groups of the agent's own below `/sys/fs/resctrl`, one for each container: without one the processor does
//! not tell what of its cache and of the way to memory is a container's.
//!
//! Made only where `--container.resctrl-groups` asks for it, since it writes to the machine, and on this thread, since
//! the kernel takes a lock for it. A group is named `atalaia-ID`, is made in the control group that the container's tasks
//! are in, and goes with the container, or with the agent; one that an agent left behind is taken over, or removed. A
//! container of which a task is in somebody else's monitoring group, or that has one by its name, is left alone. Threads
//! and children of a task that is in a group are in it; what comes in otherwise, as `docker exec` does, is put in every
//! `--resctrl_interval`.

mod refusal;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agent_procfs::{Root, cgroup, scan};
use parking_lot::{Condvar, Mutex};
use rustix::io::Errno;

use super::Signal;
use super::tally::Tally;
use super::tasks::tasks;
use crate::cgroups::{Layout, Records, read_in};
use crate::identity;
use crate::stats::resctrl::{folders, is_named};
use refusal::Reason;

/// Between two looks where `--resctrl_interval` asks for none: what was refused is tried again.
const PAUSE: Duration = Duration::from_secs(60);
/// Tasks of one container that are put into its group.
const MOST_TASKS: usize = 32_768;
/// Tasks may begin others while they are put in.
const PASSES: usize = 3;
/// How long the end of the agent waits for the groups to be removed.
const GRACE: Duration = Duration::from_secs(2);
const PREFIX: &str = "atalaia-";

/// A container and its cgroups: its own, and those below.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) id: Arc<str>,
    pub(crate) paths: Vec<Arc<str>>,
}

/// What is wanted, and how it fares.
#[derive(Debug, Default)]
pub(crate) struct MonitoringBoard {
    wanted: Mutex<(Arc<Layout>, Arc<[Wanted]>)>,
    pub(crate) signal: Signal,
    /// Groups of the agent's own.
    pub(crate) groups: AtomicU64,
    pub(crate) refused: Tally<Reason>,
    is_running: Mutex<bool>,
    ended: Condvar,
}

impl MonitoringBoard {
    pub(crate) fn want(&self, layout: Arc<Layout>, wanted: Vec<Wanted>) {
        *self.wanted.lock() = (layout, wanted.into());
    }

    /// Stops the thread, and waits a little for it to remove its groups: the process may be about to end.
    pub(crate) fn stop(&self) {
        self.signal.stop();
        let mut is_running = self.is_running.lock();
        while *is_running && !self.ended.wait_for(&mut is_running, GRACE).timed_out() {}
    }
}

/// What changes resctrl. A file system in a test makes no files of the kernel's.
pub(crate) trait Groups {
    fn make(&mut self, group: &Path) -> io::Result<()>;

    fn remove(&mut self, group: &Path) -> io::Result<()>;

    fn add(&mut self, group: &Path, task: u32) -> io::Result<()>;
}

/// The kernel's own file system.
pub(crate) struct Mounted;

impl Groups for Mounted {
    fn make(&mut self, group: &Path) -> io::Result<()> {
        fs::create_dir(group)
    }

    fn remove(&mut self, group: &Path) -> io::Result<()> {
        fs::remove_dir(group)
    }

    fn add(&mut self, group: &Path, task: u32) -> io::Result<()> {
        fs::OpenOptions::new().write(true).open(group.join("tasks"))?.write_all(task.to_string().as_bytes())
    }
}

/// The thread's own state.
pub(crate) struct MonitoringKeeper<G: Groups> {
    root: PathBuf,
    board: Arc<MonitoringBoard>,
    groups: G,
    pause: Duration,
    /// Puts in tasks that came later.
    follows: bool,
    own: HashMap<Arc<str>, PathBuf>,
    /// Containers that are left alone, or refused, which are not counted again.
    without: HashSet<Arc<str>>,
    said: HashSet<Reason>,
    buffer: Vec<u8>,
}

/// Who is where: control groups, and monitoring groups that are not ours, by task.
#[derive(Default)]
struct Census {
    controls: HashMap<u32, PathBuf>,
    foreign: HashSet<u32>,
    /// Containers that have a group by its name.
    named: HashSet<String>,
}

impl<G: Groups> MonitoringKeeper<G> {
    /// An interval of zero puts in only what is there when a container is first seen.
    pub(crate) fn new(root: &Root, board: Arc<MonitoringBoard>, groups: G, interval: Duration) -> Self {
        Self {
            root: root.sys("fs/resctrl"),
            board,
            groups,
            pause: if interval.is_zero() { PAUSE } else { interval },
            follows: !interval.is_zero(),
            own: HashMap::new(),
            without: HashSet::new(),
            said: HashSet::new(),
            buffer: vec![0; 16 * 1024],
        }
    }

    /// Looks again and again until the board's signal stops it, and removes the groups then.
    pub(crate) fn run(mut self) {
        let board = self.board.clone();
        *board.is_running.lock() = true;
        while board.signal.wait(self.pause) {
            self.look();
        }
        self.remove_all();
        *board.is_running.lock() = false;
        board.ended.notify_all();
    }

    /// Makes what is lacking, removes what has gone.
    pub(crate) fn look(&mut self) {
        let board = self.board.clone();
        let (layout, wanted) = board.wanted.lock().clone();
        if !self.root.join("info/L3_MON").is_dir() {
            if self.said.insert(Reason::Unavailable) {
                self.warn(Reason::Unavailable, &self.root, "no such folder: info/L3_MON");
                self.board.refused.count(Reason::Unavailable);
            }
            return;
        }
        let here: HashSet<&Arc<str>> = wanted.iter().map(|want| &want.id).collect();
        self.find_own();
        let gone: Vec<_> = self.own.keys().filter(|id| !here.contains(id)).cloned().collect();
        for id in gone {
            self.remove(&id);
        }
        self.without.retain(|id| here.contains(id));
        let lacking = wanted.iter().any(|want| !self.own.contains_key(&want.id));
        if lacking || self.follows {
            let census = self.census();
            for want in wanted.iter() {
                if board.signal.is_stopped() {
                    break;
                }
                self.keep(&layout, want, &census);
            }
        }
        board.groups.store(self.own.len() as u64, Ordering::Relaxed);
    }

    /// Own groups that are there: an earlier agent may have left some, and somebody may have removed some.
    fn find_own(&mut self) {
        self.own.clear();
        for control in self.controls() {
            for group in folders(&control.join("mon_groups")) {
                let name = group.file_name().and_then(|name| name.to_str());
                if let Some(id) = name.and_then(own_id) {
                    self.own.insert(id.into(), group.clone());
                }
            }
        }
    }

    fn controls(&self) -> Vec<PathBuf> {
        let below = folders(&self.root).into_iter().filter(|path| !is_named(path, &["info", "mon_groups", "mon_data"]));
        std::iter::once(self.root.clone()).chain(below).collect()
    }

    fn census(&mut self) -> Census {
        let mut census = Census::default();
        for control in self.controls() {
            for task in self.tasks_of(&control) {
                census.controls.insert(task, control.clone());
            }
            let itself = (control != self.root).then(|| control.clone());
            for group in folders(&control.join("mon_groups")).into_iter().chain(itself) {
                let Some(name) = group.file_name().and_then(|name| name.to_str()) else { continue };
                if own_id(name).is_some() {
                    continue;
                }
                census.named.extend(identity::container_of_path(name).map(str::to_owned));
                if group != control {
                    let tasks = self.tasks_of(&group);
                    census.foreign.extend(tasks);
                }
            }
        }
        census
    }

    fn tasks_of(&mut self, group: &Path) -> Vec<u32> {
        let length = read_in(rustix::fs::CWD, group.join("tasks"), &mut self.buffer, Records::Short);
        length.and_then(|length| self.buffer.get(..length)).map(|list| cgroup::pids(list).collect()).unwrap_or_default()
    }

    /// Makes the container's group if it has none, and puts its tasks in.
    fn keep(&mut self, layout: &Layout, want: &Wanted, census: &Census) {
        let known = self.own.get(&want.id).cloned();
        if known.is_some() && !self.follows {
            return;
        }
        let tasks = self.tasks_of_container(layout, want);
        if tasks.is_empty() {
            return;
        }
        // On a processor that only monitors, the kernel lists no tasks but those of monitoring groups.
        let control = tasks.iter().find_map(|task| census.controls.get(task)).unwrap_or(&self.root).clone();
        if census.named.contains(&*want.id) || tasks.iter().any(|task| census.foreign.contains(task)) {
            self.without.insert(want.id.clone());
            return;
        }
        let group = control.join("mon_groups").join(format!("{PREFIX}{}", want.id));
        if known.as_ref().is_some_and(|known| *known != group) {
            // The container was moved to another control group.
            self.remove(&want.id);
        }
        if !self.own.contains_key(&want.id) {
            if let Err(error) = self.make(&group) {
                self.refuse(&want.id, &group, &error);
                return;
            }
            self.own.insert(want.id.clone(), group.clone());
            self.without.remove(&want.id);
        }
        self.fill(layout, want, &group, tasks);
    }

    /// Within the numbers that the processor counts under: one is the machine's, one each control group's.
    fn make(&mut self, group: &Path) -> io::Result<()> {
        let numbers = fs::read(self.root.join("info/L3_MON/num_rmids")).ok();
        let numbers = numbers.and_then(|text| scan::number(text.trim_ascii()));
        if numbers.is_some_and(|numbers| self.own.len() as u64 + self.controls().len() as u64 >= numbers) {
            return Err(Errno::NOSPC.into());
        }
        self.groups.make(group)
    }

    fn fill(&mut self, layout: &Layout, want: &Wanted, group: &Path, first: Vec<u32>) {
        let mut inside: HashSet<u32> = self.tasks_of(group).into_iter().collect();
        let mut tasks = first;
        for _ in 0..PASSES {
            let new: Vec<_> = tasks.into_iter().filter(|task| inside.insert(*task)).collect();
            if new.is_empty() {
                return;
            }
            for task in new {
                match self.groups.add(group, task) {
                    Ok(()) => {}
                    // It has ended meanwhile, or is in another control group, which is respected.
                    Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::SRCH | Errno::INVAL)) => {}
                    Err(error) => {
                        self.refuse(&want.id, group, &error);
                        // A group without all tasks would tell too little.
                        self.remove(&want.id);
                        return;
                    }
                }
            }
            tasks = self.tasks_of_container(layout, want);
        }
    }

    fn tasks_of_container(&mut self, layout: &Layout, want: &Wanted) -> Vec<u32> {
        let buffer = &mut self.buffer;
        let lists = want.paths.iter().filter_map(|path| tasks(buffer, layout, path, MOST_TASKS));
        lists.flatten().take(MOST_TASKS).collect()
    }

    fn remove(&mut self, id: &Arc<str>) {
        let Some(group) = self.own.remove(id) else { return };
        if let Err(error) = self.groups.remove(&group)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(group = %group.display(), %error, "cannot remove a monitoring group");
        }
    }

    fn remove_all(&mut self) {
        let all: Vec<_> = self.own.keys().cloned().collect();
        for id in all {
            self.remove(&id);
        }
        self.board.groups.store(0, Ordering::Relaxed);
    }

    fn refuse(&mut self, id: &Arc<str>, group: &Path, error: &io::Error) {
        let reason = Reason::of(error);
        if self.without.insert(id.clone()) {
            self.board.refused.count(reason);
        }
        if self.said.insert(reason) {
            self.warn(reason, group, &error.to_string());
        }
    }

    fn warn(&self, reason: Reason, group: &Path, error: &str) {
        let advice = reason.advice();
        tracing::warn!(group = %group.display(), error, advice, "a container has no monitoring group of its own");
    }
}

/// The container of a group of our own, by its name.
fn own_id(name: &str) -> Option<&str> {
    name.strip_prefix(PREFIX).filter(|id| identity::is_container_id(id))
}

#[cfg(test)]
mod tests;
