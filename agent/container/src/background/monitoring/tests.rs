//! Monitoring groups over plain files: what the kernel does when they are written is done by hand.

use super::*;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// What the kernel does when a folder is made or a task is written, over files.
#[derive(Default)]
struct Files {
    refuses: Option<Errno>,
    writes: Vec<u32>,
}

impl Groups for Files {
    fn make(&mut self, group: &Path) -> io::Result<()> {
        if let Some(errno) = self.refuses {
            return Err(errno.into());
        }
        fs::create_dir(group)?;
        fs::create_dir_all(group.join("mon_data/mon_L3_00"))?;
        fs::write(group.join("tasks"), "")
    }

    fn remove(&mut self, group: &Path) -> io::Result<()> {
        fs::remove_dir_all(group)
    }

    fn add(&mut self, group: &Path, task: u32) -> io::Result<()> {
        let read = |path: PathBuf| fs::read_to_string(path).unwrap();
        let is_in = |list: &str| list.lines().any(|line| line == task.to_string());
        let control = group.parent().unwrap().parent().unwrap();
        if task == 404 {
            return Err(Errno::SRCH.into());
        }
        if !is_in(&read(control.join("tasks"))) {
            return Err(Errno::INVAL.into());
        }
        self.writes.push(task);
        fs::write(group.join("tasks"), format!("{}{task}\n", read(group.join("tasks"))))
    }
}

struct Case {
    folder: tempfile::TempDir,
    keeper: MonitoringKeeper<Files>,
}

impl Case {
    /// Two containers with tasks in the machine's own control group, one of them with a cgroup below.
    fn new(interval: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Root { sysfs: folder.path().to_owned(), ..Root::default() };
        let keeper = MonitoringKeeper::new(&root, Arc::default(), Files::default(), Duration::from_secs(interval));
        let case = Self { folder, keeper };
        case.write("fs/resctrl/info/L3_MON/num_rmids", "8\n");
        case.write("fs/resctrl/tasks", "1\n10\n11\n12\n20\n");
        fs::create_dir_all(case.path("fs/resctrl/mon_groups")).unwrap();
        case.write("cgroup/cgroup.controllers", "");
        case.write("cgroup/a/cgroup.threads", "10\n11\n404\n");
        case.write("cgroup/a/below/cgroup.threads", "12\n");
        case.write("cgroup/b/cgroup.threads", "20\n");
        case
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn look(&mut self, containers: &[&str]) {
        let layout = Arc::new(Layout::detect(&self.path("cgroup")));
        let wanted = containers.iter().map(|id| {
            let paths = if *id == A { vec!["/a".into(), "/a/below".into()] } else { vec!["/b".into()] };
            Wanted { id: (*id).into(), paths }
        });
        self.keeper.board.want(layout, wanted.collect());
        self.keeper.look();
    }

    /// The groups that there are below a control group, with their tasks.
    fn groups(&self, control: &str) -> Vec<(String, Vec<u32>)> {
        let groups = folders(&self.path("fs/resctrl").join(control).join("mon_groups"));
        let tasks = |group: &PathBuf| cgroup::pids(&fs::read(group.join("tasks")).unwrap_or_default()).collect();
        groups.iter().map(|g| (g.file_name().unwrap().to_str().unwrap().to_owned(), tasks(g))).collect()
    }

    fn refusals(&self) -> Vec<(&'static str, u64)> {
        self.keeper.board.refused.happened()
    }
}

fn own(id: &str) -> String {
    format!("atalaia-{id}")
}

#[test]
fn groups_come_and_go_with_their_containers() {
    let mut case = Case::new(0);
    case.look(&[A, B]);
    assert_eq!(case.groups(""), [(own(A), vec![10, 11, 12]), (own(B), vec![20])]);
    assert_eq!(case.keeper.board.groups.load(Ordering::Relaxed), 2);
    case.look(&[B]);
    assert_eq!(case.groups(""), [(own(B), vec![20])]);
    case.keeper.remove_all();
    assert_eq!(case.groups(""), []);
    assert_eq!(case.refusals(), []);
}

#[test]
fn what_an_earlier_agent_left_is_taken_over_or_removed() {
    let mut case = Case::new(0);
    case.write(&format!("fs/resctrl/mon_groups/{}/tasks", own(A)), "10\n11\n12\n");
    case.write(&format!("fs/resctrl/mon_groups/{}/tasks", own(&"c".repeat(64))), "");
    case.write("fs/resctrl/mon_groups/atalaia-of-somebody/tasks", "");
    case.look(&[A]);
    let names: Vec<_> = case.groups("").into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [own(A), "atalaia-of-somebody".to_owned()]);
    assert!(case.keeper.groups.writes.is_empty());
    case.keeper.remove_all();
    assert_eq!(case.groups("").len(), 1, "a name that is none of ours stays");
}

