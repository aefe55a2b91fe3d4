//! What several collectors of one scrape read together.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use agent_procfs::mountinfo::{self, Mount};
use agent_procfs::rtnetlink::{GET_LINK, Link, Message};
use agent_procfs::stat::{self, Stat};
use agent_procfs::{Lossy, MountLists, Root};

use crate::netlink::Netlink;
use crate::source::{Source, keep};
use crate::{CollectError, Scrape};

/// What the first collector that asks in a scrape has read, for all that ask in the same one.
#[derive(Debug)]
struct OncePerScrape<S, T> {
    inner: Mutex<Inner<S, T>>,
}

#[derive(Debug)]
struct Inner<S, T> {
    source: S,
    /// With the number of its scrape, unless it is no longer to be believed.
    last: Option<(Option<u64>, Arc<T>)>,
}

impl<S, T> OncePerScrape<S, T> {
    fn new(source: S) -> Self {
        Self { inner: Mutex::new(Inner { source, last: None }) }
    }

    /// The value of that scrape. `read` makes it from the source, and may give that of the scrape before again. When
    /// it fails, the next one that asks tries again.
    fn get(
        &self,
        scrape: u64,
        read: impl FnOnce(&mut S, Option<Arc<T>>) -> Result<Arc<T>, CollectError>,
    ) -> Result<Arc<T>, CollectError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match inner.last.take() {
            Some((Some(number), value)) if number == scrape => {
                inner.last = Some((Some(number), Arc::clone(&value)));
                return Ok(value);
            }
            before => before.map(|(_, value)| value),
        };
        let value = read(&mut inner.source, before)?;
        inner.last = Some((Some(scrape), Arc::clone(&value)));
        Ok(value)
    }

    /// Has the value read again although it was read in this scrape.
    fn outdate(&self, note: impl FnOnce(&mut S)) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((scrape, _)) = &mut inner.last {
            *scrape = None;
        }
        note(&mut inner.source);
    }
}

/// `/proc/stat`: on machines with many CPUs and interrupts it is the dearest file there is.
#[derive(Debug)]
pub(crate) struct SharedStat(OncePerScrape<Source, Stat>);

impl SharedStat {
    pub(crate) fn new(root: &Root) -> Self {
        Self(OncePerScrape::new(Source::new(root.proc("stat")).with_short_lines()))
    }

    /// The file as the first collector that asked in this scrape found it.
    pub(crate) fn get(&self, scrape: u64) -> Result<Arc<Stat>, CollectError> {
        self.0.get(scrape, |source, _| Ok(Arc::new(source.parse_lossy(stat::parse)?)))
    }
}

/// All network devices: the kernel holds its network lock while it answers.
#[derive(Debug)]
pub(crate) struct SharedLinks(OncePerScrape<Netlink, Vec<Link>>);

impl Default for SharedLinks {
    fn default() -> Self {
        Self(OncePerScrape::new(Netlink::default()))
    }
}

impl SharedLinks {
    /// The devices as the first collector that asked in this scrape found them.
    ///
    /// # Errors
    /// When the kernel does not answer by the deadline or refuses; the next one that asks tries again.
    pub(crate) fn get(&self, scrape: Scrape) -> Result<Arc<Vec<Link>>, CollectError> {
        self.0.get(scrape.number, |netlink, before| {
            let mut links = Vec::with_capacity(before.map_or(0, |links| links.len()));
            netlink.dump(GET_LINK, scrape.deadline, |message| {
                if let Message::Link(link) = message {
                    links.push(*link);
                }
            })?;
            Ok(Arc::new(links))
        })
    }
}

/// The names of devices by their numbers.
pub(crate) fn names(links: &[Link]) -> HashMap<u32, &str> {
    links.iter().map(|link| (link.index, link.name.as_str())).collect()
}

/// A question about network devices, such as which routes lead through them: to rtnetlink, over a connection of its
/// own, and beside it the devices themselves.
#[derive(Debug)]
pub(crate) struct LinkQuestion {
    links: Arc<SharedLinks>,
    netlink: Netlink,
    scrape: Option<Scrape>,
}

impl LinkQuestion {
    pub(crate) fn new(links: &Arc<SharedLinks>) -> Self {
        Self { links: Arc::clone(links), netlink: Netlink::default(), scrape: None }
    }

    /// For which scrape the next question is.
    pub(crate) fn begin(&mut self, scrape: Scrape) {
        self.scrape = Some(scrape);
    }

    /// The devices of this scrape, and what the kernel answers. `request` and `answer` are a parser's.
    ///
    /// # Errors
    /// When the kernel does not answer by the deadline or refuses.
    pub(crate) fn ask<T>(
        &mut self,
        request: fn(u32) -> Vec<u8>,
        answer: impl Fn(&[u8], u32, &mut dyn FnMut(T)) -> Result<bool, i32>,
    ) -> Result<(Arc<Vec<Link>>, Vec<T>), CollectError> {
        let scrape = self.scrape.unwrap_or_else(Scrape::untold);
        let links = self.links.get(scrape)?;
        let mut found = Vec::new();
        self.netlink.ask(request, scrape.deadline, |datagram, sequence| {
            answer(datagram, sequence, &mut |item| found.push(item))
        })?;
        Ok((links, found))
    }
}

