//! What must be looked up process by process or task by task: open files, sockets, and time in the scheduler.
//!
//! A look at all processes can take long on a machine with many, so it is done on this thread, for at most a fiftieth of
//! one CPU, and a scrape shows the last result. A cgroup with more processes or tasks than the bound has no figure, and
//! neither has one of whose processes something may not be read, nor those above it: to see what files a process has
//! open takes its user's rights or `CAP_DAC_READ_SEARCH`, to see which of them are sockets `CAP_SYS_PTRACE` besides.
//!
//! The scheduler's figures are of tasks, and end with them: what a task had when it was last seen is kept, so that the
//! sum only grows. A task that lived between two looks is missed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agent_procfs::process::{self, Scheduled};
use agent_procfs::{Root, cgroup};
use hashbrown::HashMap;
use rustix::fs::{Dir, Mode, OFlags};
use rustix::io::Errno;

use super::Budget;
use super::board::{Board, Wanted, add_up, with_ancestors};
use crate::cgroups::{Controller, Layout, Records, read_in, relative};
use crate::compat::{Compat, Quirk};
use crate::sets::{Set, Sets};

const PAUSE: Duration = Duration::from_secs(5);
/// Share of one CPU.
const BUDGET: f64 = 0.02;
/// Processes or tasks of one cgroup.
const MOST: usize = 32_768;

/// What was found of a cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Found {
    /// Open files.
    pub(crate) files: Option<u64>,
    /// Those of them that are sockets.
    pub(crate) sockets: Option<u64>,
    pub(crate) scheduled: Option<Scheduled>,
}

impl Found {
    fn add(&mut self, other: &Self) {
        for (ours, theirs) in [(&mut self.files, other.files), (&mut self.sockets, other.sockets)] {
            if let (Some(ours), Some(theirs)) = (ours, theirs) {
                *ours += theirs;
            }
        }
        if let (Some(ours), Some(theirs)) = (&mut self.scheduled, &other.scheduled) {
            add_scheduled(ours, theirs);
        }
    }
}

fn add_scheduled(sum: &mut Scheduled, more: &Scheduled) {
    sum.running_ns = sum.running_ns.saturating_add(more.running_ns);
    sum.waiting_ns = sum.waiting_ns.saturating_add(more.waiting_ns);
    sum.periods = sum.periods.saturating_add(more.periods);
}

pub(crate) type TaskBoard = Board<Found>;

/// The thread's own state.
pub(crate) struct TaskWalker {
    root: Root,
    board: Arc<TaskBoard>,
    sets: Sets,
    compat: Compat,
    groups: HashMap<Arc<str>, Group>,
    buffer: Vec<u8>,
}

/// The tasks of one cgroup.
#[derive(Debug, Default)]
struct Group {
    incarnation: u64,
    /// As last seen.
    tasks: HashMap<u32, Scheduled>,
    /// Of those that are gone.
    ended: Scheduled,
}

impl TaskWalker {
    pub(crate) fn new(root: &Root, board: Arc<TaskBoard>, sets: Sets, compat: Compat) -> Self {
        Self { root: root.clone(), board, sets, compat, groups: HashMap::new(), buffer: vec![0; 16 * 1024] }
    }

    /// Whether any of the sets needs this thread.
    pub(crate) fn is_wanted(sets: Sets) -> bool {
        sets.has(Set::ProcessFiles) || sets.has(Set::Sched)
    }

    /// Looks again and again until the board's signal stops it.
    pub(crate) fn run(mut self) {
        while self.board.signal.wait(PAUSE) {
            self.look();
        }
    }

