//! Where the hierarchies are mounted and which controllers they have.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// More are not looked at. Linux has 13 controllers for version 1.
pub(crate) const MAX_HIERARCHIES: usize = 16;

/// What a controller counts or limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Controller {
    Cpu,
    Cpuacct,
    Memory,
    Blkio,
    Pids,
    Cpuset,
    Hugetlb,
}

const CONTROLLERS: &[(&str, Controller)] = &[
    ("cpu", Controller::Cpu),
    ("cpuacct", Controller::Cpuacct),
    ("memory", Controller::Memory),
    ("blkio", Controller::Blkio),
    ("pids", Controller::Pids),
    ("cpuset", Controller::Cpuset),
    ("hugetlb", Controller::Hugetlb),
];

/// Which version's files a controller has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

/// One mounted tree.
#[derive(Debug)]
pub(crate) struct Hierarchy {
    pub(crate) dir: OwnedFd,
    /// Where `dir` was found, and its device and inode, to see when mounts have changed.
    pub(crate) path: PathBuf,
    place: (u64, u64),
    /// Version 1 controllers as bits; none for version 2 and for those that only name groups.
    controllers: u16,
    pub(crate) unified: bool,
}

/// All mounted trees. Only those of version 2 and with a known controller of version 1.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    pub(crate) hierarchies: Vec<Hierarchy>,
    /// Whether the lists of processes and tasks name nobody; see [`super::ids_are_foreign`].
    pub(crate) hides_processes: bool,
    /// Version 1's hierarchy of `perf_event`, which has no files of interest, with its device and inode.
    perf_event: Option<(OwnedFd, u64, u64)>,
}

impl Layout {
    /// Looks below `root`, where the mounts are by convention (systemd's, and that of containers): version 2 right
    /// there, or a folder for each version 1 hierarchy, named by its controllers, and `unified` beside them.
    pub(crate) fn detect(root: &Path) -> Self {
        let mut layout = Self::default();
        if root.join("cgroup.controllers").exists() {
            layout.add(root, 0, true);
            return layout;
        }
        let Ok(entries) = fs::read_dir(root) else { return layout };
        let mut names: Vec<_> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        for name in names {
            let path = root.join(&name);
            let controllers = name
                .split(',')
                .filter_map(|part| CONTROLLERS.iter().find(|(known, _)| *known == part))
                .fold(0, |bits, (_, controller)| bits | 1 << *controller as u16);
            let unified = path.join("cgroup.controllers").exists();
            if name.split(',').any(|part| part == "perf_event") && path.join("cgroup.procs").exists() {
                layout.perf_event = open(&path);
            }
            if unified || (controllers != 0 && path.join("cgroup.procs").exists()) {
                layout.add(&path, controllers, unified);
            }
        }
        layout
    }

    fn add(&mut self, path: &Path, controllers: u16, unified: bool) {
        let Some((dir, device, inode)) = open(path) else { return };
        // `cpu` and `cpuacct` are links to `cpu,cpuacct` where both are mounted together.
        let place = (device, inode);
        if let Some(known) = self.hierarchies.iter_mut().find(|hierarchy| hierarchy.place == place) {
            known.controllers |= controllers;
            return;
        }
        if self.hierarchies.len() == MAX_HIERARCHIES {
            return;
        }
        self.hierarchies.push(Hierarchy { dir, path: path.to_owned(), place, controllers, unified });
    }

    /// Whether two looks found the same mounts.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let counting = |layout: &Self| layout.perf_event.as_ref().map(|(_, device, inode)| (*device, *inode));
        let found = |layout: &Self| -> Vec<_> {
            layout.hierarchies.iter().map(|hierarchy| (hierarchy.path.clone(), hierarchy.place)).collect()
        };
        found(self) == found(other) && counting(self) == counting(other)
    }

    /// The directory below which the cgroups are whose perf events the kernel counts: version 1's where it is mounted,
    /// otherwise version 2's.
    pub(crate) fn perf_event(&self) -> Option<BorrowedFd<'_>> {
        let of_v2 = || Some(&self.hierarchies.get(self.v2()?)?.dir);
        self.perf_event.as_ref().map(|(dir, ..)| dir).or_else(of_v2).map(AsFd::as_fd)
    }

    /// The tree of a version 1 controller.
    pub(crate) fn v1(&self, controller: Controller) -> Option<usize> {
        self.hierarchies.iter().position(|h| h.controllers & 1 << controller as u16 != 0)
    }

    /// The tree of version 2.
    pub(crate) fn v2(&self) -> Option<usize> {
        self.hierarchies.iter().position(|h| h.unified)
    }

    /// Which version has a controller's figures. A controller belongs to one of them at a time.
    pub(crate) fn version(&self, controller: Controller) -> Option<Version> {
        match (self.v1(controller), self.v2()) {
            (Some(_), _) => Some(Version::V1),
            (None, Some(_)) => Some(Version::V2),
            (None, None) => None,
        }
    }
}