/// The list of mounts. It stays the same value as long as nothing in it has changed.
#[derive(Debug)]
pub(crate) struct SharedMounts(OncePerScrape<MountFiles, MountTable>);

#[derive(Debug)]
struct MountFiles {
    lists: MountLists,
    /// Where bad lines are said to be, once.
    path: PathBuf,
    complained: bool,
    /// Whether the list may be another although the kernel tells of no change.
    is_doubted: bool,
}

/// A list of mounts as the kernel printed it.
#[derive(Debug)]
pub(crate) struct MountTable {
    bytes: Vec<u8>,
}

impl SharedMounts {
    pub(crate) fn new(root: &Root) -> Self {
        Self(OncePerScrape::new(MountFiles {
            lists: MountLists::new(root),
            path: root.proc("1/mountinfo"),
            complained: false,
            is_doubted: false,
        }))
    }

    /// The list as the first collector that asked in this scrape found it.
    pub(crate) fn get(&self, scrape: u64) -> Result<Arc<MountTable>, CollectError> {
        self.0.get(scrape, |MountFiles { lists, path, complained, is_doubted }, before| {
            if let Some(table) = &before
                && !std::mem::take(is_doubted)
                && lists.is_unchanged()
            {
                return Ok(Arc::clone(table));
            }
            let bytes = lists.read()?;
            match before {
                Some(table) if table.bytes == bytes => Ok(table),
                _ => {
                    let table = Arc::new(MountTable { bytes: bytes.to_vec() });
                    // Bad lines are said here, for all.
                    keep(path, complained, mountinfo::parse(&table.bytes));
                    Ok(table)
                }
            }
        })
    }
}

/// What a collector works out from the list of mounts, again only when the list has changed.
#[derive(Debug)]
pub(crate) struct FromMounts<T> {
    mounts: Arc<SharedMounts>,
    table: Option<Arc<MountTable>>,
    value: T,
}

impl<T: Default> FromMounts<T> {
    pub(crate) fn new(mounts: &Arc<SharedMounts>) -> Self {
        Self { mounts: Arc::clone(mounts), table: None, value: T::default() }
    }

    /// What `work_out` made of the list as it is in this scrape.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub(crate) fn get(&mut self, scrape: u64, work_out: impl FnOnce(&[Mount]) -> T) -> Result<&mut T, CollectError> {
        let table = self.mounts.get(scrape)?;
        if !self.table.as_ref().is_some_and(|known| Arc::ptr_eq(known, &table)) {
            let Lossy { value: mounts, .. } = mountinfo::parse(&table.bytes);
            self.value = work_out(&mounts);
            self.table = Some(table);
        }
        Ok(&mut self.value)
    }

    /// Has the list read again: something in it is no longer so.
    pub(crate) fn doubt(&self) {
        self.mounts.0.outdate(|files| files.is_doubted = true);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn root(directory: &tempfile::TempDir) -> Root {
        Root { procfs: directory.path().to_owned(), ..Root::default() }
    }

    #[test]
    fn one_scrape_reads_once() {
        let directory = tempfile::tempdir().unwrap();
        let root = root(&directory);
        let shared = SharedStat::new(&root);
        assert!(shared.get(1).is_err());
        std::fs::write(root.proc("stat"), "ctxt 1\n").unwrap();
        assert_eq!(shared.get(1).unwrap().context_switches, Some(1));
        std::fs::write(root.proc("stat"), "ctxt 2\n").unwrap();
        assert_eq!(shared.get(1).unwrap().context_switches, Some(1));
        assert_eq!(shared.get(2).unwrap().context_switches, Some(2));
    }

    #[test]
    fn one_scrape_asks_once() {
        let links = SharedLinks::default();
        let get = |number| links.get(Scrape { number, deadline: Instant::now() + Duration::from_secs(5) }).unwrap();
        let first = get(1);
        assert!(first.iter().any(|link| link.name == "lo"));
        assert!(Arc::ptr_eq(&first, &get(1)));
        assert!(!Arc::ptr_eq(&first, &get(2)));
    }

    #[test]
    fn mounts_are_worked_through_when_they_change() {
        let directory = tempfile::tempdir().unwrap();
        let root = root(&directory);
        let mut points = FromMounts::new(&Arc::new(SharedMounts::new(&root)));
        let mut work = 0;
        let mut get = |scrape| {
            let found = points.get(scrape, |mounts| {
                work += 1;
                mounts.iter().map(|mount| String::from_utf8_lossy(&mount.mount_point).into_owned()).collect::<Vec<_>>()
            });
            (found.map(|points| points.join(" ")).ok(), work)
        };
        assert_eq!(get(1), (None, 0));
        let write = |process: &str, mount_point: &str| {
            std::fs::create_dir_all(root.proc(process)).unwrap();
            let line = format!("1 0 8:1 / {mount_point} rw - ext4 /dev/sda1 rw\n");
            std::fs::write(root.proc(process).join("mountinfo"), line).unwrap();
        };
        write("self", "/own");
        assert_eq!(get(2), (Some("/own".to_owned()), 1));
        assert_eq!(get(3), (Some("/own".to_owned()), 1));
        write("1", "/first");
        assert_eq!(get(3), (Some("/own".to_owned()), 1));
        assert_eq!(get(4), (Some("/first".to_owned()), 2));
    }
}
