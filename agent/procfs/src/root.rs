//! Where the kernel's files are, and the one place that reads them.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The four trees an agent reads. Tests point them at fixtures; a container points them at the host's mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// `--path.procfs`
    pub procfs: PathBuf,
    /// `--path.sysfs`
    pub sysfs: PathBuf,
    /// `--path.rootfs`
    pub rootfs: PathBuf,
    /// `--path.udev.data`
    pub udev_data: PathBuf,
}

impl Default for Root {
    fn default() -> Self {
        Self { procfs: "/proc".into(), sysfs: "/sys".into(), rootfs: "/".into(), udev_data: "/run/udev/data".into() }
    }
}

/// A kernel file could not be read or understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Opening or reading failed.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The content was not what the kernel documents.
    #[error("cannot understand {}, line {line}: {reason}", path.display())]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What was found and what was expected.
        reason: String,
    },
}

impl Error {
    /// Whether the file simply is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

impl Root {
    /// A path below `--path.procfs`.
    pub fn proc(&self, path: impl AsRef<Path>) -> PathBuf {
        self.procfs.join(path)
    }

    /// A path below `--path.sysfs`.
    pub fn sys(&self, path: impl AsRef<Path>) -> PathBuf {
        self.sysfs.join(path)
    }

    /// Reads a whole file into `buffer`, which is cleared first.
    ///
    /// # Errors
    /// [`Error::Read`] with the path.
    pub fn read_into(&self, path: &Path, buffer: &mut Vec<u8>) -> Result<(), Error> {
        buffer.clear();
        std::fs::File::open(path)
            .and_then(|mut file| file.read_to_end(buffer))
            .map(|_| ())
            .map_err(|source| Error::Read { path: path.to_owned(), source })
    }
}
