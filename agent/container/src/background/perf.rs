//! Counting what `--perf_events_config` names: counters are opened for each cgroup that is shown, on every CPU, and read.
//!
//! To read a counter interrupts its CPU, and a kernel or a filter may answer late or never: so this is done on a thread,
//! every 5 s for at most a fiftieth of one CPU, and a scrape shows the last result while the thread comes back from
//! looks. A counter is an open file. All of them together are bounded; a cgroup for which there is no room is left out
//! whole, the last in the order root, containers, others first.

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
use crate::cgroups::{Layout, relative};
use crate::perf::PerfEvents;
use crate::perf::counting::{Counting, Figure, Kernel, Meter, UnitFigure};

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

/// Why something is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    /// Too many files.
    Limit,
    /// Not allowed.
    Rights,
    /// Not there.
    Unsupported,
    /// The kernel says something else.
    Other,
}

impl Reason {
    pub(crate) const ALL: [(Self, &str); 4] =
        [(Self::Limit, "limit"), (Self::Rights, "rights"), (Self::Unsupported, "unsupported"), (Self::Other, "other")];

    fn of(error: &io::Error) -> Self {
        match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE) => Self::Limit,
            Some(rustix::io::Errno::PERM | rustix::io::Errno::ACCESS) => Self::Rights,
            Some(
                rustix::io::Errno::NOENT
                | rustix::io::Errno::NODEV
                | rustix::io::Errno::OPNOTSUPP
                | rustix::io::Errno::NOSYS
                | rustix::io::Errno::INVAL,
            ) => Self::Unsupported,
            _ => Self::Other,
        }
    }
}

/// What would be right.
fn advice(error: &io::Error) -> &'static str {
    match (Reason::of(error), error.raw_os_error().map(rustix::io::Errno::from_raw_os_error)) {
        (Reason::Rights, Some(rustix::io::Errno::PERM)) => {
            "a seccomp filter or a locked-down kernel forbids perf_event_open: allow it with SystemCallFilter= in a \
             systemd unit, with --cap-add=PERFMON or --security-opt seccomp=PROFILE in Docker"
        }
        (Reason::Rights, _) => {
            "give the agent CAP_PERFMON (CAP_SYS_ADMIN before Linux 5.8), or set kernel.perf_event_paranoid to 0 or less"
        }
        (Reason::Unsupported, _) => {
            "the CPUs, or the virtual machine, do not count it, or not together with the others of its group"
        }
        (Reason::Limit, _) => "allow the agent more open files (LimitNOFILE=), or name fewer events",
        (Reason::Other, _) => "leave the event out of --perf_events_config",
    }
}

/// Where the thread leaves what it counted.
#[derive(Default)]
pub(crate) struct PerfBoard {
    pub(crate) board: Board<Arc<Figures>>,
    /// When the look began that is under way.
    looking: Mutex<Option<Instant>>,
    /// Counters that are open.
    pub(crate) open: AtomicU64,
    /// Groups of events on a CPU, or cgroups, that are not counted, in the order of [`Reason::ALL`].
    refused: [AtomicU64; Reason::ALL.len()],
}

impl PerfBoard {
    /// What was counted last, unless the thread is stuck.
    pub(crate) fn figures(&self, path: &str) -> Option<Arc<Figures>> {
        let is_stuck = self.looking.lock().is_some_and(|since| since.elapsed() > LONGEST_LOOK);
        (!is_stuck).then(|| self.board.with_found(|found| found.get(path).cloned()))?
    }

