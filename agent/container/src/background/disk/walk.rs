//! Adding up what lies below a folder, a stretch at a time.

use std::collections::HashSet;
use std::time::Instant;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Statx, StatxAttributes, StatxFlags};
use rustix::io::Errno;

use super::errands::Pace;
use super::{Failure, Use};

/// Folders below one another that are gone into; each is an open file while the walk is in it.
const MOST_DEPTH: usize = 64;
/// Files with several names that are remembered, so that each is counted once.
const MOST_LINKS: usize = 1 << 17;

/// A walk that is under way. It goes down by open folders, never by paths, so that a container which puts a link in
/// place of a folder leads it nowhere, and what it holds does not grow with the number of files.
#[derive(Debug)]
pub(super) struct Walk {
    device: (u32, u32),
    open: Vec<Dir>,
    links: HashSet<u64>,
    /// Of 512 bytes, whatever the file system's own block size is.
    blocks: u64,
    inodes: u64,
    /// Blocks of files whose names are too many to remember, each name with its share, and their number.
    shared: (f64, f64),
}

/// What a stretch of a walk came to.
#[derive(Debug, PartialEq)]
pub(super) enum Stretch {
    /// The whole.
    Done(Use),
    /// There is more to see.
    More,
    Failed(Failure),
    /// The walk shall end.
    Stopped,
}

impl Walk {
    /// Of all that lies on the folder's own mount.
    pub(super) fn new(top: OwnedFd) -> Result<Self, Failure> {
        let stat = rustix::fs::statx(&top, c"", AtFlags::EMPTY_PATH, wanted()).map_err(|_| Failure::Unreadable)?;
        let device = (stat.stx_dev_major, stat.stx_dev_minor);
        let open = vec![Dir::new(top).map_err(|_| Failure::Unreadable)?];
        let blocks = stat.stx_blocks;
        Ok(Self { device, open, links: HashSet::new(), blocks, inodes: 1, shared: (0.0, 0.0) })
    }

    /// Goes on, until it is done or that time has come.
    pub(super) fn advance(&mut self, pace: &mut Pace<'_>, until: Instant) -> Stretch {
        while let Some(dir) = self.open.last_mut() {
            if !pace.step() {
                return Stretch::Stopped;
            }
            let Some(entry) = dir.read() else {
                self.open.pop();
                // Here, since a look at the clock costs as much as a look at a file.
                if Instant::now() >= until && !self.open.is_empty() {
                    return Stretch::More;
                }
                continue;
            };
            let looked = entry.and_then(|entry| look(dir, entry.file_name()));
            match looked.and_then(|found| self.count(found)) {
                // It went away meanwhile, or became something else.
                Ok(()) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(Errno::NAMETOOLONG) => return Stretch::Failed(Failure::TooDeep),
                // A sum without a part of it is no sum.
                Err(_) => return Stretch::Failed(Failure::Unreadable),
            }
            if pace.has_paused() && Instant::now() >= until {
                return Stretch::More;
            }
        }
        let (blocks, inodes) = (self.shared.0.round() as u64, self.shared.1.round() as u64);
        Stretch::Done(Use { bytes: (self.blocks + blocks).saturating_mul(512), inodes: self.inodes + inodes })
    }

    fn count(&mut self, found: Option<Entry>) -> Result<(), Errno> {
        let Some(Entry { stat, folder }) = found else { return Ok(()) };
        let is_elsewhere = (stat.stx_dev_major, stat.stx_dev_minor) != self.device
            || stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
        if is_elsewhere {
            return Ok(());
        }
        if let Some(folder) = folder {
            if self.open.len() >= MOST_DEPTH {
                return Err(Errno::NAMETOOLONG);
            }
            self.open.push(Dir::new(folder)?);
        } else if stat.stx_nlink > 1 {
            if self.links.len() >= MOST_LINKS && !self.links.contains(&stat.stx_ino) {
                let share = 1.0 / f64::from(stat.stx_nlink);
                self.shared.0 += stat.stx_blocks as f64 * share;
                self.shared.1 += share;
                return Ok(());
            }
            if !self.links.insert(stat.stx_ino) {
                return Ok(());
            }
        }
        self.blocks += stat.stx_blocks;
        self.inodes += 1;
        Ok(())
    }
}

/// A file or folder, the latter open.
struct Entry {
    stat: Statx,
    folder: Option<OwnedFd>,
}

fn look(dir: &Dir, name: &std::ffi::CStr) -> Result<Option<Entry>, Errno> {
    if matches!(name.to_bytes(), b"." | b"..") {
        return Ok(None);
    }
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let stat = rustix::fs::statx(dir.fd()?, name, flags, wanted())?;
    let is_folder = FileType::from_raw_mode(stat.stx_mode.into()) == FileType::Directory;
    let is_mount = stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    let folder = if is_folder && !is_mount { Some(open(dir, name)?) } else { None };
    Ok(Some(Entry { stat, folder }))
}

fn open(dir: &Dir, name: &std::ffi::CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // Only the owner and root may look without leaving a trace in the time of access.
    match rustix::fs::openat(dir.fd()?, name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => rustix::fs::openat(dir.fd()?, name, flags, Mode::empty()),
        opened => opened,
    }
}

fn wanted() -> StatxFlags {
    StatxFlags::TYPE | StatxFlags::NLINK | StatxFlags::INO | StatxFlags::BLOCKS
}
