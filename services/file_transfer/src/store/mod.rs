//! The folder of files, shared with other replicas.
//!
//! A file appears whole or not at all: its bytes go to a temporary file in the hidden folder [`UPLOADS`] of the same
//! volume, which takes the file's name by a rename once everything is on disk. Nothing ever writes to a file that has
//! a name, so whoever has one open reads it whole, whatever becomes of its name meanwhile.
//!
//! Every path is a single component ([`Name`]) below a folder that is open, and the last component is never followed
//! when it is a symbolic link: that is all that `openat2` with `RESOLVE_BENEATH` would add, and it works on systems
//! that lack or forbid that call.
//!
//! All functions here block.

mod name;
mod sweep;
mod upload;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

pub use name::{Name, NameError};
pub use sweep::Swept;
pub use upload::Upload;

/// The hidden folder of unfinished uploads. No [`Name`] begins with a dot.
pub const UPLOADS: &str = ".uploads";

/// 9999-12-31T23:59:59Z, the last second that a date of HTTP can tell.
const LAST_SECOND: u64 = 253_402_300_799;

/// What an upload may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest file, in bytes.
    pub file_bytes: u64,
    /// Bytes that uploads leave free on the volume.
    pub free_bytes: u64,
}

/// Why the folder did not do as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No file has this name.
    #[error("there is no file {0}")]
    Missing(Name),
    /// Something has this name that is no file: a folder, a symbolic link, a FIFO, a device. Not ours.
    #[error("{name} is {what}, not a file")]
    NotAFile {
        /// Which.
        name: Name,
        /// What it is, with its article.
        what: &'static str,
    },
    /// The file is larger than is allowed.
    #[error("the file is larger than {0} bytes, which is the most (MAX_FILE_BYTES)")]
    TooLarge(u64),
    /// The volume is full, or would be.
    #[error("the volume has no room for the file: {0} bytes of it have to stay free (MIN_FREE_BYTES)")]
    Full(u64),
    /// The system refuses.
    #[error("cannot {attempted}: {source}")]
    System {
        /// What was attempted.
        attempted: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl StoreError {
    fn system(attempted: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| Self::System { attempted, source: errno.into() }
    }
}

/// The folder cannot be used. Says what would help.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempted} in the folder {folder}, which FILES_DIR chooses")]
pub struct OpenError {
    /// Which.
    pub folder: PathBuf,
    /// What was attempted.
    pub attempted: &'static str,
    /// Why not.
    pub source: io::Error,
}

/// The folder. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Store(Arc<Folder>);

#[derive(Debug)]
struct Folder {
    root: OwnedFd,
    limits: Limits,
}

/// A file, open.
#[derive(Debug)]
pub struct Stored {
    /// Its bytes.
    pub file: File,
    /// Length in bytes.
    pub bytes: u64,
    /// When its last byte was written; never before 1970 or after 9999.
    pub modified: SystemTime,
    /// Changes whenever the bytes under a name may have: a strong validator, the same on all replicas.
    pub tag: String,
}

/// A line of the listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: Name,
    /// Length in bytes.
    pub bytes: u64,
    /// When its last byte was written; never before 1970 or after 9999.
    pub modified: SystemTime,
}