    pub(crate) fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Reason::ALL.iter().zip(&self.refused).map(|((_, name), count)| (*name, count.load(Ordering::Relaxed)))
    }

    fn refuse(&self, reason: Reason) {
        if let Some(count) = self.refused.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
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
            self.board.refuse(Reason::Limit);
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
        self.board.refuse(reason);
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
mod tests {
    use std::cell::RefCell;
    use std::fs;
    use std::io::{Read, Write};
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::rc::Rc;

    use agent_procfs::perf_event::{Event, Times};

    use super::*;
    use crate::perf::counting::Linux;
    use crate::perf::{Named, Uncore};

    /// What a made-up kernel refuses, and what is open in it.
    #[derive(Default)]
    struct State {
        refuses: Vec<(Event, u32, rustix::io::Errno)>,
        open: Vec<(Vec<u64>, u32)>,
        asked: usize,
    }

    #[derive(Clone, Default)]
    struct Fake(Rc<RefCell<State>>);

    struct Open(Rc<RefCell<State>>, (Vec<u64>, u32));

    impl Drop for Open {
        fn drop(&mut self) {
            let open = &mut self.0.borrow_mut().open;
            let at = open.iter().position(|open| *open == self.1).unwrap();
            open.remove(at);
        }
    }

    impl Kernel for Fake {
        type Group = Open;

        fn open(&mut self, events: &[Event], cpu: u32, _: Tasks<'_>) -> Result<Open, Refused> {
            let mut state = self.0.borrow_mut();
            state.asked += 1;
            let refusal = |event: &Event| state.refuses.iter().find(|(refused, on, _)| (refused, *on) == (event, cpu));
            if let Some((at, (.., errno))) =
                events.iter().enumerate().find_map(|(at, event)| Some((at, refusal(event)?)))
            {
                return Err(Refused { at, error: (*errno).into() });
            }
            let place = (events.iter().map(|event| event.config).collect::<Vec<_>>(), cpu);
            state.open.push(place.clone());
            Ok(Open(self.0.clone(), place))
        }

        /// Each event has counted ten times its number, in half of the time.
        fn read(&mut self, group: &Open, values: &mut Vec<u64>) -> io::Result<Times> {
            *values = group.1.0.iter().map(|config| config * 10).collect();
            Ok(Times { enabled: 200, running: 100 })
        }
    }

    fn named(name: &str, config: u64) -> Named {
        Named { name: name.into(), event: Event::new(1, config) }
    }

    struct Case {
        folder: tempfile::TempDir,
        kernel: Fake,
        walker: PerfWalker<Fake>,
    }

    impl Case {
        /// Events 1 and 2 in a group and event 3 alone; two CPUs; cgroups `/`, `/a` and `/b`.
        fn new(by_cpu: bool, most_open: u64) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let write = |path: &str, content: &str| {
                let path = folder.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            };
            write("cgroup/cgroup.controllers", "");
            write("cgroup/a/cgroup.procs", "");
            write("cgroup/b/cgroup.procs", "");
            write("devices/system/cpu/online", "0-1\n");
            let root = Root { sysfs: folder.path().to_owned(), ..Root::default() };
            let unit = Uncore { named: named("reads", 7), unit: "imc".into(), places: vec![(0, 0), (1, 0)] };
            let events = PerfEvents {
                core: vec![vec![named("one", 1), named("two", 2)], vec![named("three", 3)]],
                uncore: vec![unit],
                left_out: Vec::new(),
            };
            let (board, kernel) = (Arc::<PerfBoard>::default(), Fake::default());
            let walker = PerfWalker::new(&root, board, kernel.clone(), events.into(), by_cpu, most_open);
            Self { folder, kernel, walker }
        }

        fn look(&mut self, wanted: &[(&str, u64)]) {
            let layout = Arc::new(Layout::detect(&self.folder.path().join("cgroup")));
            let want = |(path, incarnation): &(&str, u64)| Wanted { path: (*path).into(), incarnation: *incarnation };
            self.walker.board.board.want(layout, wanted.iter().map(want).collect());
            self.walker.look();
        }

        /// Event, CPU, sum and ratio.
        fn figures(&self, path: &str) -> Vec<(String, Option<u32>, f64, f64)> {
            let figures = self.walker.board.figures(path).unwrap();
            figures.core.iter().map(|f| (f.event.to_string(), f.cpu, f.total, f.ratio)).collect()
        }

        fn open(&self) -> usize {
            self.kernel.0.borrow().open.iter().map(|(events, _)| events.len()).sum()
        }

        fn refusals(&self) -> Vec<(&'static str, u64)> {
            self.walker.board.refusals().filter(|(_, count)| *count > 0).collect()
        }

        fn refuse(&self, config: u64, cpu: u32, errno: rustix::io::Errno) {
            self.kernel.0.borrow_mut().refuses.push((Event::new(1, config), cpu, errno));
        }
    }

    #[test]
    fn cgroups_come_and_go_with_their_counters() {
        let mut case = Case::new(false, 1000);
        case.look(&[("/", 1), ("/a", 1), ("/not/there", 1)]);
        // Three events on two CPUs of two cgroups, and a unit with two places.
        assert_eq!((case.open(), case.walker.open), (14, 14));
        let scaled = |event: &str, total| (event.to_owned(), None, total, 0.5);
        assert_eq!(case.figures("/a"), [scaled("one", 40.0), scaled("two", 80.0), scaled("three", 120.0)]);
        assert_eq!(case.figures("/not/there"), []);
        let units = case.walker.board.figures("/").unwrap().units.clone();
        let reads = UnitFigure { event: "reads".into(), unit: "imc".into(), socket: 0, total: 280.0, ratio: 0.5 };
        assert_eq!(units, [reads], "both places are of one socket");
        case.look(&[("/a", 2), ("/b", 1)]);
        assert_eq!(case.open(), 14);
        assert_eq!(case.kernel.0.borrow().asked, 2 + 4 + 4 + 4 + 4, "one made anew is counted anew");
        case.look(&[]);
        assert_eq!((case.open(), case.walker.board.open.load(Ordering::Relaxed)), (2, 2));
        assert!(case.walker.board.figures("/a").is_none());
        let Case { walker, kernel, folder: _folder } = case;
        drop(walker);
        assert_eq!(kernel.0.borrow().open, []);
    }

    #[test]
    fn by_cpu_and_cpus_that_go() {
        let mut case = Case::new(true, 1000);
        case.look(&[("/a", 1)]);
        let figure = |event: &str, cpu, total| (event.to_owned(), Some(cpu), total, 0.5);
        let both = |event: &str, total| [figure(event, 0, total), figure(event, 1, total)];
        let all = [both("one", 20.0), both("two", 40.0), both("three", 60.0)].concat();
        assert_eq!(case.figures("/a"), all);
        fs::write(case.folder.path().join("devices/system/cpu/online"), "1\n").unwrap();
        case.look(&[("/a", 1)]);
        assert_eq!(case.figures("/a"), [figure("one", 1, 20.0), figure("two", 1, 40.0), figure("three", 1, 60.0)]);
        assert_eq!(case.open(), 3 + 2);
    }

    #[test]
    fn there_is_room_for_whole_cgroups_only() {
        let mut case = Case::new(false, 2 + 6 + 5);
        case.look(&[("/a", 1), ("/b", 1)]);
        case.look(&[("/a", 1), ("/b", 1)]);
        assert_eq!((case.open(), case.refusals()), (8, vec![("limit", 1)]), "counted once");
        assert_eq!(case.figures("/b"), []);
        case.look(&[("/b", 1)]);
        assert_eq!((case.open(), case.figures("/b").len()), (8, 3), "there is room now");
    }

    #[test]
    fn a_kernel_that_runs_out_of_files_has_no_half_sums() {
        let mut case = Case::new(false, 1000);
        case.refuse(3, 1, rustix::io::Errno::MFILE);
        case.look(&[("/a", 1)]);
        assert_eq!((case.open(), case.walker.open, case.refusals()), (2, 2, vec![("limit", 1)]));
        assert_eq!(case.figures("/a"), []);
    }

    #[test]
    fn what_is_refused_costs_itself_and_is_not_asked_for_each_time() {
        let mut case = Case::new(false, 1000);
        case.refuse(2, 0, rustix::io::Errno::ACCESS);
        case.refuse(2, 1, rustix::io::Errno::ACCESS);
        case.refuse(7, 1, rustix::io::Errno::NOENT);
        case.look(&[("/a", 1), ("/b", 1)]);
        assert_eq!(case.refusals(), [("rights", 2), ("unsupported", 1)]);
        let asked = case.kernel.0.borrow().asked;
        for _ in 0..LOOKS_OF_REFUSAL - 1 {
            case.look(&[("/a", 1), ("/b", 1)]);
        }
        assert_eq!(case.kernel.0.borrow().asked, asked);
        let three = [("three".to_owned(), None, 120.0, 0.5)];
        assert_eq!((case.figures("/a"), case.figures("/b")), (three.to_vec(), three.to_vec()));
        case.kernel.0.borrow_mut().refuses.clear();
        case.look(&[("/a", 1), ("/b", 1)]);
        assert_eq!(case.figures("/b").len(), 3, "the right was given");
    }

    #[test]
    fn every_refusal_has_an_advice() {
        use rustix::io::Errno;
        #[track_caller]
        fn check(errno: Errno, reason: Reason, advised: &str) {
            let error = errno.into();
            assert_eq!(Reason::of(&error), reason);
            assert!(advice(&error).contains(advised), "{}", advice(&error));
        }
        check(Errno::ACCESS, Reason::Rights, "kernel.perf_event_paranoid");
        check(Errno::PERM, Reason::Rights, "seccomp");
        check(Errno::NOENT, Reason::Unsupported, "virtual machine");
        check(Errno::OPNOTSUPP, Reason::Unsupported, "virtual machine");
        check(Errno::MFILE, Reason::Limit, "LimitNOFILE");
        check(Errno::IO, Reason::Other, "leave the event out");
        for (at, (reason, _)) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, at);
        }
    }

    /// A cgroup of this test alone, in the hierarchy that counts.
    struct Own {
        layout: Arc<Layout>,
        path: String,
    }

    impl Own {
        fn folder(&self) -> std::path::PathBuf {
            let fd = std::os::fd::AsRawFd::as_raw_fd(&self.layout.perf_event().unwrap());
            fs::read_link(format!("/proc/self/fd/{fd}")).unwrap().join(self.path.trim_start_matches('/'))
        }
    }

    impl Drop for Own {
        fn drop(&mut self) {
            let _ = fs::remove_dir(self.folder());
        }
    }

    /// `None` where this process may make no cgroups.
    fn own_cgroup() -> Option<Own> {
        let layout = Arc::new(Layout::detect(Path::new("/sys/fs/cgroup")));
        layout.perf_event()?;
        let own = Own { layout, path: format!("/atalaia-test-perf-{}", std::process::id()) };
        fs::create_dir(own.folder()).ok()?;
        Some(own)
    }

    /// Times that a process was taken off a CPU, by its own file.
    fn switches(pid: u32) -> u64 {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
        lines.map(|line| line.split_whitespace().last().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// When it sleeps again.
    fn settled(pid: u32) -> u64 {
        let (mut last, mut equal) = (switches(pid), 0);
        for _ in 0..2000 {
            std::thread::sleep(Duration::from_millis(10));
            let now = switches(pid);
            equal = if now == last { equal + 1 } else { 0 };
            last = now;
            if equal == 20 {
                return now;
            }
        }
        panic!("it does not settle");
    }

    #[test]
    fn switches_of_a_real_cgroup_are_those_of_its_process() {
        let Some(own) = own_cgroup() else { return };
        let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        fs::write(own.folder().join("cgroup.procs"), cat.id().to_string()).unwrap();
        let events = PerfEvents {
            core: vec![vec![named("context-switches", 3), named("cpu-clock", 0)], vec![named("page-faults", 2)]],
            ..PerfEvents::default()
        };
        let board = Arc::<PerfBoard>::default();
        let want = Wanted { path: own.path.as_str().into(), incarnation: 1 };
        board.board.want(own.layout.clone(), vec![want]);
        let mut walker = PerfWalker::new(&Root::default(), board.clone(), Linux, events.into(), false, 1000);
        let before = settled(cat.id());
        walker.look();
        let is_allowed = board.refusals().all(|(_, count)| count == 0);
        if is_allowed {
            for _ in 0..500 {
                let mut byte = [7];
                cat.stdin.as_mut().unwrap().write_all(&byte).unwrap();
                cat.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
            }
            let own_count = settled(cat.id()) - before;
            walker.look();
            let figures = board.figures(&own.path).unwrap();
            let total = |event: &str| figures.core.iter().find(|figure| &*figure.event == event).unwrap().total;
            assert!(own_count >= 500, "{own_count}");
            assert_eq!(total("context-switches"), own_count as f64);
            assert!(total("cpu-clock") > 1e5 && figures.core.iter().all(|figure| figure.ratio == 1.0), "{figures:?}");
        }
        cat.kill().unwrap();
        cat.wait().unwrap();
        drop(walker);
        assert!(is_allowed || rustix::process::getuid().as_raw() != 0, "{:?}", board.refusals().collect::<Vec<_>>());
    }
}
