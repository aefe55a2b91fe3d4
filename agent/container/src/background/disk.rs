//! Disk use: file systems of the machine, and the writable layers of containers.
//!
//! A layer is measured by walking it, which may take long; so it is done on this thread, for one container after the
//! other, at most a twentieth of one CPU, and a scrape shows the last result. A file system that hangs stops this
//! thread and nothing else; what it found before is shown for half an hour, and then nothing.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use agent_procfs::{Root, mountinfo};
use parking_lot::Mutex;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

use super::{Budget, Signal};

/// How often file systems are asked, and the least time between two walks of one layer.
const PAUSE: Duration = Duration::from_secs(15);
const WALK_EVERY: Duration = Duration::from_secs(60);
/// Results older than this are not shown: nobody knows whether they are still true. Long enough for a turn over many
/// large layers.
const STALE_AFTER: Duration = Duration::from_secs(30 * 60);
/// A walk is paused so that it takes this share of one CPU.
const BUDGET: f64 = 0.05;
/// Files with several names that are remembered, so that each is counted once.
const MOST_LINKS: usize = 1 << 20;

/// A container whose writable layer is wanted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) path: Arc<str>,
    /// As the engine says.
    pub(crate) upper_dir: Option<PathBuf>,
    /// A process, to look for the layer among its mounts where the engine does not say.
    pub(crate) pid: Option<u32>,
}

/// A file system, bytes and inodes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FileSystem {
    pub(crate) device: Arc<str>,
    pub(crate) used: u64,
    pub(crate) size: u64,
    /// Nothing where inodes are not counted, as on btrfs.
    pub(crate) inodes: Option<(u64, u64)>,
    /// Of a layer: files and folders in it.
    pub(crate) files: Option<u64>,
}

/// What scrapes want and what the thread found.
#[derive(Debug, Default)]
pub(crate) struct DiskBoard {
    wanted: Mutex<Arc<[Wanted]>>,
    found: Mutex<Found>,
    pub(crate) signal: Signal,
    /// Nanoseconds of CPU time that the walks took.
    pub(crate) cost: AtomicU64,
}

/// Results so far.
#[derive(Debug, Default)]
pub(crate) struct Found {
    machine: Option<(Instant, Vec<FileSystem>)>,
    /// By cgroup path.
    layers: HashMap<Arc<str>, (Instant, FileSystem)>,
}

impl Found {
    /// The machine's file systems; none where that is too old.
    pub(crate) fn machine(&self, now: Instant) -> &[FileSystem] {
        match &self.machine {
            Some((found, all)) if is_fresh(*found, now) => all,
            _ => &[],
        }
    }

    /// The writable layer of a container, by its cgroup's path: `used` is the layer's, the rest that of the file
    /// system under it. Nothing where that is too old.
    pub(crate) fn layer(&self, path: &str, now: Instant) -> Option<&FileSystem> {
        self.layers.get(path).filter(|(found, _)| is_fresh(*found, now)).map(|(_, layer)| layer)
    }
}

fn is_fresh(found: Instant, now: Instant) -> bool {
    now.saturating_duration_since(found) <= STALE_AFTER
}

impl DiskBoard {
    pub(crate) fn want(&self, wanted: Vec<Wanted>) {
        *self.wanted.lock() = wanted.into();
    }

    pub(crate) fn with_found<T>(&self, read: impl FnOnce(&Found) -> T) -> T {
        read(&self.found.lock())
    }
}

/// The thread's own state.
pub(crate) struct Walker {
    root: Root,
    board: Arc<DiskBoard>,
    walked: HashMap<Arc<str>, Instant>,
}

impl Walker {
    pub(crate) fn new(root: &Root, board: Arc<DiskBoard>) -> Self {
        Self { root: root.clone(), board, walked: HashMap::new() }
    }

    /// Measures again and again until the board's signal stops it.
    pub(crate) fn run(mut self) {
        while self.board.signal.wait(PAUSE) {
            self.measure();
        }
    }

