//! What several collectors of one scrape read together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use agent_procfs::Root;
use agent_procfs::rtnetlink::{GET_LINK, Link, Message};
use agent_procfs::stat::{self, Stat};

use crate::netlink::Netlink;
use crate::source::Source;
use crate::{CollectError, Scrape};

/// `/proc/stat`, read once per scrape: on machines with many CPUs and interrupts it is the dearest file there is.
#[derive(Debug)]
pub(crate) struct SharedStat {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    source: Source,
    last: Option<(u64, Arc<Stat>)>,
}

impl SharedStat {
    pub(crate) fn new(root: &Root) -> Self {
        Self { inner: Mutex::new(Inner { source: Source::new(root.proc("stat")), last: None }) }
    }

    /// The file as the first collector that asked in this scrape found it.
    pub(crate) fn get(&self, scrape: u64) -> Result<Arc<Stat>, CollectError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((number, stat)) = &inner.last
            && *number == scrape
        {
            return Ok(Arc::clone(stat));
        }
        inner.last = None;
        let stat = Arc::new(inner.source.parse_lossy(stat::parse)?);
        inner.last = Some((scrape, Arc::clone(&stat)));
        Ok(stat)
    }
}

/// All network devices, asked for once per scrape: the kernel holds its network lock while it answers.
#[derive(Debug, Default)]
pub(crate) struct SharedLinks {
    inner: Mutex<Links>,
}

#[derive(Debug, Default)]
struct Links {
    netlink: Netlink,
    last: Option<(u64, Arc<Vec<Link>>)>,
}

impl SharedLinks {
    /// The devices as the first collector that asked in this scrape found them.
    ///
    /// # Errors
    /// When the kernel does not answer by the deadline or refuses; the next one that asks tries again.
    pub(crate) fn get(&self, scrape: Scrape) -> Result<Arc<Vec<Link>>, CollectError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((number, links)) = &inner.last
            && *number == scrape.number
        {
            return Ok(Arc::clone(links));
        }
        inner.last = None;
        let mut links = Vec::new();
        inner.netlink.dump(GET_LINK, scrape.deadline, |message| {
            if let Message::Link(link) = message {
                links.push(*link);
            }
        })?;
        let links = Arc::new(links);
        inner.last = Some((scrape.number, Arc::clone(&links)));
        Ok(links)
    }
}

/// The names of devices by their numbers.
pub(crate) fn names(links: &[Link]) -> HashMap<u32, &str> {
    links.iter().map(|link| (link.index, link.name.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn one_scrape_reads_once() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root { procfs: directory.path().to_owned(), ..Root::default() };
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
}
