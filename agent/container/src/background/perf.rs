//! Counting what `--perf_events_config` names: counters are opened for each cgroup that is shown, on every CPU, and read.
//!
//! To read a counter interrupts its CPU, and a kernel or a filter may answer late or never: so this is done on a thread,
//! every 5 s for at most a fiftieth of one CPU, and a scrape shows the last result while the thread comes back from
//! looks. A counter is an open file. All of them together are bounded; a cgroup for which there is no room is left out
//! whole, the last in the order root, containers, others first.

mod refusal;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use agent_procfs::perf_event::{Refused, Tasks};
use agent_procfs::{CachedFile, Root, cpu_list};
use hashbrown::HashMap;
use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags};

use super::Budget;
use super::board::{Board, Wanted};
use super::tally::Tally;
use crate::cgroups::{Layout, relative};
use crate::perf::PerfEvents;
use crate::perf::counting::{Counting, Figure, Kernel, Meter, UnitFigure};
use refusal::{Reason, advice};

const PAUSE: Duration = Duration::from_secs(5);
/// Share of one CPU.
const BUDGET: f64 = 0.02;
/// After so long in a look the thread is taken for stuck in the kernel, and the last results are no longer shown.
const LONGEST_LOOK: Duration = Duration::from_secs(120);
/// Looks after which what was refused is tried again: somebody may have given the right.
const LOOKS_OF_REFUSAL: u64 = 60;
/// Counters at most, and of the process's files a quarter.
const MOST_OPEN: u64 = 65_536;

/// What was counted of one cgroup.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Figures {
    pub(crate) core: Vec<Figure>,
    /// Of the root alone.
    pub(crate) units: Vec<UnitFigure>,
}

/// Where the thread leaves what it counted.
#[derive(Default)]
pub(crate) struct PerfBoard {
    pub(crate) board: Board<Arc<Figures>>,
    /// When the look began that is under way.
    looking: Mutex<Option<Instant>>,
    /// Counters that are open.
    pub(crate) open: AtomicU64,
    /// Groups of events on a CPU, or cgroups, that are not counted.
    pub(crate) refused: Tally<Reason>,
}

impl PerfBoard {
    /// What was counted last, unless the thread is stuck.
    pub(crate) fn figures(&self, path: &str) -> Option<Arc<Figures>> {
        let is_stuck = self.looking.lock().is_some_and(|since| since.elapsed() > LONGEST_LOOK);
        (!is_stuck).then(|| self.board.with_found(|found| found.get(path).cloned()))?
    }
}

/// Counters that may be open at once.
pub(crate) fn most_open() -> u64 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(MOST_OPEN * 4);
    (limit / 4).min(MOST_OPEN)
}

/// The thread's own state.
pub(crate) struct PerfWalker<K: Kernel> {
    board: Arc<PerfBoard>,
    kernel: K,
    events: Arc<PerfEvents>,
    by_cpu: bool,
    online: CachedFile,
    cgroups: HashMap<Arc<str>, Counting<K::Group>>,
    /// By event of a unit and CPU.
    units: BTreeMap<(usize, u32), Meter<K::Group>>,
    /// Groups, and behind them events of units, that a CPU does not count.
    refused: HashSet<(usize, u32)>,
    /// What was said in the log: an event, or with rights all.
    said: HashSet<(Arc<str>, Reason)>,
    looks: u64,
    most_open: u64,
    open: u64,
    buffer: Vec<u64>,
}

impl<K: Kernel> PerfWalker<K> {
    pub(crate) fn new(
        root: &Root,
        board: Arc<PerfBoard>,
        kernel: K,
        events: Arc<PerfEvents>,
        by_cpu: bool,
        most_open: u64,
    ) -> Self {
        Self {
            board,
            kernel,
            events,
            by_cpu,
            online: CachedFile::new(root.sys("devices/system/cpu/online")),
            cgroups: HashMap::new(),
            units: BTreeMap::new(),
            refused: HashSet::new(),
            said: HashSet::new(),
            looks: 0,
            most_open,
            open: 0,
            buffer: Vec::new(),
        }
    }

