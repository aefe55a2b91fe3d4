//! Why a window did not open.

use std::io;
use std::path::PathBuf;

/// A window could not be opened. Damaged files are no reason: what is readable is read and the rest set aside.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has the directory.
    #[error("the storage directory {} is in use by another process", .0.display())]
    Locked(PathBuf),
    /// The directory could not be made, listed or written to.
    #[error("cannot use the storage directory {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}
