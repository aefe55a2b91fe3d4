//! `container_cpu_load_average_10s`: how many tasks of a cgroup run or wait for a CPU, smoothed.
//!
//! The kernel counts this for nobody in version 2, and in version 1 only over a netlink socket of the host's network
//! namespace. So the states of the tasks are looked at, about once a second:
//! - a group whose CPU time stood (nearly) still since the last look had nothing to run, and its tasks are not
//!   looked at; this makes the cost that of the busy groups only;
//! - of a group with very many tasks every n-th is looked at, and counted n times;
//! - the pause grows so that all this takes at most half a percent of one CPU.
//!
//! The average forgets with a time constant of ten seconds, whatever the pause: `avg·d + x·(1−d)`, d = e^(−Δt/10 s).
//! The first look is taken as the average. Tasks of the groups below count; the root's figure is the kernel's own
//! count of runnable tasks. A group whose list of tasks cannot be read has no figure, and adds nothing above: it is
//! most likely gone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use agent_procfs::cgroup::{self, CpuStat};
use agent_procfs::{Root, loadavg};
use parking_lot::Mutex;

use super::{Cpu, Signal};
use crate::cgroups::{Controller, Layout, Version, read_in};

const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Share of one CPU.
const BUDGET: f64 = 0.005;
/// A group that used less of a CPU than this since the last look is taken for idle.
const IDLE: f64 = 0.005;
/// Tasks of one group looked at.
const MOST_TASKS: usize = 512;
const TIME_CONSTANT: f64 = 10.0;

/// A cgroup whose load is wanted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) path: Arc<str>,
    pub(crate) incarnation: u64,
}

/// What scrapes want and what the thread found.
#[derive(Debug, Default)]
pub(crate) struct LoadBoard {
    wanted: Mutex<(Arc<Layout>, Arc<[Wanted]>)>,
    values: Mutex<HashMap<Arc<str>, f64>>,
    pub(crate) signal: Signal,
    /// Nanoseconds of CPU time that the looking took.
    pub(crate) cost: AtomicU64,
}

impl LoadBoard {
    /// Sets which cgroups are wanted from now on.
    pub(crate) fn want(&self, layout: Arc<Layout>, wanted: Vec<Wanted>) {
        *self.wanted.lock() = (layout, wanted.into());
    }

    /// The averages, by cgroup path.
    pub(crate) fn with_values<T>(&self, read: impl FnOnce(&HashMap<Arc<str>, f64>) -> T) -> T {
        read(&self.values.lock())
    }
}

/// The thread's own state.
pub(crate) struct Sampler {
    root: Root,
    board: Arc<LoadBoard>,
    groups: HashMap<Arc<str>, Group>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Group {
    incarnation: u64,
    usage: Option<u64>,
    looked: Instant,
    average: Option<f64>,
}

impl Sampler {
    pub(crate) fn new(root: &Root, board: Arc<LoadBoard>) -> Self {
        Self { root: root.clone(), board, groups: HashMap::new(), buffer: vec![0; 16 * 1024] }
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
        let (layout, wanted) = self.board.wanted.lock().clone();
        let mut counts: HashMap<&str, f64> = HashMap::with_capacity(wanted.len());
        let mut unreadable: HashSet<&str> = HashSet::new();
        for want in wanted.iter().filter(|want| &*want.path != "/") {
            let Some(own) = self.runnable(&layout, want, now) else {
                unreadable.insert(&*want.path);
                continue;
            };
            *counts.entry(&want.path).or_default() += own;
            if own > 0.0 {
                for above in ancestors(&want.path) {
                    *counts.entry(above).or_default() += own;
                }
            }
        }
        counts.retain(|path, _| !unreadable.contains(path));
        if let Some(running) = self.running_on_the_machine() {
            counts.insert("/", running);
        }
        let mut values = HashMap::with_capacity(wanted.len());
        for want in wanted.iter() {
            let Some(count) = counts.get(&*want.path) else { continue };
            let fresh = || Group { incarnation: want.incarnation, usage: None, looked: now, average: None };
            let group = self.groups.entry(want.path.clone()).or_insert_with(fresh);
            let average = match group.average {
                Some(average) => {
                    let decay = (-now.duration_since(group.looked).as_secs_f64() / TIME_CONSTANT).exp();
                    average * decay + count * (1.0 - decay)
                }
                None => *count,
            };
            group.average = Some(average);
            group.looked = now;
            values.insert(want.path.clone(), average);
        }
        self.groups.retain(|path, _| values.contains_key(path));
        *self.board.values.lock() = values;
    }