    /// Looks again and again until the board's signal stops it.
    pub(crate) fn run(mut self) {
        for left_out in &self.events.left_out {
            tracing::warn!(event = left_out, "an event of --perf_events_config is not counted");
        }
        let board = self.board.clone();
        while board.board.signal.wait(PAUSE) {
            self.look();
        }
    }

    /// Opens what is new, closes what has gone, and reads all.
    pub(crate) fn look(&mut self) {
        let shared = self.board.clone();
        let board = &shared.board;
        *shared.looking.lock() = Some(Instant::now());
        let (layout, wanted) = board.wanted();
        let mut budget = Budget::new(&board.signal, &board.cost, BUDGET);
        if self.looks.is_multiple_of(LOOKS_OF_REFUSAL) {
            self.refused.clear();
        }
        self.looks += 1;
        let online = self.online.read().ok().and_then(|list| cpu_list::parse(list).ok()).unwrap_or_default();
        let known: HashMap<_, _> = wanted.iter().map(|want| (&want.path, want.incarnation)).collect();
        self.cgroups.retain(|path, counting| known.get(path).is_some_and(|now| *now == counting.incarnation));
        self.cgroups.values_mut().for_each(|counting| counting.keep(&online));
        self.count_open();
        self.open_units();
        let mut found = HashMap::with_capacity(wanted.len());
        for want in wanted.iter() {
            let mut counting = self.cgroups.remove(&want.path).unwrap_or_else(|| Counting::new(want.incarnation));
            self.open(&layout, want, &mut counting, &online);
            let goes_on = self.read(&mut counting, &mut budget);
            let mut figures = Figures { core: counting.figures(&self.events.core, self.by_cpu), units: Vec::new() };
            self.cgroups.insert(want.path.clone(), counting);
            if &*want.path == "/" {
                figures.units = self.read_units();
            }
            found.insert(want.path.clone(), Arc::new(figures));
            if !goes_on {
                return;
            }
        }
        board.tell(found);
        *shared.looking.lock() = None;
        shared.open.store(self.open, Ordering::Relaxed);
        // The rest of what this look took too much.
        budget.pause();
    }

    fn count_open(&mut self) {
        let events = |group: usize| self.events.core.get(group).map_or(0, Vec::len) as u64;
        let of_cgroups = self.cgroups.values().flat_map(|counting| counting.meters.keys());
        self.open = of_cgroups.map(|(group, _)| events(*group)).sum::<u64>() + self.units.len() as u64;
    }

    /// Opens what a cgroup lacks, if there is room for all of it.
    fn open(&mut self, layout: &Layout, want: &Wanted, counting: &mut Counting<K::Group>, online: &[u32]) {
        let events = self.events.clone();
        let all = (0..events.core.len()).flat_map(|group| online.iter().map(move |cpu| (group, *cpu)));
        let lacking: Vec<_> =
            all.filter(|place| !counting.meters.contains_key(place) && !self.refused.contains(place)).collect();
        if lacking.is_empty() {
            return;
        }
        let Some(folder) = folder_of(layout, want) else { return };
        let needed: u64 = lacking.iter().filter_map(|(group, _)| events.core.get(*group)).map(|g| g.len() as u64).sum();
        if self.open + needed > self.most_open {
            return self.leave_out(counting);
        }
        for (group, cpu) in lacking {
            let Some(named) = events.core.get(group) else { continue };
            let wanted: Vec<_> = named.iter().map(|named| named.event).collect();
            match self.kernel.open(&wanted, cpu, Tasks::Of(folder.as_fd())) {
                Ok(opened) => {
                    self.open += wanted.len() as u64;
                    counting.meters.insert((group, cpu), Meter::new(opened, wanted.len()));
                }
                Err(Refused { error, .. }) if Reason::of(&error) == Reason::Limit => {
                    // A sum over some of the CPUs would be wrong.
                    counting.meters.clear();
                    self.count_open();
                    return self.leave_out(counting);
                }
                Err(Refused { at, error }) => {
                    let name = named.get(at).map_or_else(|| "".into(), |named| named.name.clone());
                    self.refuse((group, cpu), name, &error);
                }
            }
        }
        counting.is_left_out = false;
    }

