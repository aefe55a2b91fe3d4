//! What is mounted where on the machine, and what to think of each mount.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agent_procfs::{Root, mountinfo};

/// What lies under a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A disk of the machine, or a pool of them.
    Disk,
    /// One that is written once and always full, such as squashfs.
    Image,
    Memory,
    /// The kernel's own figures and devices, which take no space.
    Kernel,
    /// Another machine, a process, or layers of others.
    Other,
}

/// One mount.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mount {
    pub(super) point: Arc<Path>,
    pub(super) device: Arc<str>,
    /// Of the device; nothing where what a file says of itself is another, as with subvolumes.
    pub(super) number: Option<(u32, u32)>,
    pub(super) kind: Kind,
    /// Whether the file system is mounted with its top, and tells how much it holds by itself.
    pub(super) is_whole: bool,
}

/// All of them, in the kernel's order.
#[derive(Debug, Default)]
pub(super) struct Mounts(Vec<Mount>);

const IMAGES: &[&[u8]] = &[b"squashfs", b"iso9660", b"udf", b"erofs"];
const OF_KERNEL: &[&[u8]] = &[
    b"autofs",
    b"binfmt_misc",
    b"bpf",
    b"cgroup",
    b"cgroup2",
    b"configfs",
    b"debugfs",
    b"devpts",
    b"devtmpfs",
    b"efivarfs",
    b"fusectl",
    b"mqueue",
    b"nsfs",
    b"proc",
    b"pstore",
    b"rpc_pipefs",
    b"securityfs",
    b"selinuxfs",
    b"sysfs",
    b"tracefs",
];

impl Mounts {
    pub(super) fn parse(text: &[u8]) -> Self {
        Self(mountinfo::parse(text).value.iter().map(Mount::of).collect())
    }

    /// The one that a path lies on: with the longest path that begins it, and of those the one on top.
    pub(super) fn of(&self, path: &Path) -> Option<&Mount> {
        let above = self.0.iter().filter(|mount| mount.is_above(path));
        above.max_by_key(|mount| mount.point.as_os_str().len())
    }

    pub(super) fn has(&self, point: &Path) -> bool {
        self.0.iter().any(|mount| *mount.point == *point)
    }

    /// The file systems on the machine's disks, each once: where it is mounted with the shortest path.
    pub(super) fn machine(&self) -> Vec<&Mount> {
        let mut by_device: HashMap<&str, &Mount> = HashMap::new();
        for mount in self.0.iter().filter(|mount| mount.kind == Kind::Disk) {
            let shortest = by_device.entry(&mount.device).or_insert(mount);
            if mount.point.as_os_str().len() < shortest.point.as_os_str().len() {
                *shortest = mount;
            }
        }
        let mut all: Vec<_> = by_device.into_values().collect();
        all.sort_by(|a, b| a.device.cmp(&b.device));
        all
    }
}