#[test]
fn groups_of_others_are_respected() {
    let mut case = Case::new(5);
    case.write("fs/resctrl/mon_groups/mine/tasks", "11\n");
    case.write(&format!("fs/resctrl/mon_groups/{B}/tasks"), "");
    case.look(&[A, B]);
    assert_eq!(case.groups(""), [(B.to_owned(), vec![]), ("mine".to_owned(), vec![11])]);
    assert_eq!((case.keeper.groups.writes.clone(), case.refusals()), (vec![], vec![]));
    fs::remove_dir_all(case.path("fs/resctrl/mon_groups/mine")).unwrap();
    case.look(&[A, B]);
    assert_eq!(case.groups("").len(), 2, "its own once nobody else's");
}

#[test]
fn a_group_is_in_the_control_group_of_the_tasks() {
    let mut case = Case::new(5);
    case.write("fs/resctrl/gold/tasks", "20\n");
    fs::create_dir_all(case.path("fs/resctrl/gold/mon_groups")).unwrap();
    case.write("fs/resctrl/tasks", "1\n10\n11\n12\n");
    case.look(&[B]);
    assert_eq!((case.groups(""), case.groups("gold")), (vec![], vec![(own(B), vec![20])]));
    case.write("fs/resctrl/gold/tasks", "");
    case.write("fs/resctrl/tasks", "1\n10\n11\n12\n20\n");
    case.look(&[B]);
    assert_eq!((case.groups(""), case.groups("gold")), (vec![(own(B), vec![20])], vec![]), "it was moved");
}

#[test]
fn tasks_that_come_later_are_put_in_where_asked_for() {
    for (interval, want) in [(0, vec![20]), (5, vec![20, 1])] {
        let mut case = Case::new(interval);
        case.look(&[B]);
        case.write("cgroup/b/cgroup.threads", "20\n1\n");
        case.look(&[B]);
        assert_eq!(case.groups(""), [(own(B), want.clone())]);
        assert_eq!(case.keeper.groups.writes, want, "none is written twice");
    }
}

#[test]
fn numbers_to_count_under_are_bounded() {
    let mut case = Case::new(5);
    case.write("fs/resctrl/info/L3_MON/num_rmids", "2\n");
    case.look(&[A, B]);
    case.look(&[A, B]);
    assert_eq!((case.groups("").len(), case.refusals()), (1, vec![("limit", 1)]));
    case.look(&[B]);
    assert_eq!(case.groups(""), [(own(B), vec![20])], "there is a number now");
}

#[test]
fn refusals_are_counted_once_and_tried_again() {
    let mut case = Case::new(5);
    case.keeper.groups.refuses = Some(Errno::ROFS);
    case.look(&[A, B]);
    case.look(&[A, B]);
    assert_eq!((case.groups(""), case.refusals()), (vec![], vec![("rights", 2)]));
    case.keeper.groups.refuses = None;
    case.look(&[A, B]);
    assert_eq!(case.groups("").len(), 2);
}

#[test]
fn nothing_is_made_where_nothing_is_mounted() {
    let mut case = Case::new(5);
    fs::remove_dir_all(case.path("fs/resctrl/info")).unwrap();
    case.look(&[A]);
    case.look(&[A]);
    assert_eq!((case.groups(""), case.refusals()), (vec![], vec![("unavailable", 1)]));
}

#[test]
fn the_end_of_the_thread_removes_the_groups_and_is_waited_for() {
    let Case { folder, keeper } = Case::new(3600);
    let board = keeper.board.clone();
    let layout = Arc::new(Layout::detect(&folder.path().join("cgroup")));
    board.want(layout, vec![Wanted { id: B.into(), paths: vec!["/b".into()] }]);
    let thread = std::thread::spawn(move || keeper.run());
    board.signal.scraped(true);
    let group = folder.path().join("fs/resctrl/mon_groups").join(own(B));
    for attempt in 0.. {
        if board.groups.load(Ordering::Relaxed) == 1 {
            break;
        }
        assert!(attempt < 2000);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(group.is_dir());
    board.stop();
    thread.join().unwrap();
    assert!(!group.exists());
}