    /// One turn: all file systems, and the layers that are due.
    pub(crate) fn measure(&mut self) {
        let mut text = Vec::new();
        let tables = ["1/mountinfo", "self/mountinfo"];
        let read = tables.iter().any(|table| self.root.read_into(&self.root.proc(table), &mut text).is_ok());
        let mounts = if read { mountinfo::parse(&text).value } else { Vec::new() };
        let machine = machine(&self.root, &mounts);
        self.board.found.lock().machine = Some((Instant::now(), machine));
        let wanted = self.board.wanted.lock().clone();
        self.walked.retain(|path, _| wanted.iter().any(|want| want.path == *path));
        self.board.found.lock().layers.retain(|path, _| wanted.iter().any(|want| want.path == *path));
        for want in wanted.iter() {
            if self.walked.get(&want.path).is_some_and(|walked| walked.elapsed() < WALK_EVERY) {
                continue;
            }
            if self.board.signal.is_stopped() {
                return;
            }
            let Some(layer) = self.layer_of(want) else { continue };
            let Some(device) = device_of(&layer, &mounts) else { continue };
            let Some(place) = reachable(&self.root, &layer) else { continue };
            let used = disk_use(&place, &self.board);
            self.walked.insert(want.path.clone(), Instant::now());
            let Some((used, mut file_system)) = used.zip(ask(&place, device)) else { continue };
            file_system.used = used.bytes;
            file_system.files = Some(used.files);
            self.board.found.lock().layers.insert(want.path.clone(), (Instant::now(), file_system));
        }
    }

    /// Engines with containerd's image store do not name the layer; the container's own root mount does.
    fn layer_of(&self, want: &Wanted) -> Option<PathBuf> {
        if let Some(upper_dir) = &want.upper_dir {
            return Some(upper_dir.clone());
        }
        let mut text = Vec::new();
        self.root.read_into(&self.root.proc(format!("{}/mountinfo", want.pid?)), &mut text).ok()?;
        let mounts = mountinfo::parse(&text).value;
        // The last mount on `/` lies on top.
        let top = mounts.iter().rev().find(|mount| &*mount.mount_point == b"/" && mount.fs_type == b"overlay")?;
        let upper = top.super_options.split(|b| *b == b',').find_map(|option| option.strip_prefix(b"upperdir="))?;
        let upper = mountinfo::unescape(upper);
        Some(PathBuf::from(OsStr::from_bytes(&upper)))
    }
}

