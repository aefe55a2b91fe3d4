//! Counting on a kernel that is made up, and on this one.

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
        if let Some((at, (.., errno))) = events.iter().enumerate().find_map(|(at, event)| Some((at, refusal(event)?))) {
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
        self.walker.board.refused.happened()
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
    let is_allowed = board.refused.happened().is_empty();
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
    assert!(is_allowed || rustix::process::getuid().as_raw() != 0, "{:?}", board.refused.happened());
}
