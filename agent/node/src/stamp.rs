//! Whether a file or directory is still as it was, by its inode, size and times.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

/// A state of a file. Two equal stamps mean the same content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The state of a file; `None` while it was changed so recently that another change could carry the same time.
    pub(crate) fn of(metadata: &Metadata) -> Option<Self> {
        // File systems stamp with the clock of the last tick (10 ms at most), and some in whole seconds.
        const SETTLED: Duration = Duration::from_secs(2);
        let age = metadata.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        age.filter(|age| *age > SETTLED).map(|_| Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_changes_the_stamp() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let long_ago = SystemTime::now() - Duration::from_secs(60);
        let write = |content: &str| {
            std::fs::write(&path, content).unwrap();
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
            Stamp::of(&std::fs::metadata(&path).unwrap())
        };
        let first = write("one");
        assert!(first.is_some());
        assert_eq!(Stamp::of(&std::fs::metadata(&path).unwrap()), first);
        assert_ne!(write("three"), first);
    }

    #[test]
    fn what_has_just_changed_has_no_stamp() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), "one").unwrap();
        assert_eq!(Stamp::of(&std::fs::metadata(directory.path().join("file")).unwrap()), None);
    }
}
