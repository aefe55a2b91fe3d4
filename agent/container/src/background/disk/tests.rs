//! Places of all kinds, measured as the thread does it, beside what `du` says.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::atomic::Ordering;

use agent_procfs::Root;

use super::turns::Limits;
use super::*;

/// A machine with `/` and whatever else is said.
struct Case {
    folder: tempfile::TempDir,
    board: Arc<DiskBoard>,
    limits: Limits,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { share: 1.0, ..Limits::default() };
        let case = Self { folder, board: Arc::default(), limits };
        case.mounts("");
        case
    }

    fn mounts(&self, others: &str) {
        fs::create_dir_all(self.path("proc/1")).unwrap();
        let mounts = format!("27 1 254:0 / / rw - ext4 /dev/vda rw\n{others}");
        fs::write(self.path("proc/1/mountinfo"), mounts).unwrap();
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Measures these places.
    fn measure(&self, places: &[&str]) {
        let volumes = places.iter().map(|place| self.path(place).into()).collect();
        self.board.want(vec![Wanted { volumes, ..Wanted::default() }]);
        let root = Root { procfs: self.path("proc"), ..Root::default() };
        Walker::within(&root, self.board.clone(), self.limits).measure();
    }

    fn found(&self, place: &str) -> Option<Measured> {
        self.board.with_found(|found| found.place(&self.path(place), Instant::now()).cloned())
    }

    fn used(&self, place: &str) -> Option<Use> {
        self.found(place).map(|found| found.used)
    }

    /// By the tool for that.
    fn du(&self, place: &str) -> Use {
        let [bytes, inodes] = [["-sx", "-B1"], ["-sx", "--inodes"]].map(|options| {
            let output = Command::new("du").args(options).arg(self.path(place)).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            text.split_whitespace().next().unwrap().parse().unwrap()
        });
        Use { bytes, inodes }
    }

    fn failures(&self) -> Vec<(&'static str, u64)> {
        self.board.failures.happened()
    }
}

#[test]
fn a_layer_is_measured_as_du_does_it() {
    let case = Case::new();
    fs::create_dir_all(case.path("layer/a/b")).unwrap();
    fs::write(case.path("layer/a/b/file"), vec![7; 100_000]).unwrap();
    fs::hard_link(case.path("layer/a/b/file"), case.path("layer/a/second")).unwrap();
    symlink("/", case.path("layer/a/root")).unwrap();
    fs::File::create(case.path("layer/sparse")).unwrap().set_len(1 << 30).unwrap();
    fs::write(case.path("layer/deleted"), vec![7; 300_000]).unwrap();
    case.measure(&["layer"]);
    let before = case.used("layer").unwrap();
    assert_eq!(before, case.du("layer"));
    assert_eq!(before.inodes, 7);
    assert!((400_000..900_000).contains(&before.bytes), "{before:?}");
    fs::remove_file(case.path("layer/deleted")).unwrap();
    case.measure(&["layer"]);
    let after = case.used("layer").unwrap();
    assert_eq!(after, case.du("layer"));
    assert!(after.bytes + 300_000 <= before.bytes, "{before:?} {after:?}");
}

#[test]
fn places_that_are_no_folder_or_not_there() {
    let case = Case::new();
    fs::write(case.path("file"), vec![7; 9000]).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(case.path("socket")).unwrap();
    case.measure(&["file", "socket", "gone"]);
    assert_eq!(case.used("file"), Some(case.du("file")));
    assert_eq!((case.used("socket"), case.used("gone")), (None, None));
    assert_eq!(case.failures(), [("gone", 1)]);
    assert_eq!(case.board.measured.happened(), [("walk", 1)]);
}

#[test]
fn nesting_beyond_measure_has_no_figure() {
    let case = Case::new();
    fs::create_dir_all(case.path(&format!("deep/{}", "x/".repeat(100)))).unwrap();
    fs::create_dir_all(case.path(&format!("well/{}", "x/".repeat(50)))).unwrap();
    case.measure(&["deep", "well"]);
    assert_eq!((case.used("deep"), case.used("well")), (None, Some(case.du("well"))));
    assert_eq!(case.failures(), [("too_deep", 1)]);
}

#[test]
fn a_file_system_of_its_own_is_not_walked_and_one_that_is_not_seen_here_has_no_figure() {
    let case = Case::new();
    let (own, share) = (case.path("own"), case.path("share"));
    fs::create_dir_all(own.join("below")).unwrap();
    fs::create_dir(&share).unwrap();
    case.mounts(&format!(
        "28 27 254:0 / {} rw - ext4 /dev/vdb rw\n29 27 0:4095 / {} rw - nfs4 server:/x rw\n30 27 0:4 / {} rw - proc x rw\n",
        own.display(),
        share.display(),
        case.path("proc").display()
    ));
    case.measure(&["own", "share", "proc"]);
    assert_eq!(case.board.measured.happened(), [("filesystem", 1)]);
    assert!(case.used("own").unwrap().bytes > 1 << 20, "all that is on the disk");
    assert_eq!(case.failures(), [("hidden", 1)]);
    assert_eq!((case.used("share"), case.used("proc")), (None, None));
    case.board.with_found(|found| {
        let devices: Vec<_> = found.machine(Instant::now()).map(|fs| fs.device.to_string()).collect();
        assert_eq!(devices, ["/dev/vda", "/dev/vdb"]);
        let place = found.place(&own, Instant::now()).unwrap();
        let (mount, file_system) = found.under(place, Instant::now()).unwrap();
        assert_eq!((mount, &*file_system.device), (&*own, "/dev/vdb"));
    });
}

