//! Where providers report to: the newest group of every source, and a bell.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{Metrics, TargetGroup};

/// The newest groups of one job. Reports replace each other in place, so there is no queue to fill.
#[derive(Debug)]
pub(crate) struct Groups {
    job: String,
    state: Mutex<BTreeMap<u64, Found>>,
    changes: watch::Sender<u64>,
    metrics: Metrics,
}

/// What one provider has reported.
#[derive(Debug, Default)]
struct Found {
    reported: bool,
    groups: BTreeMap<String, Arc<TargetGroup>>,
}

impl Groups {
    pub(crate) fn new(job: &str, metrics: Metrics) -> Self {
        Self { job: job.to_owned(), state: Mutex::default(), changes: watch::Sender::new(0), metrics }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn add_provider(&self, provider: u64) {
        self.state.lock().insert(provider, Found::default());
    }

    pub(crate) fn remove_providers(&self, providers: &[u64]) {
        let mut state = self.state.lock();
        state.retain(|provider, _| !providers.contains(provider));
        self.announce(&state);
    }

    /// Whether all these providers have reported at least once.
    pub(crate) fn have_reported(&self, providers: &[u64]) -> bool {
        let state = self.state.lock();
        providers.iter().all(|provider| state.get(provider).is_none_or(|found| found.reported))
    }

    pub(crate) fn all(&self) -> Vec<Arc<TargetGroup>> {
        self.state.lock().values().flat_map(|found| found.groups.values().cloned()).collect()
    }

    fn report(&self, provider: u64, groups: Vec<TargetGroup>) {
        let mut state = self.state.lock();
        // A provider that was removed meanwhile has nothing to say any more.
        let Some(found) = state.get_mut(&provider) else { return };
        found.reported = true;
        for group in groups {
            if group.targets.is_empty() {
                found.groups.remove(&group.source);
            } else {
                found.groups.insert(group.source.clone(), Arc::new(group));
            }
        }
        self.metrics.received_updates.inc();
        self.announce(&state);
    }

    fn announce(&self, state: &BTreeMap<u64, Found>) {
        let targets: usize = state.values().flat_map(|f| f.groups.values()).map(|g| g.targets.len()).sum();
        let gauge = self.metrics.discovered_targets.get_or_create(&Metrics::job(&self.job));
        gauge.set(i64::try_from(targets).unwrap_or(i64::MAX));
        self.changes.send_modify(|version| *version += 1);
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        self.metrics.discovered_targets.remove(&Metrics::job(&self.job));
    }
}

/// A provider's end of the line to its job.
#[derive(Clone, Debug)]
pub struct Updates {
    pub(crate) groups: Arc<Groups>,
    pub(crate) provider: u64,
}

impl Updates {
    /// Reports groups: each replaces the one of the same source, an empty one removes it. Sources that are not
    /// named keep what they had. Never waits.
    pub fn send(&self, groups: Vec<TargetGroup>) {
        self.groups.report(self.provider, groups);
    }
}
