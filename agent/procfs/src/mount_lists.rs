//! Where the mounts of the machine are listed.

use crate::{CachedFile, Error, Root};

/// The list of the first process, since that of this one is shorter inside a container, or this one's where another
/// process may not be seen (`hidepid`). With many containers it is long.
#[derive(Debug)]
pub struct MountLists([CachedFile; 2]);

impl MountLists {
    /// Touches nothing until it is read.
    pub fn new(root: &Root) -> Self {
        Self(["1/mountinfo", "self/mountinfo"].map(|list| CachedFile::new(root.proc(list))))
    }

    /// As [`CachedFile::is_unchanged`].
    pub fn is_unchanged(&self) -> bool {
        self.0.iter().any(CachedFile::is_unchanged)
    }

    /// What is mounted now, for [`mountinfo::parse`](crate::mountinfo::parse).
    ///
    /// # Errors
    /// When neither list can be read.
    pub fn read(&mut self) -> Result<&[u8], Error> {
        let Self([first, own]) = self;
        match first.read() {
            Ok(bytes) => Ok(bytes),
            Err(_) => own.read(),
        }
    }
}
