//! What is in a directory of the kernel's.

use std::io::ErrorKind;
use std::path::Path;

use agent_procfs::Error;

/// The names in a directory, in order; none where the kernel does not have the directory. It gives none that is no
/// text.
pub(crate) fn names(directory: &Path) -> Result<Vec<String>, Error> {
    match std::fs::read_dir(directory) {
        Ok(entries) => {
            let mut names: Vec<_> =
                entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
            names.sort_unstable();
            Ok(names)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(Error::Read { path: directory.to_owned(), source }),
    }
}

/// The number in a name such as `node1`, after its prefix.
pub(crate) fn number_after<'a>(prefix: &str, name: &'a str) -> Option<&'a str> {
    name.strip_prefix(prefix).filter(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
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

    #[test]
    fn names_with_a_number() {
        let numbers = ["node1", "node10", "node", "nodex", "node1-2", "other3"].map(|name| number_after("node", name));
        assert_eq!(numbers, [Some("1"), Some("10"), None, None, None, None]);
    }
}
