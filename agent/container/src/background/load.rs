//! `container_cpu_load_average_10s`: how many tasks of a cgroup run or wait for a CPU, smoothed.
//!
//! The kernel counts this for nobody in version 2, and in version 1 only over a netlink socket of the host's network
//! namespace. So the states of the tasks are looked at, about once a second:
//! - a group whose CPU time stood (nearly) still since the last look had nothing to run, nor had those below it, and
//!   neither their tasks nor their times are looked at; this makes the cost that of the busy groups only;
//! - of a group with very many tasks every n-th is looked at, and counted n times;
//! - the pause grows so that all this takes at most half a percent of one CPU.
//!
//! The average forgets with a time constant of ten seconds, whatever the pause: `avg·d + x·(1−d)`, d = e^(−Δt/10 s).
//! The first look is taken as the average. Tasks of the groups below count; the root's figure is the kernel's own
//! count of runnable tasks. A group whose list of tasks cannot be read has no figure, and adds nothing above: it is
//! most likely gone.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use agent_procfs::cgroup::{self, CpuStat};
use agent_procfs::{Root, loadavg};
use hashbrown::HashMap;
use rustix::fs::{Mode, OFlags};

use super::Cpu;
use super::board::{Board, Wanted, add_up};
use crate::cgroups::{Controller, Layout, Records, Version, read_in, relative};

const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Share of one CPU.
const BUDGET: f64 = 0.005;
/// A group that used less of a CPU than this since the last look is taken for idle.
const IDLE: f64 = 0.005;
/// Tasks of one group looked at.
const MOST_TASKS: usize = 512;
const TIME_CONSTANT: f64 = 10.0;

/// What was found of a cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Load {
    /// Tasks that run or wait for a CPU, smoothed.
    pub(crate) runnable: f64,
    /// Those in uninterruptible sleep, smoothed, and how many are in each state now; only where all tasks are looked
    /// at.
    pub(crate) detail: Option<(f64, States)>,
}

/// Tasks by state.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct States {
    pub(crate) running: f64,
    pub(crate) sleeping: f64,
    pub(crate) stopped: f64,
    pub(crate) uninterruptible: f64,
}

impl States {
    fn count(&mut self, state: u8, weight: f64) {
        match state {
            b'R' => self.running += weight,
            b'S' => self.sleeping += weight,
            b'T' | b't' => self.stopped += weight,
            b'D' => self.uninterruptible += weight,
            // Idle threads of the kernel and processes that have ended.
            _ => {}
        }
    }

    fn add(&mut self, other: &Self) {
        self.running += other.running;
        self.sleeping += other.sleeping;
        self.stopped += other.stopped;
        self.uninterruptible += other.uninterruptible;
    }
}

/// What a look at one cgroup found.
enum Looked {
    /// It used no CPU, and neither did those below it: their time counts for it.
    Still,
    Tasks(States),
}

impl Looked {
    fn states(self) -> States {
        match self {
            Self::Still => States::default(),
            Self::Tasks(states) => states,
        }
    }
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
}

/// What scrapes want and what the thread found.
pub(crate) type LoadBoard = Board<Load>;

/// The thread's own state.
pub(crate) struct Sampler {
    root: Root,
    board: Arc<LoadBoard>,
    /// Whether all tasks are looked at, those of idle groups too.
    detailed: bool,
    groups: HashMap<Arc<str>, Group>,
    /// Files of theirs that are open, and may be: a sixteenth of those that the process may have.
    open: usize,
    most_open: usize,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Group {
    incarnation: u64,
    /// The file with its CPU time, where it is kept open: to open it takes longer than to read it, and it is read every
    /// second.
    file: Option<OwnedFd>,
    usage: Option<u64>,
    looked: Instant,
    average: Option<(f64, f64)>,
}

impl Group {
    fn new(incarnation: u64, looked: Instant) -> Self {
        Self { incarnation, file: None, usage: None, looked, average: None }
    }
}

impl Sampler {
    /// With `detailed` for the states of tasks too.
    pub(crate) fn new(root: &Root, board: Arc<LoadBoard>, detailed: bool) -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(65_536);
        let most_open = usize::try_from(limit / 16).unwrap_or(usize::MAX).min(1024);
        Self {
            root: root.clone(),
            board,
            detailed,
            groups: HashMap::new(),
            open: 0,
            most_open,
            buffer: vec![0; 16 * 1024],
        }
    }

