//! An upload: a temporary file that becomes a file with a name, or nothing.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::{Folder, Name, StoreError};

/// Temporary names tried before giving up; each is taken only by a leftover.
const ATTEMPTS: u32 = 10_000;
/// Of the host's name, as much is kept.
const HOST: usize = 64;

/// Bytes on their way into the folder. They are removed when this is dropped before [`Upload::commit`].
#[derive(Debug)]
pub struct Upload {
    folder: Arc<Folder>,
    uploads: OwnedFd,
    /// None once it has its name.
    temporary: Option<String>,
    /// Locked for as long as it is open: that is how a sweeper tells that somebody lives who writes it.
    file: File,
    written: u64,
}

impl Upload {
    pub(super) fn begin(folder: &Arc<Folder>) -> Result<Self, StoreError> {
        let uploads = folder.uploads()?;
        for _ in 0..ATTEMPTS {
            let temporary = temporary_name();
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
            let file = match rustix::fs::openat(&uploads, &temporary, flags, mode) {
                Ok(fd) => File::from(fd),
                Err(Errno::EXIST) => continue,
                Err(errno) => return Err(folder.refused("make a temporary file", errno)),
            };
            match lock(&file) {
                Ok(true) => {
                    let folder = Arc::clone(folder);
                    return Ok(Self { folder, uploads, temporary: Some(temporary), file, written: 0 });
                }
                // A sweeper found it before it was locked, and removes it.
                Ok(false) => {}
                Err(errno) => {
                    // No sweeper could lock it either.
                    let _ = rustix::fs::unlinkat(&uploads, &temporary, AtFlags::empty());
                    return Err(folder.refused("lock a temporary file", errno));
                }
            }
        }
        Err(StoreError::system("find a name for a temporary file")(Errno::EXIST))
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// The file grows beyond the limit, the volume into its reserve, or the system refuses.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let more = bytes.len() as u64;
        let limits = self.folder.limits;
        if self.written.saturating_add(more) > limits.file_bytes {
            return Err(StoreError::TooLarge(limits.file_bytes));
        }
        if more > self.folder.room()? {
            return Err(StoreError::Full(limits.free_bytes));
        }
        self.file.write_all(bytes).map_err(|error| match Errno::from_io_error(&error) {
            Some(errno) => self.folder.refused("write to a temporary file", errno),
            None => StoreError::System { attempted: "write to a temporary file", source: error },
        })?;
        self.written += more;
        Ok(())
    }

    /// Gives the bytes their name, in place of what had it, once they are on disk. What is returned lasts.
    ///
    /// # Errors
    /// A folder has this name, or the system refuses. The name means then what it meant before, unless it is the last
    /// step that failed, the folder's own way to disk.
    pub fn commit(mut self, name: &Name) -> Result<u64, StoreError> {
        rustix::fs::fdatasync(&self.file).map_err(|errno| self.folder.refused("write a file to disk", errno))?;
        if let Some(temporary) = &self.temporary {
            rustix::fs::renameat(&self.uploads, temporary, &self.folder.root, name.as_str()).map_err(|errno| {
                match errno {
                    Errno::ISDIR => StoreError::NotAFile { name: name.clone(), what: "a folder" },
                    errno => self.folder.refused("give a file its name", errno),
                }
            })?;
            self.temporary = None;
        }
        self.folder.sync()?;
        Ok(self.written)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // If this fails, the lock ends with the file, and a sweeper does it.
            let _ = rustix::fs::unlinkat(&self.uploads, temporary, AtFlags::empty());
        }
    }
}

/// Locks a temporary file. False when a sweeper has it, or has removed it already.
pub(super) fn lock(file: impl AsFd) -> Result<bool, Errno> {
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(rustix::fs::fstat(&file)?.st_nlink > 0),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Host, process and a number: no two live uploads on a volume have the same. A container that restarts may meet its
/// own leftovers, which have the same host and process.
fn temporary_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let host: String = host.chars().filter(char::is_ascii_alphanumeric).take(HOST).collect();
    format!("{host}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
