//! What disks are: udev's data and `/sys/block`, which hardly ever change, read only when they may have.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use agent_procfs::diskstats::Disk;
use agent_procfs::udev::{self, Properties};
use agent_procfs::{CachedFile, Root};

use crate::stamp::Stamp;

/// What a disk is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) major: String,
    pub(crate) minor: String,
    /// What udev knows about it; nothing where udev does not run.
    pub(crate) udev: Properties,
    /// Whether it turns.
    pub(crate) rotational: bool,
}

/// The identities of the disks of this machine.
///
/// udev replaces a device's file by another one, which changes the directory: as long as the directory has not
/// changed, no file has. What sysfs says has no such sign, and is read again now and then.
pub(crate) struct Identities {
    root: Root,
    /// Whether udev ran when this was made.
    has_udev: bool,
    stamp: Option<Stamp>,
    read_at: Option<Instant>,
    known: HashMap<(u32, u32), (String, Identity)>,
}

const READ_AGAIN_AFTER: Duration = Duration::from_secs(300);

impl Identities {
    pub(crate) fn new(root: &Root) -> Self {
        let has_udev = root.udev_data.is_dir();
        if !has_udev {
            tracing::info!(path = %root.udev_data.display(), "no udev data, disks go without model and serial number");
        }
        Self { root: root.clone(), has_udev, stamp: None, read_at: None, known: HashMap::new() }
    }

    /// Looks up disks that are new, or all of them when something may have changed.
    pub(crate) fn refresh(&mut self, disks: &[Disk]) {
        let stamp = self.stamp();
        let is_old = self.read_at.is_none_or(|at| at.elapsed() >= READ_AGAIN_AFTER);
        if is_old || (self.has_udev && (stamp.is_none() || stamp != self.stamp)) {
            self.known.clear();
            self.read_at = Some(Instant::now());
        }
        self.stamp = stamp;
        self.known.retain(|number, (name, _)| disks.iter().any(|d| (d.major, d.minor) == *number && d.name == name));
        for disk in disks {
            if !self.known.contains_key(&(disk.major, disk.minor)) {
                let identity = self.read(disk);
                self.known.insert((disk.major, disk.minor), (disk.name.to_owned(), identity));
            }
        }
    }

    /// What a disk is, as of the last refresh.
    pub(crate) fn get(&self, disk: &Disk) -> Option<&Identity> {
        self.known.get(&(disk.major, disk.minor)).map(|(_, identity)| identity)
    }

    fn stamp(&self) -> Option<Stamp> {
        self.has_udev.then(|| std::fs::metadata(&self.root.udev_data).ok())?.and_then(|m| Stamp::of(&m))
    }

    /// A file that cannot be read says nothing: most devices have none.
    fn read(&self, disk: &Disk) -> Identity {
        let Disk { major, minor, name, .. } = disk;
        let properties = self.has_udev.then(|| {
            let mut file = CachedFile::new(self.root.udev_data.join(format!("b{major}:{minor}")));
            file.read().map(udev::parse).unwrap_or_default()
        });
        // A slash in a device's name stands as an exclamation mark in sysfs.
        let directory = name.replace('/', "!");
        let mut rotational = CachedFile::new(self.root.sys(format!("block/{directory}/queue/rotational")));
        Identity {
            major: major.to_string(),
            minor: minor.to_string(),
            udev: properties.unwrap_or_default(),
            rotational: rotational.read().is_ok_and(|bytes| bytes.trim_ascii() == b"1"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::SystemTime;

    use super::*;

    fn age(path: &Path, seconds: u64) {
        let at = SystemTime::now() - Duration::from_secs(seconds);
        fs::File::open(path).unwrap().set_modified(at).unwrap();
    }

    fn model(identities: &mut Identities, line: &str) -> Option<String> {
        let disks = agent_procfs::diskstats::parse(line.as_bytes()).value;
        identities.refresh(&disks);
        identities.get(&disks[0]).unwrap().udev.get("ID_MODEL").map(str::to_owned)
    }

    #[test]
    fn files_are_read_again_only_when_the_directory_has_changed() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root { udev_data: directory.path().to_owned(), ..Root::default() };
        let file = directory.path().join("b8:0");
        fs::write(&file, "E:ID_MODEL=one\n").unwrap();
        age(directory.path(), 60);
        let mut identities = Identities::new(&root);
        let sda = "8 0 sda 1 2 3 4 5 6 7 8 9 10 11";
        assert_eq!(model(&mut identities, sda).as_deref(), Some("one"));
        // Written in place, which udev never does, and the directory is as before: nobody notices.
        fs::write(&file, "E:ID_MODEL=two\n").unwrap();
        assert_eq!(model(&mut identities, sda).as_deref(), Some("one"));
        age(directory.path(), 50);
        assert_eq!(model(&mut identities, sda).as_deref(), Some("two"));
        // A directory that has just changed is not trusted.
        age(directory.path(), 0);
        assert_eq!(model(&mut identities, sda).as_deref(), Some("two"));
        fs::write(&file, "E:ID_MODEL=three\n").unwrap();
        assert_eq!(model(&mut identities, sda).as_deref(), Some("three"));
    }

    #[test]
    fn another_disk_of_the_same_number_is_looked_up() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root { sysfs: directory.path().to_owned(), udev_data: "/nonexistent".into(), ..Root::default() };
        fs::create_dir_all(root.sys("block/cciss!c0d0/queue")).unwrap();
        fs::write(root.sys("block/cciss!c0d0/queue/rotational"), "1\n").unwrap();
        let mut identities = Identities::new(&root);
        for (line, want) in
            [("8 0 sda 1 2 3 4 5 6 7 8 9 10 11", false), ("8 0 cciss/c0d0 1 2 3 4 5 6 7 8 9 10 11", true)]
        {
            let disks = agent_procfs::diskstats::parse(line.as_bytes()).value;
            identities.refresh(&disks);
            assert_eq!(identities.get(&disks[0]).unwrap().rotational, want);
            assert_eq!(identities.known.len(), 1);
        }
    }
}