    /// One look at all wanted cgroups.
    pub(crate) fn look(&mut self) {
        let board = self.board.clone();
        let (layout, wanted) = board.wanted();
        let mut budget = Budget::new(&board.signal, &board.cost, BUDGET);
        let mut own = HashMap::with_capacity(wanted.len());
        let (mut unseen_files, mut unseen_sockets) = (Vec::new(), Vec::new());
        for want in wanted.iter() {
            let mut found = Found::default();
            if self.sets.has(Set::ProcessFiles)
                && let Some(all) = self.processes(&layout, &want.path)
            {
                (found.files, found.sockets) = self.files(&all, &mut budget);
                unseen_files.extend(found.files.is_none().then(|| want.path.clone()));
                unseen_sockets.extend(found.sockets.is_none().then(|| want.path.clone()));
            }
            if self.sets.has(Set::Sched) {
                found.scheduled = self.scheduled(&layout, want, &mut budget);
            }
            own.insert(want.path.clone(), found);
            if board.signal.is_stopped() {
                return;
            }
        }
        self.groups.retain(|path, _| own.contains_key(path));
        let mut found = add_up(&wanted, &own, Found::add);
        if self.compat.has(Quirk::OwnProcesses) {
            for (path, sum) in &mut found {
                (sum.files, sum.sockets) = own.get(path).map_or((None, None), |own| (own.files, own.sockets));
            }
        } else {
            for path in with_ancestors(&unseen_files) {
                if let Some(sum) = found.get_mut(path) {
                    sum.files = None;
                }
            }
            for path in with_ancestors(&unseen_sockets) {
                if let Some(sum) = found.get_mut(path) {
                    sum.sockets = None;
                }
            }
        }
        board.tell(found);
        // The rest of what this look took too much.
        budget.pause();
    }

    fn processes(&mut self, layout: &Layout, path: &str) -> Option<Vec<u32>> {
        processes(&mut self.buffer, layout, path, MOST)
    }

    /// Open files of all processes, and how many of them are sockets; nothing of what may not be seen of one.
    fn files(&mut self, processes: &[u32], budget: &mut Budget<'_>) -> (Option<u64>, Option<u64>) {
        let (mut all, mut all_sockets) = (0, Some(0));
        for pid in processes {
            match open_files(&self.root.proc(format!("{pid}/fd")), budget) {
                Ok((files, sockets)) => {
                    all += files;
                    all_sockets = all_sockets.zip(sockets).map(|(sum, more)| sum + more);
                }
                // It has ended meanwhile.
                Err(Errno::NOENT | Errno::SRCH) => {}
                Err(_) => return (None, None),
            }
        }
        (Some(all), all_sockets)
    }

    fn scheduled(&mut self, layout: &Layout, want: &Wanted, budget: &mut Budget<'_>) -> Option<Scheduled> {
        let tasks = match self.compat.has(Quirk::SchedOfLeaders) {
            true => self.processes(layout, &want.path)?,
            false => tasks(&mut self.buffer, layout, &want.path, MOST)?,
        };
        let mut group = self.groups.remove(&want.path).filter(|group| group.incarnation == want.incarnation);
        let group = group.get_or_insert_with(|| Group { incarnation: want.incarnation, ..Group::default() });
        let mut before = std::mem::take(&mut group.tasks);
        for task in tasks {
            budget.step();
            let path = self.root.procfs.join(task.to_string()).join("schedstat");
            let length = read_in(rustix::fs::CWD, &path, &mut self.buffer, Records::One);
            let Some(now) = length.and_then(|to| process::scheduled(self.buffer.get(..to)?)) else { continue };
            if let Some(last) = before.remove(&task)
                && now.running_ns < last.running_ns
            {
                // Another task that was given the number of one that has ended.
                add_scheduled(&mut group.ended, &last);
            }
            group.tasks.insert(task, now);
        }
        for last in before.values() {
            add_scheduled(&mut group.ended, last);
        }
        let mut sum = group.ended;
        for task in group.tasks.values() {
            add_scheduled(&mut sum, task);
        }
        self.groups.insert(want.path.clone(), std::mem::take(group));
        Some(sum)
    }
}

/// The processes of a cgroup itself; nothing where the list cannot be read, names nobody or is longer than the bound.
pub(super) fn processes(buffer: &mut Vec<u8>, layout: &Layout, path: &str, most: usize) -> Option<Vec<u32>> {
    list(buffer, layout, path, ["cgroup.procs", "cgroup.procs"], most)
}