impl Store {
    /// Opens a folder, which is made if it is missing, and tries an upload in it.
    ///
    /// # Errors
    /// It cannot be made or opened, or not be written to.
    pub fn open(path: &Path, limits: Limits) -> Result<Self, OpenError> {
        let failed = |attempted| move |source| OpenError { folder: path.to_owned(), attempted, source };
        std::fs::create_dir_all(path).map_err(failed("make what is missing"))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| failed("look")(e.into()))?;
        let store = Self(Arc::new(Folder { root, limits }));
        store.check().map_err(|error| match error {
            StoreError::System { attempted, source } => failed(attempted)(source),
            other => failed("begin an upload")(io::Error::other(other)),
        })?;
        Ok(store)
    }

    /// Whether uploads can begin: the folder is there and takes a file. A full volume is well in this respect, as it
    /// still serves.
    ///
    /// # Errors
    /// It is not.
    pub fn check(&self) -> Result<(), StoreError> {
        match self.upload() {
            Ok(_) | Err(StoreError::Full(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Begins an upload. What is not committed is gone when it is dropped.
    ///
    /// # Errors
    /// No temporary file can be made.
    pub fn upload(&self) -> Result<Upload, StoreError> {
        Upload::begin(&self.0)
    }

    /// Opens a file.
    ///
    /// # Errors
    /// It is missing, is no file, or cannot be opened.
    pub fn file(&self, name: &Name) -> Result<Stored, StoreError> {
        // Without NONBLOCK, a FIFO that somebody planted would hold the thread for ever.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let not_a_file = |what| StoreError::NotAFile { name: name.clone(), what };
        let fd =
            rustix::fs::openat(&self.0.root, name.as_str(), flags, Mode::empty()).map_err(|errno| match errno {
                Errno::NOENT => StoreError::Missing(name.clone()),
                Errno::LOOP => not_a_file("a symbolic link"),
                Errno::NXIO | Errno::NODEV => not_a_file("a device or a socket"),
                errno => StoreError::system("open the file")(errno),
            })?;
        let file = File::from(fd);
        let about = file.metadata().map_err(|source| StoreError::System { attempted: "look at the file", source })?;
        if !about.is_file() {
            return Err(not_a_file(if about.is_dir() { "a folder" } else { "a device or a FIFO" }));
        }
        // An upload never writes into a file that has a name: other bytes are another inode. An inode that is used
        // again has a later time. So equal tags mean equal bytes, and nobody has to read them.
        let tag = format!("\"{:x}-{:x}.{:x}-{:x}\"", about.ino(), about.mtime(), about.mtime_nsec(), about.len());
        Ok(Stored { bytes: about.len(), modified: time(about.mtime(), about.mtime_nsec()), tag, file })
    }

    /// All files, by name. What has no name that [`Name`] takes, or is no file, is not ours and left out.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(&self) -> Result<Vec<Entry>, StoreError> {
        let failed = StoreError::system("read the folder");
        let mut entries = Vec::new();
        for found in rustix::fs::Dir::read_from(&self.0.root).map_err(&failed)? {
            let found = found.map_err(&failed)?;
            let Ok(name) = Name::parse(found.file_name().to_bytes()) else { continue };
            // One that is gone by now is not listed.
            let Ok(about) = rustix::fs::statat(&self.0.root, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            if FileType::from_raw_mode(about.st_mode) == FileType::RegularFile {
                let nanoseconds = i64::try_from(about.st_mtime_nsec).unwrap_or_default();
                let modified = time(about.st_mtime, nanoseconds);
                entries.push(Entry { name, bytes: u64::try_from(about.st_size).unwrap_or_default(), modified });
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Removes a file. Who reads it goes on reading.
    ///
    /// # Errors
    /// It is missing, is no file, or cannot be removed.
    pub fn delete(&self, name: &Name) -> Result<(), StoreError> {
        let missing = |errno| match errno {
            Errno::NOENT => StoreError::Missing(name.clone()),
            errno => StoreError::system("remove the file")(errno),
        };
        let about = rustix::fs::statat(&self.0.root, name.as_str(), AtFlags::SYMLINK_NOFOLLOW).map_err(missing)?;
        let what = match FileType::from_raw_mode(about.st_mode) {
            FileType::RegularFile => None,
            FileType::Directory => Some("a folder"),
            FileType::Symlink => Some("a symbolic link"),
            _ => Some("a device, a FIFO or a socket"),
        };
        if let Some(what) = what {
            return Err(StoreError::NotAFile { name: name.clone(), what });
        }
        rustix::fs::unlinkat(&self.0.root, name.as_str(), AtFlags::empty()).map_err(missing)?;
        self.0.sync()
    }

    /// Removes what uploads of replicas left that live no more.
    ///
    /// # Errors
    /// The folder of unfinished uploads cannot be read.
    pub fn sweep(&self) -> Result<Swept, StoreError> {
        sweep::sweep(&self.0)
    }

    /// Bytes that an upload may still take before the reserve is touched, by the volume's own count.
    ///
    /// # Errors
    /// The volume does not tell.
    pub fn room(&self) -> Result<u64, StoreError> {
        self.0.room()
    }

    /// Refuses a file of this many bytes before any of it is taken.
    ///
    /// # Errors
    /// It is too large for the limits or for the volume.
    pub fn admit(&self, bytes: u64) -> Result<(), StoreError> {
        let Limits { file_bytes, free_bytes } = self.0.limits;
        match bytes {
            bytes if bytes > file_bytes => Err(StoreError::TooLarge(file_bytes)),
            bytes if bytes > self.room()? => Err(StoreError::Full(free_bytes)),
            _ => Ok(()),
        }
    }
}

impl Folder {
    fn room(&self) -> Result<u64, StoreError> {
        let volume = rustix::fs::fstatvfs(&self.root).map_err(StoreError::system("ask for the volume's free room"))?;
        Ok(volume.f_bavail.saturating_mul(volume.f_frsize).saturating_sub(self.limits.free_bytes))
    }

    /// Opens the folder of unfinished uploads, which is made if it is missing: whoever cleans up by hand may have
    /// removed it.
    fn uploads(&self) -> Result<OwnedFd, StoreError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || rustix::fs::openat(&self.root, UPLOADS, flags, Mode::empty());
        let opened = open().or_else(|errno| match errno {
            Errno::NOENT => match rustix::fs::mkdirat(&self.root, UPLOADS, Mode::RWXU) {
                // Another replica may have been quicker.
                Ok(()) | Err(Errno::EXIST) => open(),
                Err(errno) => Err(errno),
            },
            errno => Err(errno),
        });
        opened.map_err(|errno| self.refused("open the folder of unfinished uploads", errno))
    }

    /// Makes the folder's names last.
    fn sync(&self) -> Result<(), StoreError> {
        match rustix::fs::fsync(&self.root) {
            // Some network file systems have no such thing, as their server does it.
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(errno) => Err(self.refused("write the folder to disk", errno)),
        }
    }

    /// A refusal of the system, which may be for want of room.
    fn refused(&self, attempted: &'static str, errno: Errno) -> StoreError {
        match errno {
            Errno::NOSPC | Errno::DQUOT => StoreError::Full(self.limits.free_bytes),
            Errno::FBIG => StoreError::TooLarge(self.limits.file_bytes),
            errno => StoreError::system(attempted)(errno),
        }
    }
}

/// A time of the file system, brought into the range that HTTP can tell.
fn time(seconds: i64, nanoseconds: i64) -> SystemTime {
    let seconds = u64::try_from(seconds).unwrap_or_default().min(LAST_SECOND);
    let nanoseconds = u32::try_from(nanoseconds).unwrap_or_default().min(999_999_999);
    SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds)
}