impl Mount {
    /// As `Path::starts_with`, without looking at each part of both: there are many mounts.
    fn is_above(&self, path: &Path) -> bool {
        let rest = path.as_os_str().as_bytes().strip_prefix(self.point.as_os_str().as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/") || *self.point == *Path::new("/"))
    }

    fn of(mount: &mountinfo::Mount<'_>) -> Self {
        let kind = match mount.fs_type {
            image if IMAGES.contains(&image) => Kind::Image,
            kernel if OF_KERNEL.contains(&kernel) => Kind::Kernel,
            b"tmpfs" | b"ramfs" => Kind::Memory,
            b"zfs" => Kind::Disk,
            _ if mount.source.starts_with(b"/dev/") => Kind::Disk,
            _ => Kind::Other,
        };
        // One of btrfs counts for all its subvolumes, and one behind FUSE says what it likes.
        let is_plain = matches!(mount.fs_type, b"ext2" | b"ext3" | b"ext4" | b"xfs" | b"f2fs" | b"tmpfs" | b"zfs");
        Self {
            point: Path::new(OsStr::from_bytes(&mount.mount_point)).into(),
            device: String::from_utf8_lossy(&mountinfo::unescape(mount.source)).into(),
            number: Some((mount.major, mount.minor)).filter(|_| !matches!(mount.fs_type, b"btrfs" | b"bcachefs")),
            kind,
            is_whole: is_plain && (*mount.root == *b"/" || mount.fs_type == b"zfs"),
        }
    }
}

/// The layer that a process's own root is mounted with: engines with containerd's image store do not name it.
pub(super) fn layer_of(root: &Root, pid: u32) -> Option<PathBuf> {
    let mut text = Vec::new();
    root.read_into(&root.proc(format!("{pid}/mountinfo")), &mut text).ok()?;
    let mounts = mountinfo::parse(&text).value;
    // The last mount on `/` lies on top.
    let top = mounts.iter().rev().find(|mount| &*mount.mount_point == b"/" && mount.fs_type == b"overlay")?;
    let upper = top.super_options.split(|b| *b == b',').find_map(|option| option.strip_prefix(b"upperdir="))?;
    let upper = mountinfo::unescape(upper);
    Some(PathBuf::from(OsStr::from_bytes(&upper)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"27 1 254:0 / / rw - ext4 /dev/vda rw\n\
        42 27 254:0 /d /var/lib/docker rw - ext4 /dev/vda rw\n\
        43 27 8:1 / /var/lib/docker/volumes rw - xfs /dev/sda1 rw\n\
        44 27 7:0 / /snap rw - squashfs /dev/loop0 ro\n\
        45 27 0:5 / /run rw - tmpfs tmpfs rw\n\
        46 27 0:9 / /srv rw - nfs4 server:/export rw\n\
        47 27 0:4 / /proc rw - proc proc rw\n\
        48 27 0:44 / /pool rw - btrfs /dev/sdb rw\n";

    #[test]
    fn the_machines_file_systems() {
        let mounts = Mounts::parse(MOUNTS);
        let all: Vec<_> =
            mounts.machine().iter().map(|mount| (&*mount.device, mount.point.to_str().unwrap())).collect();
        assert_eq!(all, [("/dev/sda1", "/var/lib/docker/volumes"), ("/dev/sdb", "/pool"), ("/dev/vda", "/")]);
    }

    #[track_caller]
    fn check(path: &str, device: &str, kind: Kind, is_whole: bool) {
        let mounts = Mounts::parse(MOUNTS);
        let mount = mounts.of(Path::new(path)).unwrap();
        assert_eq!((&*mount.device, mount.kind, mount.is_whole), (device, kind, is_whole), "{path}");
    }

    #[test]
    fn what_a_path_lies_on() {
        check("/var/lib/docker/overlay2/x/diff", "/dev/vda", Kind::Disk, false);
        check("/var/lib/docker/volumes/x", "/dev/sda1", Kind::Disk, true);
        check("/var/lib/docker/volumes-of-another", "/dev/vda", Kind::Disk, false);
        check("/home", "/dev/vda", Kind::Disk, true);
        check("/snap/x", "/dev/loop0", Kind::Image, false);
        check("/run/x", "tmpfs", Kind::Memory, true);
        check("/srv/x", "server:/export", Kind::Other, false);
        check("/proc/sys", "proc", Kind::Kernel, false);
        check("/pool/x", "/dev/sdb", Kind::Disk, false);
    }

    #[test]
    fn the_layer_is_found_among_the_mounts_of_a_process() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("7")).unwrap();
        let mounts = "72 48 0:39 / / rw master:2 - overlay overlay rw,lowerdir=/l/A,upperdir=/var/x/fs,workdir=/w\n";
        std::fs::write(folder.path().join("7/mountinfo"), mounts).unwrap();
        let root = Root { procfs: folder.path().to_owned(), ..Root::default() };
        assert_eq!(layer_of(&root, 7), Some("/var/x/fs".into()));
        assert_eq!(layer_of(&root, 8), None);
    }
}
