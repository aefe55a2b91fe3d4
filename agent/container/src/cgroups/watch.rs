//! What the kernel tells of changes in the trees of cgroups, so that what stands still need not be looked at.
//!
//! Groups are made and removed, and limits are set, by calls on files and directories, which inotify tells of on the
//! kernel's cgroup file systems as on any other; limits never change by themselves. A watch of a directory covers its
//! files and the directories right below. Where not all directories can be watched (the machine has a bound for it,
//! which others need too, or the file system is another machine's or a program's) nothing is told, and everything is
//! looked at each time.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::layout::Layout;
use super::tree::Key;

/// How many directories one user may have watched, over all programs.
const MOST_OF_ALL: &str = "/proc/sys/fs/inotify/max_user_watches";
/// The part of it that is taken at most.
const SHARE: usize = 4;
/// Where the bound cannot be read: that of older kernels.
const USUAL_MOST: usize = 8192;

/// File systems whose changes need not have been made on this machine: FUSE and NFS, by `linux/magic.h`.
const UNTOLD: &[u64] = &[0x6573_5546, 0x6969];

/// What happened since the last question.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// Groups came or went.
    pub(super) of_tree: bool,
    /// What was told is not all that happened.
    pub(super) is_incomplete: bool,
    /// Groups that were given something else.
    pub(super) limits: Vec<Key>,
}

/// The watches of all directories, or none.
#[derive(Debug, Default)]
pub(super) struct Watch {
    inotify: Option<OwnedFd>,
    keys: HashMap<i32, Key>,
    most: usize,
}

impl Watch {
    /// Without a directory as yet.
    pub(super) fn new(layout: &Layout) -> Self {
        let is_told = |path: &Path| rustix::fs::statfs(path).is_ok_and(|fs| !UNTOLD.contains(&(fs.f_type as u64)));
        if !layout.hierarchies.iter().all(|hierarchy| is_told(&hierarchy.path)) {
            return Self::default();
        }
        let most = std::fs::read_to_string(MOST_OF_ALL).ok().and_then(|most| most.trim().parse().ok());
        Self {
            inotify: inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok(),
            keys: HashMap::new(),
            most: most.unwrap_or(USUAL_MOST) / SHARE,
        }
    }

    /// Whether every directory that was to be watched is.
    pub(super) fn is_whole(&self) -> bool {
        self.inotify.is_some()
    }

    /// Tells of a directory from now on. If that cannot be, all are given up.
    pub(super) fn follow(&mut self, directory: &Path) -> Option<i32> {
        let kinds = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::MODIFY
            | WatchFlags::ONLYDIR;
        let inotify = self.inotify.as_ref()?;
        let result = match self.keys.len() < self.most {
            true => inotify::add_watch(inotify, directory, kinds),
            false => Err(Errno::NOSPC),
        };
        match result {
            Ok(watch) => Some(watch),
            // It has just gone, which the watch of the one above tells.
            Err(Errno::NOENT) => None,
            Err(error) => {
                tracing::info!(
                    "changes of cgroups are looked for at each scrape, because {} cannot be watched: {error}",
                    directory.display()
                );
                *self = Self::default();
                None
            }
        }
    }

    /// Says whose directory it is.
    pub(super) fn name(&mut self, watch: i32, key: Key) {
        self.keys.insert(watch, key);
    }

    /// What the kernel has told since the last time.
    pub(super) fn news(&mut self) -> News {
        let mut news = News { is_incomplete: !self.is_whole(), ..News::default() };
        let Some(inotify) = &self.inotify else { return news };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(inotify, &mut buffer);
        let failure = loop {
            let event = match events.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(error) => break error,
            };
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                news.is_incomplete = true;
            } else if flags.contains(ReadFlags::IGNORED) {
                self.keys.remove(&event.wd());
            } else if flags.contains(ReadFlags::MODIFY) {
                let is_limit = event.file_name().is_none_or(|name| !changes_by_itself(name.to_bytes()));
                if let Some(key) = self.keys.get(&event.wd()).filter(|_| is_limit) {
                    news.limits.push(*key);
                }
            } else {
                news.of_tree = true;
            }
        };
        if failure != Errno::AGAIN {
            *self = Self::default();
            news.is_incomplete = true;
        }
        news
    }
}

/// Files that are written to when processes come, or that the kernel tells of by itself.
fn changes_by_itself(name: &[u8]) -> bool {
    matches!(name, b"cgroup.procs" | b"cgroup.threads" | b"tasks")
        || name.windows(7).any(|part| part == b".events")
        || name.ends_with(b".pressure")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch_of(root: &Path) -> Watch {
        std::fs::create_dir_all(root.join("memory")).unwrap();
        std::fs::write(root.join("memory/cgroup.procs"), "").unwrap();
        Watch::new(&Layout::detect(root))
    }

    #[test]
    fn it_takes_no_more_than_its_share() {
        let root = tempfile::tempdir().unwrap();
        let mut watch = watch_of(root.path());
        assert!(watch.is_whole() && watch.most > 0);
        let first = watch.follow(root.path()).unwrap();
        watch.name(first, Key::default());
        watch.most = 1;
        assert_eq!(watch.follow(&root.path().join("memory")), None);
        assert!(!watch.is_whole(), "a part would tell of nothing that is left out");
        assert!(watch.news().is_incomplete);
    }

    #[test]
    fn what_is_not_there_is_no_failure() {
        let root = tempfile::tempdir().unwrap();
        let mut watch = watch_of(root.path());
        assert_eq!(watch.follow(&root.path().join("gone")), None);
        assert!(watch.is_whole());
    }

    #[test]
    fn more_than_is_kept_of_it_is_known_to_be_lost() {
        let root = tempfile::tempdir().unwrap();
        let mut watch = watch_of(root.path());
        let directory = watch.follow(root.path()).unwrap();
        watch.name(directory, Key::default());
        assert_eq!(watch.news(), News::default());
        let most = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        let most: usize = most.trim().parse().unwrap();
        for at in 0..=most {
            // Two files in turn, since the kernel keeps what is told twice in a row only once.
            std::fs::write(root.path().join(["a", "b"][at % 2]), "x").unwrap();
        }
        assert!(watch.news().is_incomplete);
        assert_eq!(watch.news(), News::default());
    }

    #[test]
    fn a_directory_that_went_is_forgotten() {
        let root = tempfile::tempdir().unwrap();
        let mut watch = watch_of(root.path());
        let below = root.path().join("below");
        std::fs::create_dir(&below).unwrap();
        for path in [root.path(), &below] {
            let directory = watch.follow(path).unwrap();
            watch.name(directory, Key::default());
        }
        std::fs::remove_dir(below).unwrap();
        assert!(watch.news().of_tree);
        assert_eq!(watch.keys.len(), 1);
    }
}