    fn leave_out(&mut self, counting: &mut Counting<K::Group>) {
        if !std::mem::replace(&mut counting.is_left_out, true) {
            self.board.refused.count(Reason::Limit);
        }
        if self.said.insert(("".into(), Reason::Limit)) {
            tracing::warn!(
                open = self.open,
                limit = self.most_open,
                advice = "allow the agent more open files (LimitNOFILE=), show fewer cgroups (--docker_only), or name fewer events",
                "too many perf events, some cgroups have none"
            );
        }
    }

    fn refuse(&mut self, place: (usize, u32), name: Arc<str>, error: &io::Error) {
        let reason = Reason::of(error);
        self.refused.insert(place);
        self.board.refused.count(reason);
        let about: Arc<str> = if reason == Reason::Rights { "".into() } else { name.clone() };
        if self.said.insert((about, reason)) {
            tracing::warn!(event = &*name, cpu = place.1, %error, advice = advice(error), "a perf event cannot be counted");
        }
    }

    fn open_units(&mut self) {
        let events = self.events.clone();
        for (at, unit) in events.uncore.iter().enumerate() {
            for (cpu, _) in &unit.places {
                let refused = (events.core.len() + at, *cpu);
                if self.units.contains_key(&(at, *cpu)) || self.refused.contains(&refused) {
                    continue;
                }
                match self.kernel.open(&[unit.named.event], *cpu, Tasks::All) {
                    Ok(opened) => {
                        self.open += 1;
                        self.units.insert((at, *cpu), Meter::new(opened, 1));
                    }
                    Err(Refused { error, .. }) => self.refuse(refused, unit.named.name.clone(), &error),
                }
            }
        }
    }

    /// `false` when the thread shall end.
    fn read(&mut self, counting: &mut Counting<K::Group>, budget: &mut Budget<'_>) -> bool {
        let mut failed = Vec::new();
        for (place, meter) in &mut counting.meters {
            if !budget.step() {
                return false;
            }
            if let Err(error) = meter.look(&mut self.kernel, &mut self.buffer) {
                failed.push((*place, error));
            }
        }
        for ((group, cpu), error) in failed {
            counting.close(group, cpu);
            let name = self.events.core.get(group).and_then(|group| group.first());
            self.refuse((group, cpu), name.map_or_else(|| "".into(), |named| named.name.clone()), &error);
        }
        true
    }

    /// Parts of one socket are added up.
    fn read_units(&mut self) -> Vec<UnitFigure> {
        let mut sums: BTreeMap<(usize, u32), (f64, f64)> = BTreeMap::new();
        for ((at, cpu), meter) in &mut self.units {
            let socket = self.events.uncore.get(*at).and_then(|unit| unit.places.iter().find(|place| place.0 == *cpu));
            let Some((_, socket)) = socket else { continue };
            if meter.look(&mut self.kernel, &mut self.buffer).is_err() {
                continue;
            }
            let (total, ratio) = meter.first();
            let sum = sums.entry((*at, *socket)).or_insert((0.0, 1.0));
            *sum = (sum.0 + total, sum.1.min(ratio));
        }
        let figure = |((at, socket), (total, ratio)): ((usize, u32), (f64, f64))| {
            let unit = self.events.uncore.get(at)?;
            let (event, unit) = (unit.named.name.clone(), unit.unit.clone());
            Some(UnitFigure { event, unit, socket, total, ratio })
        };
        sums.into_iter().filter_map(figure).collect()
    }
}

/// The cgroup's directory in the hierarchy that counts. It may have none there, or be gone.
fn folder_of(layout: &Layout, want: &Wanted) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(layout.perf_event()?, relative(&want.path), flags, Mode::empty()).ok()
}

#[cfg(test)]
mod tests;
