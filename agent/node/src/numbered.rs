//! Directories that differ by a number, such as `node0` and `node1`, each with what is kept open below it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use agent_procfs::{Error, scan};

use crate::directory;

/// The directories `PREFIX0`, `PREFIX1`, … of one directory.
pub(crate) struct Numbered<T> {
    directory: PathBuf,
    prefix: &'static str,
    make: fn(PathBuf) -> T,
    known: BTreeMap<u64, T>,
}

impl<T> Numbered<T> {
    pub(crate) fn new(directory: PathBuf, prefix: &'static str, make: fn(PathBuf) -> T) -> Self {
        Self { directory, prefix, make, known: BTreeMap::new() }
    }

    /// Those that are there now, by number; what was made for one that was there before is kept. None when the
    /// directory is not there.
    pub(crate) fn list(&mut self) -> Result<impl Iterator<Item = (u64, &mut T)>, Error> {
        let numbers = self.numbers()?;
        self.known.retain(|number, _| numbers.contains(number));
        for number in numbers {
            let make = || (self.make)(self.directory.join(format!("{}{number}", self.prefix)));
            self.known.entry(number).or_insert_with(make);
        }
        Ok(self.known.iter_mut().map(|(number, made)| (*number, made)))
    }

    fn numbers(&self) -> Result<Vec<u64>, Error> {
        let number = |name: &std::ffi::OsStr| scan::number(name.to_str()?.strip_prefix(self.prefix)?.as_bytes());
        Ok(directory::names(&self.directory)?.iter().filter_map(|name| number(name)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_and_go() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("system");
        let mut numbered = Numbered::new(path.clone(), "node", |path| path);
        assert_eq!(numbered.list().unwrap().count(), 0);
        for name in ["node1", "node10", "node2", "node", "nodex", "other3"] {
            std::fs::create_dir_all(path.join(name)).unwrap();
        }
        let numbers: Vec<_> = numbered.list().unwrap().map(|(number, path)| (number, path.clone())).collect();
        assert_eq!(numbers, [1, 2, 10].map(|n| (n, path.join(format!("node{n}")))));
        std::fs::remove_dir(path.join("node2")).unwrap();
        assert_eq!(numbered.list().unwrap().map(|(number, _)| number).collect::<Vec<_>>(), [1, 10]);
    }
}