fn open(path: &Path) -> Option<(OwnedFd, u64, u64)> {
    let meta = fs::metadata(path).ok()?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Some((rustix::fs::open(path, flags, Mode::empty()).ok()?, meta.dev(), meta.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(root: &Path, folders: &[&str]) {
        for folder in folders {
            fs::create_dir_all(root.join(folder)).unwrap();
            fs::write(root.join(folder).join("cgroup.procs"), "").unwrap();
        }
    }

    #[test]
    fn version_2() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cgroup.controllers"), "cpu memory\n").unwrap();
        make(root.path(), &["system.slice"]);
        let layout = Layout::detect(root.path());
        assert_eq!(layout.hierarchies.len(), 1);
        assert_eq!(layout.v2(), Some(0));
        assert_eq!(layout.version(Controller::Memory), Some(Version::V2));
    }

    #[test]
    fn version_1_with_joined_controllers() {
        let root = tempfile::tempdir().unwrap();
        make(root.path(), &["cpu,cpuacct", "memory", "net_cls,net_prio"]);
        std::os::unix::fs::symlink("cpu,cpuacct", root.path().join("cpu")).unwrap();
        std::os::unix::fs::symlink("cpu,cpuacct", root.path().join("cpuacct")).unwrap();
        let layout = Layout::detect(root.path());
        assert_eq!(layout.hierarchies.len(), 2, "one for both CPU controllers, one for memory, none of no use");
        assert_eq!(layout.v1(Controller::Cpu), layout.v1(Controller::Cpuacct));
        assert_ne!(layout.v1(Controller::Cpu), layout.v1(Controller::Memory));
        assert_eq!(layout.v1(Controller::Pids), None);
        assert_eq!(layout.version(Controller::Pids), None);
    }

    #[test]
    fn hybrid() {
        let root = tempfile::tempdir().unwrap();
        make(root.path(), &["memory", "unified"]);
        fs::write(root.path().join("unified/cgroup.controllers"), "").unwrap();
        let layout = Layout::detect(root.path());
        assert_eq!(layout.version(Controller::Memory), Some(Version::V1));
        assert_eq!(layout.version(Controller::Pids), Some(Version::V2));
        assert!(layout.v2().is_some());
        assert!(layout.is_same(&Layout::detect(root.path())));
        make(root.path(), &["pids"]);
        assert!(!layout.is_same(&Layout::detect(root.path())));
    }

    #[test]
    fn where_perf_events_are_counted() {
        let root = tempfile::tempdir().unwrap();
        let path_of = |layout: &Layout| {
            let fd = std::os::fd::AsRawFd::as_raw_fd(&layout.perf_event()?);
            fs::read_link(format!("/proc/self/fd/{fd}")).ok()?.strip_prefix(root.path()).ok().map(Path::to_owned)
        };
        make(root.path(), &["memory"]);
        assert_eq!(path_of(&Layout::detect(root.path())), None);
        make(root.path(), &["unified"]);
        fs::write(root.path().join("unified/cgroup.controllers"), "").unwrap();
        let hybrid = Layout::detect(root.path());
        assert_eq!(path_of(&hybrid).as_deref(), Some(Path::new("unified")));
        make(root.path(), &["perf_event"]);
        let v1 = Layout::detect(root.path());
        assert_eq!(path_of(&v1).as_deref(), Some(Path::new("perf_event")));
        assert_eq!(v1.hierarchies.len(), hybrid.hierarchies.len(), "it is not walked");
        assert!(!v1.is_same(&hybrid));
    }

    #[test]
    fn nothing_there() {
        let layout = Layout::detect(Path::new("/nonexistent"));
        assert_eq!(layout.version(Controller::Cpu), None);
    }
}