/// The machine's file systems on block devices, one for each device: the mount with the shortest path. Images that are
/// always full (squashfs, iso9660) are left out, and so are file systems of other machines.
fn machine(root: &Root, mounts: &[mountinfo::Mount<'_>]) -> Vec<FileSystem> {
    let mut by_device: HashMap<&[u8], &[u8]> = HashMap::new();
    for mount in mounts {
        let on_a_device = mount.source.starts_with(b"/dev/") || mount.fs_type == b"zfs";
        if !on_a_device || matches!(mount.fs_type, b"squashfs" | b"iso9660" | b"udf" | b"erofs") {
            continue;
        }
        let point = by_device.entry(mount.source).or_insert(&mount.mount_point);
        if mount.mount_point.len() < point.len() {
            *point = &mount.mount_point;
        }
    }
    let mut all: Vec<_> =
        by_device.into_iter().filter_map(|(device, point)| ask(&below(&root.rootfs, point), name_of(device))).collect();
    all.sort_by(|a, b| a.device.cmp(&b.device));
    all
}

fn name_of(device: &[u8]) -> Arc<str> {
    String::from_utf8_lossy(&mountinfo::unescape(device)).into()
}

/// The device that a path lies on: of the mount with the longest path that begins it.
fn device_of(path: &Path, mounts: &[mountinfo::Mount<'_>]) -> Option<Arc<str>> {
    let mount = mounts
        .iter()
        .filter(|mount| path.starts_with(OsStr::from_bytes(&mount.mount_point)))
        .max_by_key(|mount| mount.mount_point.len())?;
    Some(name_of(mount.source))
}

fn ask(path: &Path, device: Arc<str>) -> Option<FileSystem> {
    let fs = rustix::fs::statvfs(path).ok()?;
    let inodes = Some((fs.f_files, fs.f_ffree)).filter(|(total, _)| *total > 0);
    let size = fs.f_blocks.saturating_mul(fs.f_frsize);
    Some(FileSystem {
        device,
        used: fs.f_blocks.saturating_sub(fs.f_bfree).saturating_mul(fs.f_frsize),
        size,
        inodes,
        files: None,
    })
}

/// The path below the host's root, or as it is where this process sees it at the same place.
fn reachable(root: &Root, path: &Path) -> Option<PathBuf> {
    [below(&root.rootfs, path.as_os_str().as_bytes()), path.to_owned()].into_iter().find(|place| place.is_dir())
}

fn below(root: &Path, path: &[u8]) -> PathBuf {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    if path.is_empty() { root.to_owned() } else { root.join(OsStr::from_bytes(path)) }
}

/// What a folder takes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Use {
    bytes: u64,
    files: u64,
}

/// What is on disk of everything below a folder on the same file system; a file with several names counts once. `None`
/// when the folder is gone or the walk was stopped.
fn disk_use(folder: &Path, board: &DiskBoard) -> Option<Use> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let top = rustix::fs::open(folder, flags, Mode::empty()).ok()?;
    let device = rustix::fs::fstat(&top).ok()?.st_dev;
    let mut links: HashSet<u64> = HashSet::new();
    let (mut blocks, mut files) = (0_u64, 0_u64);
    let mut to_visit: Vec<PathBuf> = vec![PathBuf::from(".")];
    let mut budget = Budget::new(&board.signal, &board.cost, BUDGET);
    while let Some(path) = to_visit.pop() {
        let Some((dir, stat)) = open(&top, &path) else { continue };
        if stat.st_dev != device {
            continue;
        }
        blocks += u64::try_from(stat.st_blocks).unwrap_or(0);
        files += 1;
        let Ok(entries) = Dir::read_from(&dir) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if !budget.step() {
                return None;
            }
            let Ok(stat) = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                to_visit.push(path.join(OsStr::from_bytes(name.to_bytes())));
            } else if stat.st_nlink == 1 || (links.len() < MOST_LINKS && links.insert(stat.st_ino)) {
                blocks += u64::try_from(stat.st_blocks).unwrap_or(0);
                files += 1;
            }
        }
    }
    budget.account();
    // The unit of st_blocks, whatever the file system's own block size is.
    Some(Use { bytes: blocks * 512, files })
}

