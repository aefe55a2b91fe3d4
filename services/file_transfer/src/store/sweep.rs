//! Removes what dead replicas left.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use super::upload::lock;
use super::{Folder, StoreError};

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Leftovers removed.
    pub removed: u64,
    /// Uploads of a replica that lives.
    pub kept: u64,
}

pub(super) fn sweep(folder: &Arc<Folder>) -> Result<Swept, StoreError> {
    let failed = StoreError::system("read the folder of unfinished uploads");
    let uploads = folder.uploads()?;
    let mut swept = Swept::default();
    for found in rustix::fs::Dir::read_from(&uploads).map_err(&failed)? {
        let found = found.map_err(&failed)?;
        match remove_if_left(&uploads, found.file_name()) {
            Some(true) => swept.removed += 1,
            Some(false) => swept.kept += 1,
            None => {}
        }
    }
    Ok(swept)
}

/// Whether it was removed; none if it is no upload, or has become a file meanwhile.
///
/// Who holds the lock of a temporary file is the only one who removes or renames it. So the name still means the file
/// that was locked, once both have been compared.
fn remove_if_left(uploads: &OwnedFd, name: &std::ffi::CStr) -> Option<bool> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(uploads, name, flags, Mode::empty()).ok()?;
    let about = rustix::fs::fstat(&file).ok()?;
    if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile {
        return None;
    }
    if !lock(&file).ok()? {
        return Some(false);
    }
    let named = rustix::fs::statat(uploads, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    if (named.st_dev, named.st_ino) != (about.st_dev, about.st_ino) {
        return None;
    }
    rustix::fs::unlinkat(uploads, name, AtFlags::empty()).ok()?;
    Some(true)
}
