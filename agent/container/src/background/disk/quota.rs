//! What a project quota counts, where a folder has one of its own: then nothing needs to be walked.
//!
//! ext4 and xfs, mounted with `prjquota`, count for each project; Docker makes a project of each layer and volume that
//! has a size limit, and an administrator may do so for any folder.

use std::path::Path;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::ioctl::{Updater, ioctl, opcode};

use super::Use;

/// A project and what it has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Project {
    pub(super) key: Key,
    pub(super) used: Use,
}

/// A file system's number and a project's on it.
pub(super) type Key = (u64, u32);

/// The project that is the folder's alone, with what the file system counts for it. Nothing where there is none, the
/// kernel is older than 5.14, quotas are off, or the process lacks `CAP_SYS_ADMIN`.
pub(super) fn project(folder: &OwnedFd, path: &Path) -> Option<Project> {
    let id = inherited(folder)?;
    if !is_top(folder, path, id) {
        return None;
    }
    let device = rustix::fs::fstat(folder).ok()?.st_dev;
    Some(Project { key: (device, id), used: counted(folder, id)? })
}

/// Whether the project begins with this folder, or with the one above it where that is an engine's and for this alone.
fn is_top(folder: &OwnedFd, path: &Path, id: u32) -> bool {
    let Some(above) = above(folder) else { return false };
    if inherited(&above) != Some(id) {
        return true;
    }
    let is_engines = path.file_name().is_some_and(|name| name == "diff" || name == "fs" || name == "_data");
    is_engines && self::above(&above).is_some_and(|above| inherited(&above) != Some(id))
}

fn above(folder: &OwnedFd) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(folder, c"..", flags, Mode::empty()).ok()
}

/// `struct fsxattr` of the kernel: flags, two hints, the project, a third hint, and room for more.
type Attributes = [u32; 7];
const PROJECT_INHERITED: u32 = 0x200;

/// The project that whatever is made in the folder belongs to.
fn inherited(folder: impl AsFd) -> Option<u32> {
    let [flags, _, _, project, ..] = attributes(folder).ok()?;
    (flags & PROJECT_INHERITED != 0 && project != 0).then_some(project)
}

#[expect(unsafe_code, reason = "no crate that we have wraps this ioctl, and nothing else says this")]
fn attributes(folder: impl AsFd) -> Result<Attributes, Errno> {
    let mut attributes: Attributes = [0; 7];
    // SAFETY: the number has the size of the structure in it, which the kernel fills in, and any bits are numbers.
    unsafe { ioctl(folder, Updater::<{ opcode::read::<Attributes>(b'X', 31) }, _>::new(&mut attributes)) }?;
    Ok(attributes)
}

/// `struct if_dqblk` of the kernel: limits, use and grace of space, the same of inodes, and which of them are there.
type Counted = [u64; 9];
const GET_PROJECT_QUOTA: libc::c_uint = (0x80_0007 << 8) | 2;
const HAS_SPACE: u64 = 2;
const HAS_INODES: u64 = 8;

#[expect(unsafe_code, reason = "no crate that we have wraps quotactl_fd(2), and nothing else counts this")]
fn counted(folder: &OwnedFd, id: u32) -> Option<Use> {
    use std::os::fd::AsRawFd;

    let mut counted: Counted = [0; 9];
    // SAFETY: the command reads the quota of a project into the structure, for which there is room, and any bits are
    // numbers; the descriptor is open as long as the borrow.
    let result = unsafe {
        libc::syscall(libc::SYS_quotactl_fd, folder.as_raw_fd(), GET_PROJECT_QUOTA, id, counted.as_mut_ptr())
    };
    let [_, _, bytes, _, _, inodes, _, _, valid] = counted;
    let has = HAS_SPACE | HAS_INODES;
    // The last is a number of half the size.
    (result == 0 && valid as u32 as u64 & has == has).then_some(Use { bytes, inodes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_project_is_to_be_walked() {
        let folder = tempfile::tempdir().unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let open = rustix::fs::open(folder.path(), flags, Mode::empty()).unwrap();
        assert_eq!(project(&open, folder.path()), None);
        assert_eq!(counted(&open, 7), None);
        let proc = rustix::fs::open("/proc", flags, Mode::empty()).unwrap();
        assert_eq!(project(&proc, Path::new("/proc")), None);
    }

    #[test]
    #[ignore = "needs a file system with project quotas: ATALAIA_PROJECT_FOLDER, a folder with a project of its own on it"]
    fn what_the_file_system_counts_for_a_folder() {
        let path = std::path::PathBuf::from(std::env::var_os("ATALAIA_PROJECT_FOLDER").unwrap());
        let look = |path: &Path| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            project(&rustix::fs::open(path, flags, Mode::empty()).unwrap(), path)
        };
        let before = look(&path).unwrap();
        let mut file = std::fs::File::create(path.join("file")).unwrap();
        std::io::Write::write_all(&mut file, &vec![7; 1 << 20]).unwrap();
        file.sync_all().unwrap();
        let after = look(&path).unwrap();
        assert_eq!((after.key, after.used.inodes), (before.key, before.used.inodes + 1));
        assert!((1 << 20..=1 << 21).contains(&(after.used.bytes - before.used.bytes)), "{before:?} {after:?}");
        // What lies in it has the same project, and only what an engine keeps so has it for itself.
        for (name, is_own) in [("inner", false), ("diff", true), ("diff/diff", false)] {
            std::fs::create_dir(path.join(name)).unwrap();
            assert_eq!(look(&path.join(name)).is_some(), is_own, "{name}");
        }
    }
}