    /// How many tasks of the cgroup itself run or wait for a CPU; nothing where that cannot be read.
    fn runnable(&mut self, layout: &Layout, want: &Wanted, now: Instant) -> Option<f64> {
        let usage = self.usage(layout, &want.path);
        let fresh = Group { incarnation: want.incarnation, usage: None, looked: now, average: None };
        let group = self.groups.entry(want.path.clone()).or_insert(fresh);
        if group.incarnation != want.incarnation {
            *group = Group { incarnation: want.incarnation, usage: None, looked: now, average: None };
        }
        let before = std::mem::replace(&mut group.usage, usage);
        if let (Some(before), Some(usage)) = (before, usage) {
            let elapsed = now.duration_since(group.looked).as_nanos() as f64;
            if (usage.saturating_sub(before) as f64) < elapsed * IDLE {
                return Some(0.0);
            }
        }
        self.runnable_tasks(layout, &want.path)
    }

    fn usage(&mut self, layout: &Layout, path: &str) -> Option<u64> {
        let path = path.trim_start_matches('/');
        match layout.version(Controller::Cpuacct)? {
            Version::V1 => {
                let at = layout.v1(Controller::Cpuacct)?;
                self.read(layout, at, &format!("{path}/cpuacct.usage")).and_then(cgroup::number)
            }
            Version::V2 => {
                let at = layout.v2()?;
                self.read(layout, at, &format!("{path}/cpu.stat")).and_then(|text| CpuStat::parse(text).usage)
            }
        }
    }

    fn runnable_tasks(&mut self, layout: &Layout, path: &str) -> Option<f64> {
        let path = path.trim_start_matches('/');
        let list = match (layout.v1(Controller::Cpu).or(layout.v1(Controller::Cpuacct)), layout.v2()) {
            (Some(at), _) => self.read(layout, at, &format!("{path}/tasks")),
            (None, Some(at)) => self.read(layout, at, &format!("{path}/cgroup.threads")),
            (None, None) => None,
        };
        let tasks: Vec<u32> = cgroup::pids(list?).collect();
        let step = tasks.len().div_ceil(MOST_TASKS).max(1);
        // This very thread runs, since it looks.
        let myself = self.own_task();
        let running =
            tasks.iter().step_by(step).filter(|task| Some(**task) != myself && self.is_runnable(**task)).count();
        Some((running * step) as f64)
    }

    fn is_runnable(&mut self, task: u32) -> bool {
        let path = self.root.procfs.join(task.to_string()).join("stat");
        let length = read_in(rustix::fs::CWD, &path, &mut self.buffer, false);
        let stat = length.and_then(|length| self.buffer.get(..length));
        stat.and_then(cgroup::task_is_runnable).unwrap_or(false)
    }

    /// By the watched /proc, whose numbers differ from this process's own where it runs in a PID namespace.
    fn own_task(&self) -> Option<u32> {
        let link = std::fs::read_link(self.root.proc("thread-self")).ok()?;
        link.file_name()?.to_str()?.parse().ok()
    }

    fn running_on_the_machine(&mut self) -> Option<f64> {
        let length = read_in(rustix::fs::CWD, self.root.proc("loadavg"), &mut self.buffer, false)?;
        let running = loadavg::parse(self.buffer.get(..length)?).ok()?.runnable?;
        Some(running.saturating_sub(1) as f64)
    }

    fn read(&mut self, layout: &Layout, hierarchy: usize, path: &str) -> Option<&[u8]> {
        let dir = &layout.hierarchies.get(hierarchy)?.dir;
        let length = read_in(dir, path, &mut self.buffer, true)?;
        self.buffer.get(..length)
    }
}

/// The paths above, without the root.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(above, _)| above))
        .skip(1)
        .take_while(|above| !above.is_empty())
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
            let case = Self { sampler: Sampler::new(&root, board.clone()), folder, board, now: Instant::now() };
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
            self.board.with_values(|values| values.iter().map(|(path, value)| (path.to_string(), *value)).collect())
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
    fn a_group_that_used_no_cpu_is_not_looked_at() {
        let mut case = Case::new();
        case.look(0);
        case.tasks("a", &[(10, 'R')]);
        assert_eq!(case.look(1)["/a"], 0.0);
        case.usage("a", 500_000);
        assert!(case.look(1)["/a"] > 0.0);
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
        let layout = case.board.wanted.lock().0.clone();
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
    fn paths_above() {
        assert_eq!(ancestors("/a/b/c").collect::<Vec<_>>(), ["/a/b", "/a"]);
        assert_eq!(ancestors("/a").count(), 0);
    }
}