#[test]
fn a_large_place_keeps_its_share_and_lets_the_others_have_their_turn() {
    const SHARE: f64 = 0.1;
    let mut case = Case::new();
    for folder in 0..40 {
        let folder = case.path(&format!("a-large/{folder}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("0"), "x").unwrap();
        (1..500).for_each(|at| fs::hard_link(folder.join("0"), folder.join(at.to_string())).unwrap());
    }
    for small in ["b", "c"] {
        fs::create_dir(case.path(small)).unwrap();
    }
    case.limits.share = SHARE;
    case.limits.stretch = Duration::from_millis(20);
    let begun = Instant::now();
    case.measure(&["a-large", "b", "c"]);
    let took = begun.elapsed();
    let large = case.found("a-large").unwrap();
    assert_eq!(large.used, case.du("a-large"), "stretch by stretch the same");
    assert!(case.found("b").unwrap().found < large.found && case.found("c").unwrap().found < large.found);
    let cost = Duration::from_nanos(case.board.cost.load(Ordering::Relaxed));
    assert!(cost > Duration::ZERO && cost <= took.mul_f64(SHARE * 1.5), "{cost:?} of {took:?}");
}

#[test]
fn what_is_too_old_is_not_shown() {
    let case = Case::new();
    fs::create_dir(case.path("layer")).unwrap();
    fs::write(case.path("log"), "x").unwrap();
    let layer = Layer { upper_dir: Some(case.path("layer")), pid: None };
    let log = Some(case.path("log").into());
    case.board.want(vec![Wanted { path: "/x".into(), layer: Some(layer), volumes: vec![], log }]);
    let root = Root { procfs: case.path("proc"), ..Root::default() };
    Walker::new(&root, case.board.clone()).measure();
    let shown = |after| {
        let now = Instant::now() + after;
        let log = case.path("log");
        case.board.with_found(|found| {
            (found.machine(now).count(), found.layer("/x", now).is_some(), found.log(&log, now).is_some())
        })
    };
    assert_eq!(shown(Duration::ZERO), (1, true, true));
    assert_eq!(shown(STALE_AFTER / 2), (1, true, true));
    assert_eq!(shown(STALE_AFTER + Duration::from_secs(1)), (0, false, false));
    case.board.want(vec![]);
    Walker::new(&root, case.board.clone()).measure();
    assert_eq!(shown(Duration::ZERO), (1, false, false));
}

#[test]
fn a_log_and_those_it_was_before() {
    let case = Case::new();
    let file = |name: &str, length: usize| {
        fs::write(case.path(name), vec![7; length]).unwrap();
        case.du(name).bytes
    };
    let parts = [file("x.log", 50_000), file("x.log.1", 9000), file("x.log.2.gz", 5000)];
    file("x.log-of-another", 70_000);
    file("another", 70_000);
    symlink(case.path("another"), case.path("x.log.3")).unwrap();
    let logs: Vec<Arc<Path>> = ["x.log", "gone.log"].map(|name| Arc::from(case.path(name))).to_vec();
    let want = |log: &Arc<Path>| Wanted { log: Some(log.clone()), path: "/x".into(), ..Wanted::default() };
    case.board.want(logs.iter().map(want).collect());
    let root = Root { procfs: case.path("proc"), ..Root::default() };
    Walker::new(&root, case.board.clone()).measure();
    let sizes =
        case.board.with_found(|found| logs.iter().map(|log| found.log(log, Instant::now())).collect::<Vec<_>>());
    assert_eq!(sizes, [Some(parts.iter().sum()), None]);
}

/// A file system behind FUSE that answers nothing until this is dropped.
struct Silent {
    point: PathBuf,
    _connection: fs::File,
}

impl Silent {
    fn mount(point: PathBuf) -> Self {
        use std::os::fd::AsRawFd;

        fs::create_dir(&point).unwrap();
        let connection = fs::File::options().read(true).write(true).open("/dev/fuse").unwrap();
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", connection.as_raw_fd());
        let options = std::ffi::CString::new(options).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("silent", &point, "fuse", flags, Some(options.as_c_str())).unwrap();
        Self { point, _connection: connection }
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.point, rustix::mount::UnmountFlags::DETACH);
    }
}

#[test]
fn a_file_system_that_hangs_costs_what_lies_on_it() {
    let mut case = Case::new();
    let silent = Silent::mount(case.path("a-silent"));
    fs::create_dir(case.path("b")).unwrap();
    case.mounts(&format!("28 27 0:4095 / {} rw - fuse.x x rw\n", silent.point.display()));
    case.limits.patience = Duration::from_secs(1);
    case.measure(&["a-silent", "a-silent/below", "b"]);
    assert_eq!(case.used("b"), Some(case.du("b")));
    assert_eq!((case.used("a-silent"), case.used("a-silent/below")), (None, None));
    assert_eq!(case.failures(), [("stuck", 1)], "once for all that lies on it");
    assert_eq!(case.board.stuck.load(Ordering::Relaxed), 1);
}