fn open(top: &OwnedFd, path: &Path) -> Option<(OwnedFd, rustix::fs::Stat)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOATIME;
    let dir = rustix::fs::openat(top, path, flags, Mode::empty())
        .or_else(|_| rustix::fs::openat(top, path, flags - OFlags::NOATIME, Mode::empty()))
        .ok()?;
    let stat = rustix::fs::fstat(&dir).ok()?;
    Some((dir, stat))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_layer_is_measured_with_each_file_once() {
        let folder = tempfile::tempdir().unwrap();
        let board = DiskBoard::default();
        let measure = || disk_use(folder.path(), &board).unwrap();
        let empty = measure().bytes;
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        let folders = measure().bytes;
        fs::write(folder.path().join("a/b/file"), vec![7; 100_000]).unwrap();
        let with_file = measure().bytes;
        assert_eq!(measure().files, 4);
        assert!(with_file >= folders + 100_000, "{empty} {folders} {with_file}");
        fs::hard_link(folder.path().join("a/b/file"), folder.path().join("a/second")).unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("a/root")).unwrap();
        let with_links = measure().bytes;
        assert_eq!(measure().files, 5);
        assert!(with_links < with_file + 100_000, "{with_file} {with_links}");
    }

    #[test]
    fn a_folder_that_is_gone_has_no_figure() {
        assert_eq!(disk_use(Path::new("/nonexistent"), &DiskBoard::default()), None);
    }

    #[test]
    fn what_is_too_old_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("1")).unwrap();
        fs::write(folder.path().join("1/mountinfo"), "27 1 254:0 / / rw - ext4 /dev/vda rw\n").unwrap();
        let board = Arc::new(DiskBoard::default());
        let root = Root { procfs: folder.path().to_owned(), ..Root::default() };
        board.want(vec![Wanted { path: "/x".into(), upper_dir: Some(folder.path().to_owned()), pid: None }]);
        Walker::new(&root, board.clone()).measure();
        let shown = |after| {
            let now = Instant::now() + after;
            board.with_found(|found| (found.machine(now).len(), found.layer("/x", now).is_some()))
        };
        assert_eq!(shown(Duration::ZERO), (1, true));
        assert_eq!(shown(STALE_AFTER - WALK_EVERY), (1, true));
        assert_eq!(shown(STALE_AFTER + Duration::from_secs(1)), (0, false));
    }

    const MOUNTS: &[u8] = b"27 1 254:0 / / rw - ext4 /dev/vda rw\n\
        42 27 254:0 /d /var/lib/docker rw - ext4 /dev/vda rw\n\
        43 27 8:1 / /var/lib/docker/volumes rw - xfs /dev/sda1 rw\n\
        44 27 7:0 / /snap rw - squashfs /dev/loop0 ro\n\
        45 27 0:5 / /run rw - tmpfs tmpfs rw\n\
        46 27 0:9 / /srv rw - nfs4 server:/export rw\n";

    #[test]
    fn the_machines_file_systems() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("var/lib/docker/volumes")).unwrap();
        let root = Root { rootfs: folder.path().to_owned(), ..Root::default() };
        let all = machine(&root, &mountinfo::parse(MOUNTS).value);
        assert_eq!(all.iter().map(|fs| &*fs.device).collect::<Vec<_>>(), ["/dev/sda1", "/dev/vda"]);
        assert!(all.iter().all(|fs| fs.size > 0 && fs.used <= fs.size));
    }

    #[track_caller]
    fn check_device(path: &str, want: &str) {
        let mounts = mountinfo::parse(MOUNTS).value;
        assert_eq!(device_of(Path::new(path), &mounts).as_deref(), Some(want));
    }

    #[test]
    fn devices() {
        check_device("/var/lib/docker/overlay2/x/diff", "/dev/vda");
        check_device("/var/lib/docker/volumes/x", "/dev/sda1");
        check_device("/var/lib/docker/volumes-of-another", "/dev/vda");
    }

    #[test]
    fn the_layer_is_found_among_the_mounts_where_the_engine_does_not_say() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("7")).unwrap();
        let mounts = "72 48 0:39 / / rw master:2 - overlay overlay rw,lowerdir=/l/A,upperdir=/var/x/fs,workdir=/w\n";
        fs::write(folder.path().join("7/mountinfo"), mounts).unwrap();
        let root = Root { procfs: folder.path().to_owned(), ..Root::default() };
        let walker = Walker::new(&root, Arc::new(DiskBoard::default()));
        let want =
            |upper_dir: Option<&str>, pid| Wanted { path: "/x".into(), upper_dir: upper_dir.map(Into::into), pid };
        assert_eq!(walker.layer_of(&want(None, Some(7))), Some("/var/x/fs".into()));
        assert_eq!(walker.layer_of(&want(Some("/said"), Some(7))), Some("/said".into()));
        assert_eq!(walker.layer_of(&want(None, Some(8))), None);
        assert_eq!(walker.layer_of(&want(None, None)), None);
    }
}
