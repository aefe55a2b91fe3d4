//! Whether the files of a configuration have changed since they were read.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::config::WebConfigError;
use super::policy::Policy;

/// The files are looked at no more often, and one that was changed less long ago is left to be written to its end.
const INTERVAL: Duration = Duration::from_secs(1);

/// What tells a file from what it was: device, inode, size, and when it was changed (seconds, nanoseconds). `None`
/// when it is not there.
pub(super) type Stamp = Option<(u64, u64, u64, (i64, i64), (i64, i64))>;

/// What was read, and when it was last looked at.
pub(super) struct Watch {
    files: Vec<(PathBuf, Stamp)>,
    looked: Instant,
    /// One look at a time, so that files on a file system that hangs hold one thread.
    is_looking: bool,
}

impl Watch {
    /// Reads a configuration.
    pub(super) fn read(path: &Path) -> (Self, Result<Policy, WebConfigError>) {
        let mut files = Vec::new();
        // Before it is read: what changes meanwhile is seen at the next look.
        let policy = Policy::read(path, |file| files.push((file.to_owned(), stamp(file))));
        (Self { files, looked: Instant::now(), is_looking: false }, policy)
    }

    /// Whether it is time to look; whoever is told so has to look, and to say so when he has.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = !self.is_looking && now.saturating_duration_since(self.looked) >= INTERVAL;
        self.is_looking |= is_due;
        is_due
    }

    /// What to look at, and how it was.
    pub(super) fn files(&self) -> Vec<(PathBuf, Stamp)> {
        self.files.clone()
    }

    /// A look is over.
    pub(super) fn looked(&mut self) {
        self.is_looking = false;
        self.looked = Instant::now();
    }
}

/// Whether files are others than they were, and nobody is at them any more.
pub(super) fn has_changed(files: &[(PathBuf, Stamp)]) -> bool {
    files.iter().any(|(file, known)| stamp(file) != *known) && !files.iter().any(|(file, _)| is_fresh(file))
}

fn stamp(file: &Path) -> Stamp {
    let metadata = std::fs::metadata(file).ok()?;
    let (modified, changed) = ((metadata.mtime(), metadata.mtime_nsec()), (metadata.ctime(), metadata.ctime_nsec()));
    Some((metadata.dev(), metadata.ino(), metadata.len(), modified, changed))
}

/// Changed within the last second. A time in the future is a clock's fault, not a reason to wait for it.
fn is_fresh(file: &Path) -> bool {
    let modified = std::fs::metadata(file).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age < INTERVAL))
}
