//! The providers of one job at work.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::updates::Groups;
use crate::{Context, DiscoveryConfig, DiscoveryError, Provider, TargetGroup, Updates};

/// How long targets of providers that are no longer configured stay while their successors look around.
const HANDOVER: Duration = Duration::from_secs(5);

/// Runs the providers of one job. Dropping it stops them.
#[derive(Debug)]
pub struct JobDiscovery {
    context: Context,
    groups: Arc<Groups>,
    running: Vec<Running>,
    next_provider: u64,
}

#[derive(Debug)]
struct Running {
    config: DiscoveryConfig,
    provider: u64,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl JobDiscovery {
    /// A job without providers; [`apply`](Self::apply) gives it some.
    pub fn new(job: &str, context: Context) -> Self {
        let groups = Arc::new(Groups::new(job, context.metrics.clone()));
        Self { context, groups, running: Vec::new(), next_provider: 0 }
    }

    /// Prepares the providers that a list needs and the job does not run yet, without starting them.
    ///
    /// # Errors
    /// When one of them cannot be built; the job goes on as before.
    pub fn prepare(&self, configs: &[DiscoveryConfig]) -> Result<Prepared, DiscoveryError> {
        let mut unclaimed: Vec<&Running> = self.running.iter().collect();
        let mut providers = Vec::new();
        for config in configs {
            match unclaimed.iter().position(|running| running.config == *config) {
                Some(position) => {
                    let kept = unclaimed.swap_remove(position);
                    providers.push((config.clone(), Plan::Keep(kept.provider)));
                }
                None => providers.push((config.clone(), Plan::Start(config.build(&self.context)?))),
            }
        }
        Ok(Prepared { providers })
    }

    /// Puts a prepared list in force. Providers that are on it already run on untouched. The targets of those that
    /// left stay until the new ones have reported, for five seconds at most, so that a changed entry
    /// leaves no gap. Call it inside a tokio runtime.
    pub fn apply(&mut self, prepared: Prepared) {
        let mut old = std::mem::take(&mut self.running);
        let mut started = Vec::new();
        for (config, plan) in prepared.providers {
            match plan {
                Plan::Keep(provider) => {
                    let kept = old.iter().position(|running| running.provider == provider);
                    self.running.extend(kept.map(|position| old.swap_remove(position)));
                }
                Plan::Start(provider) => {
                    let running = self.start(config, provider);
                    started.push(running.provider);
                    self.running.push(running);
                }
            }
        }
        let retired: Vec<u64> = old.iter().map(|running| running.provider).collect();
        drop(old);
        if retired.is_empty() {
        } else if started.is_empty() {
            self.groups.remove_providers(&retired);
        } else {
            tokio::spawn(retire(Arc::clone(&self.groups), retired, started));
        }
    }

    fn start(&mut self, config: DiscoveryConfig, provider: Box<dyn Provider>) -> Running {
        let id = self.next_provider;
        self.next_provider += 1;
        self.groups.add_provider(id);
        let updates = Updates { groups: Arc::clone(&self.groups), provider: id };
        Running { config, provider: id, task: tokio::spawn(provider.run(updates)) }
    }

    /// The newest groups.
    pub fn groups(&self) -> JobGroups {
        JobGroups { changes: self.groups.subscribe(), groups: Arc::clone(&self.groups) }
    }
}

async fn retire(groups: Arc<Groups>, retired: Vec<u64>, started: Vec<u64>) {
    let mut changes = groups.subscribe();
    let reported = changes.wait_for(|_| groups.have_reported(&started));
    // Whether they reported or ran out of time, what they replace goes.
    let _ = tokio::time::timeout(HANDOVER, reported).await;
    groups.remove_providers(&retired);
}

/// Providers ready to be put in force by [`JobDiscovery::apply`].
#[derive(Default)]
pub struct Prepared {
    providers: Vec<(DiscoveryConfig, Plan)>,
}

enum Plan {
    Keep(u64),
    Start(Box<dyn Provider>),
}

/// A view of a job's groups that can be waited on.
#[derive(Clone, Debug)]
pub struct JobGroups {
    groups: Arc<Groups>,
    changes: watch::Receiver<u64>,
}

impl JobGroups {
    /// The newest groups, in a fixed order; what has changed up to now counts as seen.
    pub fn current(&mut self) -> Vec<Arc<TargetGroup>> {
        self.changes.mark_unchanged();
        self.groups.all()
    }

    /// Waits for a change since the last look.
    pub async fn changed(&mut self) {
        // The sender lives in `groups`, so it cannot be gone.
        let _ = self.changes.changed().await;
    }
}
