//! Why discovery cannot begin or go on.

use std::path::PathBuf;

/// A provider could not be configured, or could not read what it reads.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// A path that file discovery does not take.
    #[error(
        "path {0:?} is not valid for file discovery: it must end in .json, .yml or .yaml and may have * in its last part alone"
    )]
    Pattern(PathBuf),
    /// `files` is empty.
    #[error("file discovery needs at least one path")]
    NoFiles,
    /// A duration of zero where one must pass.
    #[error("{0} must be greater than zero")]
    ZeroInterval(&'static str),
    /// A file with targets could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file with targets is malformed.
    #[error("{} does not hold target groups: {reason}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What the parser says.
        reason: String,
    },
}
