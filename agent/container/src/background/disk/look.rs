//! The errands: how much a place holds, how much is left on a file system, how long a log is.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use agent_procfs::Root;
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::errands::Pace;
use super::mounts::Mount;
use super::quota::{self, Key};
use super::walk::{Stretch, Walk};
use super::{Failure, FileSystem, Use};

/// How far a place was measured.
pub(super) enum Look {
    /// By a walk of everything.
    Walked(Use),
    /// By the file system's own count for the place.
    Quota(Use, Key),
    /// By what the file system holds in all, which is the place's.
    FileSystem(Use),
    /// The walk goes on another time.
    More(Box<Walk>),
    /// There is nothing that takes space, such as a socket.
    Nothing,
    Failed(Failure),
    /// It shall end.
    Stopped,
}

/// Measures a place. Projects in `shared` are those of several places, so that what they count is nobody's.
pub(super) fn place(
    root: &Root,
    path: &Path,
    mount: &Mount,
    shared: &[Key],
    pace: &mut Pace<'_>,
    until: Instant,
) -> Look {
    if mount.is_whole && *mount.point == *path {
        return match file_system(root, mount) {
            Some(FileSystem { used, inodes, .. }) => {
                let inodes = inodes.map_or(0, |(total, free)| total.saturating_sub(free));
                Look::FileSystem(Use { bytes: used, inodes })
            }
            None => Look::Failed(Failure::Gone),
        };
    }
    let folder = match open(root, path) {
        Ok(folder) => folder,
        Err(Errno::NOTDIR) => return file(root, path),
        Err(Errno::NOENT) => return Look::Failed(Failure::Gone),
        Err(_) => return Look::Failed(Failure::Unreadable),
    };
    if is_hidden(&folder, mount) {
        return Look::Failed(Failure::Hidden);
    }
    match quota::project(&folder, path) {
        Some(project) if !shared.contains(&project.key) => Look::Quota(project.used, project.key),
        _ => match Walk::new(folder) {
            Ok(walk) => walk_on(Box::new(walk), pace, until),
            Err(failure) => Look::Failed(failure),
        },
    }
}

/// Goes on with a walk.
pub(super) fn walk_on(mut walk: Box<Walk>, pace: &mut Pace<'_>, until: Instant) -> Look {
    match walk.advance(pace, until) {
        Stretch::Done(used) => Look::Walked(used),
        Stretch::More => Look::More(walk),
        Stretch::Failed(failure) => Look::Failed(failure),
        Stretch::Stopped => Look::Stopped,
    }
}

/// The folder below the host's root, or as it is where this process sees it at the same place.
fn open(root: &Root, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let [below, as_it_is] = places(root, path);
    match rustix::fs::open(&below, flags, Mode::empty()) {
        Err(Errno::NOENT) => rustix::fs::open(&as_it_is, flags, Mode::empty()),
        opened => opened,
    }
}

fn places(root: &Root, path: &Path) -> [PathBuf; 2] {
    [below(&root.rootfs, path), path.to_owned()]
}

fn below(root: &Path, path: &Path) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    let path = bytes.strip_prefix(b"/").unwrap_or(bytes);
    if path.is_empty() { root.to_owned() } else { root.join(OsStr::from_bytes(path)) }
}

/// A single file that is mounted into a container.
fn file(root: &Root, path: &Path) -> Look {
    match places(root, path).iter().find_map(|place| rustix::fs::lstat(place).ok()) {
        Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
            let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
            Look::Walked(Use { bytes: blocks.saturating_mul(512), inodes: 1 })
        }
        Some(_) => Look::Nothing,
        None => Look::Failed(Failure::Gone),
    }
}

/// Whether what this process sees at the place is only the folder under the mount that the machine has there.
fn is_hidden(folder: &OwnedFd, mount: &Mount) -> bool {
    let Some(number) = mount.number.filter(|_| *mount.point != *Path::new("/")) else { return false };
    let Ok(stat) = rustix::fs::fstat(folder) else { return false };
    (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev)) != number
}

/// What a file system says of itself.
pub(super) fn file_system(root: &Root, mount: &Mount) -> Option<FileSystem> {
    let fs = rustix::fs::statvfs(below(&root.rootfs, &mount.point)).ok()?;
    Some(FileSystem {
        device: mount.device.clone(),
        used: fs.f_blocks.saturating_sub(fs.f_bfree).saturating_mul(fs.f_frsize),
        available: fs.f_bavail.saturating_mul(fs.f_frsize),
        size: fs.f_blocks.saturating_mul(fs.f_frsize),
        // Nothing where inodes are not counted, as on btrfs.
        inodes: Some((fs.f_files, fs.f_ffree)).filter(|(total, _)| *total > 0),
    })
}

/// What a log and those it was before, `NAME.1` and the like beside it, take on the disk. Nothing where it is not there.
pub(super) fn log(root: &Root, path: &Path, pace: &mut Pace<'_>) -> Option<u64> {
    let name = path.file_name()?.as_bytes();
    let mut blocks = None;
    let folder = places(root, path.parent()?).into_iter().find_map(|place| std::fs::read_dir(place).ok())?;
    for entry in folder.flatten() {
        if !pace.step() {
            return None;
        }
        let file = entry.file_name();
        let is_of_log =
            file.as_bytes().strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"."));
        if !is_of_log {
            continue;
        }
        // Links are not followed.
        let Ok(stat) = entry.metadata() else { continue };
        if stat.is_file() {
            *blocks.get_or_insert(0) += stat.blocks();
        }
    }
    blocks.map(|blocks: u64| blocks.saturating_mul(512))
}
