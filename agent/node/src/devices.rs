//! The devices of a class, such as the directories below `/sys/class/hwmon`: which there are now.

use std::collections::BTreeMap;
use std::fs::DirEntry;
use std::io;
use std::os::unix::fs::DirEntryExt;
use std::path::PathBuf;

use agent_procfs::Error;

/// What is kept of each device of a directory, as long as the device is there.
#[derive(Debug)]
pub(crate) struct Devices<D> {
    directory: PathBuf,
    known: BTreeMap<String, Known<D>>,
    round: u64,
}

#[derive(Debug)]
struct Known<D> {
    /// Another device of the same name has another number.
    inode: u64,
    seen: u64,
    /// Nothing for an entry that is not wanted.
    device: Option<D>,
}

impl<D> Devices<D> {
    /// Touches nothing until it is refreshed.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, known: BTreeMap::new(), round: 0 }
    }

    /// Lists the directory, and says whether it is there. `open` makes what is kept of a new device from its name and
    /// directory, or nothing for an entry that is not wanted; it is asked once. Devices that are gone are forgotten.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub(crate) fn refresh(&mut self, mut open: impl FnMut(&str, PathBuf) -> Option<D>) -> Result<bool, Error> {
        self.round += 1;
        let entries = match std::fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.known.clear();
                return Ok(false);
            }
            Err(source) => return Err(Error::Read { path: self.directory.clone(), source }),
        };
        for entry in entries {
            let entry = entry.map_err(|source| Error::Read { path: self.directory.clone(), source })?;
            self.see(&entry, &mut open);
        }
        self.known.retain(|_, known| known.seen == self.round);
        Ok(true)
    }

    fn see(&mut self, entry: &DirEntry, open: &mut impl FnMut(&str, PathBuf) -> Option<D>) {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { return };
        match self.known.get_mut(name) {
            Some(known) if known.inode == entry.ino() => known.seen = self.round,
            _ => {
                let device = open(name, entry.path());
                self.known.insert(name.to_owned(), Known { inode: entry.ino(), seen: self.round, device });
            }
        }
    }

    /// The devices as of the last refresh, by name.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut D)> {
        self.known.iter_mut().filter_map(|(name, known)| Some((name.as_str(), known.device.as_mut()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_come_and_go() {
        let directory = tempfile::tempdir().unwrap();
        let mut devices = Devices::new(directory.path().join("class"));
        let mut opened = 0;
        let mut refresh = || {
            devices
                .refresh(|name, _| {
                    opened += 1;
                    Some(opened).filter(|_| name != "unwanted")
                })
                .unwrap();
            devices.iter_mut().map(|(name, number)| format!("{name} {number}")).collect::<Vec<_>>()
        };
        assert!(refresh().is_empty());
        let path = |name: &str| directory.path().join("class").join(name);
        std::fs::create_dir_all(path("b")).unwrap();
        assert_eq!(refresh(), ["b 1"]);
        std::fs::create_dir(path("unwanted")).unwrap();
        assert_eq!(refresh(), ["b 1"]);
        std::fs::create_dir(path("a")).unwrap();
        assert_eq!(refresh(), ["a 3", "b 1"]);
        // Another one in its place, with another inode number because the old one still exists.
        std::fs::rename(path("b"), directory.path().join("old")).unwrap();
        std::fs::create_dir(path("b")).unwrap();
        assert_eq!(refresh(), ["a 3", "b 4"]);
        std::fs::remove_dir_all(directory.path().join("class")).unwrap();
        assert!(refresh().is_empty());
    }

    #[test]
    fn what_is_no_directory_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Devices::<()>::new(file.path().to_owned()).refresh(|_, _| None).is_err());
    }
}