/// The tasks of a cgroup itself; nothing as with [`processes`].
pub(super) fn tasks(buffer: &mut Vec<u8>, layout: &Layout, path: &str, most: usize) -> Option<Vec<u32>> {
    list(buffer, layout, path, ["tasks", "cgroup.threads"], most)
}

fn list(buffer: &mut Vec<u8>, layout: &Layout, path: &str, files: [&str; 2], most: usize) -> Option<Vec<u32>> {
    if layout.hides_processes {
        return None;
    }
    let [v1, v2] = files;
    let of_v1 = [Controller::Cpu, Controller::Cpuacct, Controller::Pids].into_iter().find_map(|c| layout.v1(c));
    let (at, file) = match of_v1 {
        Some(at) => (at, v1),
        None => (layout.v2()?, v2),
    };
    let dir = &layout.hierarchies.get(at)?.dir;
    let length = read_in(dir, format!("{}/{file}", relative(path)), buffer, Records::Short)?;
    let ids: Vec<u32> = cgroup::pids(buffer.get(..length)?).take(most + 1).collect();
    (ids.len() <= most).then_some(ids)
}

/// How many entries there are, and how many of them are sockets, if that may be seen.
fn open_files(folder: &Path, budget: &mut Budget<'_>) -> Result<(u64, Option<u64>), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(folder, flags, Mode::empty())?;
    let (mut files, mut sockets) = (0, Some(0));
    let mut target = Vec::new();
    for entry in Dir::read_from(&dir)? {
        let entry = entry?;
        if matches!(entry.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        budget.step();
        files += 1;
        match rustix::fs::readlinkat(&dir, entry.file_name(), std::mem::take(&mut target)) {
            Ok(link) => {
                let is_socket = link.as_bytes().starts_with(b"socket:");
                sockets = sockets.map(|sockets| sockets + u64::from(is_socket));
                target = link.into_bytes();
            }
            // One that was closed meanwhile still counts as seen.
            Err(Errno::NOENT | Errno::SRCH) => {}
            Err(_) => sockets = None,
        }
    }
    Ok((files, sockets))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Case {
        folder: tempfile::TempDir,
        walker: TaskWalker,
    }

    impl Case {
        fn new(compat: Compat) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let root = Root { procfs: folder.path().join("proc"), ..Root::default() };
            let case = Self { walker: TaskWalker::new(&root, Arc::default(), Sets::all(), compat), folder };
            case.write("cgroup/cgroup.controllers", "cpu");
            for path in ["a", "a/b"] {
                case.tasks(path, &[], &[]);
            }
            let layout = Layout::detect(&case.folder.path().join("cgroup"));
            let wanted = ["/a", "/a/b"].map(|path| Wanted { path: path.into(), incarnation: 1 });
            case.walker.board.want(Arc::new(layout), wanted.to_vec());
            case
        }

        fn write(&self, path: &str, content: &str) {
            let path = self.folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }

        fn tasks(&self, path: &str, processes: &[u32], tasks: &[(u32, u64)]) {
            let lines = |ids: Vec<u32>| ids.iter().map(|id| format!("{id}\n")).collect::<String>();
            self.write(&format!("cgroup/{path}/cgroup.procs"), &lines(processes.to_vec()));
            self.write(&format!("cgroup/{path}/cgroup.threads"), &lines(tasks.iter().map(|(id, _)| *id).collect()));
            for (id, nanos) in tasks {
                self.write(&format!("proc/{id}/schedstat"), &format!("{nanos} 1 2\n"));
            }
        }

        fn open(&self, process: u32, targets: &[&str]) {
            for (number, target) in targets.iter().enumerate() {
                let link = self.folder.path().join(format!("proc/{process}/fd/{number}"));
                fs::create_dir_all(link.parent().unwrap()).unwrap();
                std::os::unix::fs::symlink(target, link).unwrap();
            }
        }

        fn look(&mut self, path: &str) -> Found {
            self.walker.look();
            self.walker.board.with_found(|found| found.get(path).copied()).unwrap()
        }

        fn running(&mut self) -> Option<u64> {
            self.look("/a").scheduled.map(|scheduled| scheduled.running_ns)
        }
    }

    #[test]
    fn the_time_of_tasks_that_ended_is_kept() {
        let mut case = Case::new(Compat::default());
        case.tasks("a", &[10], &[(10, 100), (11, 50)]);
        case.tasks("a/b", &[20], &[(20, 7)]);
        assert_eq!(case.running(), Some(157));
        case.tasks("a", &[10], &[(10, 110)]);
        assert_eq!(case.running(), Some(167), "what 11 had stays");
        case.tasks("a", &[10], &[(10, 110), (11, 3)]);
        assert_eq!(case.running(), Some(170), "a new 11 comes to it");
        case.tasks("a", &[10], &[(10, 1), (11, 3)]);
        assert_eq!(case.running(), Some(171), "a number that was given again");
        let (layout, _) = case.walker.board.wanted();
        case.walker.board.want(layout, vec![Wanted { path: "/a".into(), incarnation: 2 }]);
        assert_eq!(case.running(), Some(4), "a cgroup made again begins anew");
    }

    #[test]
    fn in_cadvisors_manner_only_the_first_task_of_a_process_counts() {
        let mut case = Case::new(Compat::cadvisor());
        case.tasks("a", &[10], &[(10, 100), (11, 50)]);
        assert_eq!(case.running(), Some(100));
    }

    #[test]
    fn open_files_and_sockets() {
        let mut case = Case::new(Compat::default());
        case.tasks("a", &[10, 11], &[]);
        case.tasks("a/b", &[20, 404], &[]);
        case.open(10, &["/dev/null", "socket:[1]", "anon_inode:[eventpoll]"]);
        case.open(11, &["socket:[1]", "/socket:x"]);
        case.open(20, &["socket:[2]"]);
        let open = |found: Found| (found.files, found.sockets);
        assert_eq!(open(case.look("/a")), (Some(6), Some(3)));
        assert_eq!(open(case.look("/a/b")), (Some(1), Some(1)), "one that has ended costs nothing");
        // As a link that may not be read: neither can be.
        case.write("proc/20/fd/9", "");
        assert_eq!(open(case.look("/a/b")), (Some(2), None), "no figure where there may be more sockets");
        assert_eq!(open(case.look("/a")), (Some(7), None), "nor above it");
        fs::remove_dir_all(case.folder.path().join("proc/20/fd")).unwrap();
        case.write("proc/20/fd", "");
        assert_eq!(open(case.look("/a")), (None, None));
        let mut own = Case::new(Compat::default().with(Quirk::OwnProcesses));
        own.tasks("a", &[10], &[]);
        own.tasks("a/b", &[20], &[]);
        own.open(10, &["/dev/null"]);
        own.open(20, &["/dev/null"]);
        assert_eq!(own.look("/a").files, Some(1));
    }

    #[test]
    fn a_list_that_is_too_long_or_cannot_be_read_has_no_figure() {
        let mut case = Case::new(Compat::default());
        let many: Vec<u32> = (1..=MOST as u32 + 1).collect();
        case.tasks("a", &many, &[]);
        assert_eq!(case.look("/a").files, None);
        fs::remove_file(case.folder.path().join("cgroup/a/b/cgroup.threads")).unwrap();
        assert_eq!(case.look("/a/b").scheduled, None);

        let (_, wanted) = case.walker.board.wanted();
        case.tasks("a", &[], &[]);
        assert_eq!(case.look("/a"), Found { files: Some(0), sockets: Some(0), scheduled: Some(Scheduled::default()) });
        let mut layout = Layout::detect(&case.folder.path().join("cgroup"));
        layout.hides_processes = true;
        case.walker.board.want(Arc::new(layout), wanted.to_vec());
        assert_eq!(case.look("/a"), Found::default(), "a list that names nobody is not an empty one");
    }
}
