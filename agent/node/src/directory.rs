//! What is in a directory of the kernel's.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::Path;

use agent_procfs::Error;

/// The names in a directory, in order; none where the kernel does not have the directory.
pub(crate) fn names(directory: &Path) -> Result<Vec<OsString>, Error> {
    match std::fs::read_dir(directory) {
        Ok(entries) => {
            let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
            names.sort_unstable();
            Ok(names)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(Error::Read { path: directory.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_order_or_none_or_an_error() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b", "a"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        assert_eq!(names(directory.path()).unwrap(), ["a", "b"]);
        assert_eq!(names(&directory.path().join("c")).unwrap(), [""; 0]);
        assert!(names(&directory.path().join("a")).is_err());
    }
}
