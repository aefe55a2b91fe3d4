//! What the store cannot do.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// A record cannot be kept or read, or the store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder is not there and cannot be made.
    #[error("cannot make the folder {path}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file cannot be opened, or is damaged.
    #[error("cannot use {path} as the registry's file")]
    Open {
        /// Which.
        path: PathBuf,
        /// SQLite's words.
        source: rusqlite::Error,
    },
    /// Another program's database.
    #[error("{path} is a database, but not a registry's; DATA_DIR chooses another folder")]
    Foreign {
        /// Which.
        path: PathBuf,
    },
    /// A registry's, of another form.
    #[error("{path} has form {version}, and this registry knows {want}")]
    Version {
        /// Which.
        path: PathBuf,
        /// The form of the file.
        version: i32,
        /// The form that is known.
        want: i32,
    },
    /// There is no more room on the volume.
    #[error("no room is left on the volume of {path}: the record is not kept")]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// Others hold the file.
    #[error("{path} is held by another process for too long")]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// As many wait already as may.
    #[error("too many requests wait for the store")]
    TooMany,
    /// It is not known whether it was done.
    #[error("the store gave no answer in {seconds} s")]
    Slow {
        /// How long was waited.
        seconds: u64,
    },
    /// The thread that does it has ended.
    #[error("the store has ended")]
    Ended,
    /// Anything else, such as damage or a failing disk.
    #[error("the store at {path} failed")]
    Failed {
        /// The file.
        path: PathBuf,
        /// SQLite's words.
        source: rusqlite::Error,
    },
}

/// SQLite's error as ours.
pub fn from_sqlite(error: rusqlite::Error, path: &Path) -> Error {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::Full { path },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Busy { path },
        _ => Error::Failed { path, source: error },
    }
}