    /// Looks again and again until the board's signal stops it.
    pub(crate) fn run(mut self) {
        let mut pause = SHORTEST_PAUSE;
        while self.board.signal.wait(pause) {
            let before = Cpu::now();
            self.look(Instant::now());
            let cost = Cpu::now().saturating_sub(before);
            self.board.cost.fetch_add(u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
            pause = cost.div_f64(BUDGET).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        }
    }

    /// One look at all wanted cgroups.
    pub(crate) fn look(&mut self, now: Instant) {
        let (layout, wanted) = self.board.wanted();
        self.open = self.groups.values().filter(|group| group.file.is_some()).count();
        let mut own: HashMap<Arc<str>, States> = HashMap::with_capacity(wanted.len());
        // By path, so that a cgroup comes before those below it.
        let mut still: Option<&str> = None;
        for want in wanted.iter() {
            if !self.detailed && still.is_some_and(|above| is_below(&want.path, above)) && self.knows(want) {
                // What it may have used since it was last looked at counts for the next look, which so sees too much
                // rather than too little.
                own.insert(want.path.clone(), States::default());
                continue;
            }
            // The root's own tasks are those of the kernel, and its load is the kernel's figure.
            let is_root = &*want.path == "/";
            let looked = if is_root && !self.detailed { None } else { self.states(&layout, want, now) };
            if matches!(looked, Some(Looked::Still)) {
                still = Some(&want.path);
            }
            if let Some(looked) = looked {
                own.insert(want.path.clone(), looked.states());
            }
        }
        let mut counts = add_up(&wanted, &own, States::add);
        if let Some(running) = self.running_on_the_machine() {
            counts.entry("/".into()).or_default().running = running;
        }
        let mut values = HashMap::with_capacity(wanted.len());
        for want in wanted.iter() {
            let Some(states) = counts.get(&*want.path).copied() else { continue };
            let group = self.groups.entry(want.path.clone()).or_insert_with(|| Group::new(want.incarnation, now));
            let average = match group.average {
                Some(average) => {
                    let decay = (-now.duration_since(group.looked).as_secs_f64() / TIME_CONSTANT).exp();
                    let smooth = |average: f64, now: f64| average * decay + now * (1.0 - decay);
                    (smooth(average.0, states.running), smooth(average.1, states.uninterruptible))
                }
                None => (states.running, states.uninterruptible),
            };
            group.average = Some(average);
            group.looked = now;
            let detail = self.detailed.then_some((average.1, states));
            values.insert(want.path.clone(), Load { runnable: average.0, detail });
        }
        self.groups.retain(|path, _| values.contains_key(path));
        self.board.tell(values);
    }

    /// Whether it was looked at before.
    fn knows(&self, want: &Wanted) -> bool {
        self.groups.get(&want.path).is_some_and(|group| group.incarnation == want.incarnation && group.usage.is_some())
    }

    /// What the tasks of the cgroup itself do; nothing where that cannot be read.
    fn states(&mut self, layout: &Layout, want: &Wanted, now: Instant) -> Option<Looked> {
        if layout.hides_processes {
            return None;
        }
        let group = self.groups.entry(want.path.clone()).or_insert_with(|| Group::new(want.incarnation, now));
        self.open -= usize::from(group.file.is_some());
        if group.incarnation != want.incarnation {
            *group = Group::new(want.incarnation, now);
        }
        let file = group.file.take().or_else(|| open_usage(layout, &want.path));
        let usage = file.and_then(|file| {
            // A single record comes whole; it fails when the group is gone.
            let length = rustix::io::pread(&file, self.buffer.as_mut_slice(), 0).ok()?;
            let text = self.buffer.get(..length)?;
            if self.open < self.most_open {
                self.open += 1;
                group.file = Some(file);
            }
            match layout.version(Controller::Cpuacct)? {
                Version::V1 => cgroup::number(text),
                Version::V2 => CpuStat::parse(text).usage,
            }
        });
        let before = std::mem::replace(&mut group.usage, usage);
        if let (Some(before), Some(usage), false) = (before, usage, self.detailed) {
            let elapsed = now.duration_since(group.looked).as_nanos() as f64;
            if (usage.saturating_sub(before) as f64) < elapsed * IDLE {
                return Some(Looked::Still);
            }
        }
        self.task_states(layout, &want.path).map(Looked::Tasks)
    }

    fn task_states(&mut self, layout: &Layout, path: &str) -> Option<States> {
        let path = relative(path);
        let list = match (layout.v1(Controller::Cpu).or(layout.v1(Controller::Cpuacct)), layout.v2()) {
            (Some(at), _) => self.read(layout, at, &format!("{path}/tasks")),
            (None, Some(at)) => self.read(layout, at, &format!("{path}/cgroup.threads")),
            (None, None) => None,
        };
        let tasks: Vec<u32> = cgroup::pids(list?).collect();
        let step = tasks.len().div_ceil(MOST_TASKS).max(1);
        // This very thread runs, since it looks.
        let myself = self.own_task();
        let mut states = States::default();
        for task in tasks.iter().step_by(step).filter(|task| Some(**task) != myself) {
            if let Some(state) = self.state(*task) {
                states.count(state, step as f64);
            }
        }
        Some(states)
    }

    fn state(&mut self, task: u32) -> Option<u8> {
        let path = self.root.procfs.join(task.to_string()).join("stat");
        let length = read_in(rustix::fs::CWD, &path, &mut self.buffer, Records::One)?;
        cgroup::task_state(self.buffer.get(..length)?)
    }

    /// By the watched /proc, whose numbers differ from this process's own where it runs in a PID namespace.
    fn own_task(&self) -> Option<u32> {
        let link = std::fs::read_link(self.root.proc("thread-self")).ok()?;
        link.file_name()?.to_str()?.parse().ok()
    }

    fn running_on_the_machine(&mut self) -> Option<f64> {
        let length = read_in(rustix::fs::CWD, self.root.proc("loadavg"), &mut self.buffer, Records::One)?;
        let running = loadavg::parse(self.buffer.get(..length)?).ok()?.runnable?;
        Some(running.saturating_sub(1) as f64)
    }

    fn read(&mut self, layout: &Layout, hierarchy: usize, path: &str) -> Option<&[u8]> {
        let dir = &layout.hierarchies.get(hierarchy)?.dir;
        let length = read_in(dir, path, &mut self.buffer, Records::Short)?;
        self.buffer.get(..length)
    }
}

/// The file that tells a group's CPU time.
fn open_usage(layout: &Layout, path: &str) -> Option<OwnedFd> {
    let (at, name) = match layout.version(Controller::Cpuacct)? {
        Version::V1 => (layout.v1(Controller::Cpuacct)?, "cpuacct.usage"),
        Version::V2 => (layout.v2()?, "cpu.stat"),
    };
    let path = format!("{}/{name}", relative(path));
    let dir = &layout.hierarchies.get(at)?.dir;
    rustix::fs::openat(dir, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Case {
        folder: tempfile::TempDir,
        sampler: Sampler,
        board: Arc<LoadBoard>,
        now: Instant,
    }

    impl Case {
        /// A version 2 tree with a container, a group below it and an idle neighbour.
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let root = Root { procfs: folder.path().join("proc"), ..Root::default() };
            let board = Arc::new(LoadBoard::default());
            let case = Self { sampler: Sampler::new(&root, board.clone(), false), folder, board, now: Instant::now() };
            case.write("cgroup/cgroup.controllers", "cpu");
            for path in ["a", "a/b", "idle"] {
                case.write(&format!("cgroup/{path}/cgroup.threads"), "");
                case.usage(path, 0);
            }
            case.write("proc/loadavg", "0.00 0.00 0.00 4/100 7\n");
            let layout = Layout::detect(&case.folder.path().join("cgroup"));
            let wanted = ["/", "/a", "/a/b", "/idle"];
            let wanted = wanted.map(|path| Wanted { path: path.into(), incarnation: 1 });
            case.board.want(Arc::new(layout), wanted.to_vec());
            case
        }

        fn write(&self, path: &str, content: &str) {
            let path = self.folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }

        fn usage(&self, path: &str, micros: u64) {
            self.write(&format!("cgroup/{path}/cpu.stat"), &format!("usage_usec {micros}\n"));
        }

        fn tasks(&self, path: &str, tasks: &[(u32, char)]) {
            let list: String = tasks.iter().map(|(id, _)| format!("{id}\n")).collect();
            self.write(&format!("cgroup/{path}/cgroup.threads"), &list);
            for (id, state) in tasks {
                self.write(&format!("proc/{id}/stat"), &format!("{id} (x) {state} 1 1"));
            }
        }

        fn look(&mut self, seconds: u64) -> HashMap<String, f64> {
            self.now += Duration::from_secs(seconds);
            self.sampler.look(self.now);
            self.board.with_found(|found| found.iter().map(|(path, load)| (path.to_string(), load.runnable)).collect())
        }
    }

    #[test]
    fn the_first_look_is_the_average_and_later_ones_are_smoothed() {
        let mut case = Case::new();
        case.tasks("a", &[(10, 'R'), (11, 'S'), (12, 'R'), (13, 'D')]);
        assert_eq!(case.look(0).get("/a"), Some(&2.0));
        case.tasks("a", &[(10, 'S')]);
        case.usage("a", 1_000_000);
        let after = case.look(10)["/a"];
        assert!((after - 2.0 * (-1.0_f64).exp()).abs() < 1e-9, "{after}");
    }

    #[test]
    fn groups_below_count_and_the_root_has_the_kernels_figure_without_this_thread() {
        let mut case = Case::new();
        case.tasks("a/b", &[(10, 'R')]);
        let values = case.look(0);
        assert_eq!((values["/a"], values["/a/b"], values["/idle"], values["/"]), (1.0, 1.0, 0.0, 3.0));
    }

    #[test]
    fn files_are_kept_open_within_bounds_and_a_group_made_again_is_read_anew() {
        let mut case = Case::new();
        case.sampler.most_open = 2;
        let open = |case: &Case| case.sampler.groups.values().filter(|group| group.file.is_some()).count();
        case.look(0);
        assert_eq!(open(&case), 2);
        case.tasks("a", &[(10, 'R')]);
        case.look(1);
        assert_eq!((open(&case), case.look(1)["/a"]), (2, 0.0));
        fs::rename(case.folder.path().join("cgroup/a"), case.folder.path().join("gone")).unwrap();
        case.usage("a", 900_000);
        case.tasks("a", &[(10, 'R')]);
        let (layout, wanted) = case.board.wanted();
        let wanted = wanted.iter().map(|want| Wanted { incarnation: 2, ..want.clone() }).collect();
        case.board.want(layout, wanted);
        assert!(case.look(1)["/a"] > 0.0, "the file of the group before it is read");
        assert_eq!(open(&case), 2);
    }

    #[test]
    fn a_group_that_used_no_cpu_is_not_looked_at() {
        let mut case = Case::new();
        case.look(0);
        case.tasks("a", &[(10, 'R')]);
        assert_eq!(case.look(1)["/a"], 0.0);
        case.usage("a", 500_000);
        assert!(case.look(1)["/a"] > 0.0);
    }

    #[test]
    fn nothing_below_a_group_that_used_no_cpu_is_looked_at() {
        let mut case = Case::new();
        case.look(0);
        case.tasks("a/b", &[(10, 'R')]);
        case.usage("a/b", 500_000);
        assert_eq!(case.look(1)["/a/b"], 0.0, "its time would be in that of the one above");
        case.usage("a", 500_000);
        let values = case.look(1);
        assert!(values["/a/b"] > 0.0 && values["/a"] > 0.0, "{values:?}");
    }

    #[test]
    fn a_new_group_is_looked_at_below_one_that_used_no_cpu() {
        let mut case = Case::new();
        case.look(0);
        case.tasks("a/b", &[(10, 'R')]);
        let (layout, wanted) = case.board.wanted();
        let anew = |want: &Wanted| Wanted { incarnation: 1 + u64::from(&*want.path == "/a/b"), ..want.clone() };
        case.board.want(layout, wanted.iter().map(anew).collect());
        assert_eq!(case.look(1)["/a/b"], 1.0);
    }

    #[test]
    fn many_tasks_are_counted_by_a_part_of_them() {
        let mut case = Case::new();
        let tasks: Vec<_> = (10..10 + 3 * MOST_TASKS as u32).map(|id| (id, 'R')).collect();
        case.tasks("a", &tasks);
        assert_eq!(case.look(0)["/a"], tasks.len() as f64);
    }

    #[test]
    fn a_group_made_again_begins_anew_and_one_that_is_gone_is_forgotten() {
        let mut case = Case::new();
        case.tasks("a", &[(10, 'R')]);
        case.look(0);
        let layout = case.board.wanted().0;
        case.board.want(layout, vec![Wanted { path: "/a".into(), incarnation: 2 }]);
        case.tasks("a", &[(10, 'S')]);
        let values = case.look(1);
        assert_eq!(values, HashMap::from([("/a".to_owned(), 0.0)]));
    }

    #[test]
    fn a_group_whose_tasks_cannot_be_read_has_no_figure() {
        let mut case = Case::new();
        case.tasks("a/b", &[(10, 'R')]);
        fs::remove_file(case.folder.path().join("cgroup/a/cgroup.threads")).unwrap();
        let values = case.look(0);
        assert_eq!((values.get("/a"), values.get("/a/b"), values.get("/idle")), (None, Some(&1.0), Some(&0.0)));
        // Readable again: the first look is the average once more.
        case.tasks("a", &[(11, 'R')]);
        assert_eq!(case.look(1).get("/a"), Some(&1.0));
    }

    #[test]
    fn lists_that_name_nobody_are_not_empty_ones() {
        let mut case = Case::new();
        case.tasks("a", &[]);
        assert_eq!(case.look(0).get("/a"), Some(&0.0));
        let (_, wanted) = case.board.wanted();
        let mut layout = Layout::detect(&case.folder.path().join("cgroup"));
        layout.hides_processes = true;
        case.board.want(Arc::new(layout), wanted.to_vec());
        assert_eq!(case.look(1), HashMap::from([("/".to_owned(), 3.0)]), "the machine's own is the kernel's word");
    }

    #[test]
    fn states_of_all_tasks_where_they_are_asked_for() {
        let mut case = Case::new();
        case.sampler.detailed = true;
        case.write("cgroup/cgroup.threads", "5\n");
        case.write("cgroup/cpu.stat", "usage_usec 0\n");
        case.write("proc/5/stat", "5 (kworker) I 1 1");
        case.tasks("a", &[(10, 'R'), (11, 'S'), (12, 'T'), (13, 'D'), (14, 'Z')]);
        case.tasks("a/b", &[(20, 'S')]);
        let detail = |case: &mut Case, path: &str| {
            case.look(10);
            case.board.with_found(|found| found.get(path).and_then(|load| load.detail)).unwrap()
        };
        let want = States { running: 1.0, sleeping: 2.0, stopped: 1.0, uninterruptible: 1.0 };
        assert_eq!(detail(&mut case, "/a"), (1.0, want));
        // Also where nothing runs, which the plain look skips.
        case.tasks("a", &[(11, 'S')]);
        let (waiting, states) = detail(&mut case, "/a");
        assert!((waiting - (-1.0_f64).exp()).abs() < 1e-9, "{waiting}");
        assert_eq!((states.sleeping, states.uninterruptible), (2.0, 0.0));
        let (_, machine) = detail(&mut case, "/");
        assert_eq!((machine.running, machine.sleeping), (3.0, 2.0));
    }
}
