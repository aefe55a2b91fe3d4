//! What several collectors of one scrape read together.

use std::sync::{Arc, Mutex, PoisonError};

use agent_procfs::Root;
use agent_procfs::stat::{self, Stat};

use crate::CollectError;
use crate::source::Source;

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

#[cfg(test)]
mod tests {
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
}
