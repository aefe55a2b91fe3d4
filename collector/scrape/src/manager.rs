//! All jobs: takes a configuration as a whole, and shows what goes on.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use collector_discovery::{Context, DiscoveryError, JobDiscovery, Prepared};
use collector_http::{ClientError, HttpClient};
use collector_model::{Append, Clock, Labels};
use http::HeaderValue;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::task::JoinSet;
use url::Url;

use crate::config::accept;
use crate::metrics::Metrics;
use crate::pool::{Active, Pool, Tasks};
use crate::settings::{JobSettings, Options, Shared};
use crate::status::{ActiveTarget, DroppedTarget, TargetMetadata, Targets};
use crate::{ConfigError, ScrapeJob};

/// A configuration could not be put in force; the one before goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The HTTP client of a job could not be built.
    #[error("cannot build the HTTP client of job {job:?}")]
    Client {
        /// Which job.
        job: String,
        /// Why.
        source: ClientError,
    },
    /// The discovery of a job could not be set up.
    #[error("cannot set up the discovery of job {job:?}")]
    Discovery {
        /// Which job.
        job: String,
        /// Why.
        source: DiscoveryError,
    },
    /// The jobs contradict each other.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Scrapes all jobs. Its methods may be called from any thread; [`apply`](Self::apply) and [`stop`](Self::stop)
/// need a tokio runtime around them.
pub struct ScrapeManager {
    shared: Arc<Shared>,
    discovery: Context,
    tasks: Tasks,
    pools: Mutex<BTreeMap<String, Pool>>,
}

/// What is ready for one job before anything is changed.
struct Plan {
    settings: JobSettings,
    discovery: Prepared,
    /// For a job that is new.
    fresh: Option<JobDiscovery>,
}

impl ScrapeManager {
    /// A manager without jobs. Samples go to `append`, times come from `clock`, counters to `registry`.
    pub fn new(append: Arc<dyn Append>, clock: Arc<dyn Clock>, options: Options, registry: &mut Registry) -> Self {
        let discovery = Context {
            metrics: collector_discovery::Metrics::register(registry),
            user_agent: options.user_agent.clone(),
        };
        let shared = Shared {
            append,
            clock,
            options,
            metrics: Metrics::register(registry),
            text_seed: std::hash::RandomState::new().hash_one(0_u8),
            scratches: Mutex::default(),
        };
        Self { shared: Arc::new(shared), discovery, tasks: Tasks::default(), pools: Mutex::default() }
    }

    /// Puts a configuration in force: all of it, or on an error nothing. Jobs that it does not change are not
    /// touched; of a changed one, targets that stay the same keep their schedule and their caches. The series of
    /// targets that are gone end two intervals later, unless somebody goes on with them.
    ///
    /// # Errors
    /// When two jobs have one name, or a file that a job's HTTP client needs cannot be used.
    pub fn apply(&self, jobs: Vec<ScrapeJob>, external_labels: &Labels) -> Result<(), ApplyError> {
        let mut pools = self.pools.lock();
        let planned = self.plan(&pools, jobs, external_labels);
        if planned.is_err() {
            self.shared.metrics.pool_reloads_failed.inc();
        }
        let mut planned = planned?;
        pools.retain(|name, _| planned.contains_key(name));
        for (name, pool) in pools.iter_mut() {
            if let Some(Some(plan)) = planned.remove(name) {
                pool.reload(plan.settings, plan.discovery);
            }
        }
        for (name, plan) in planned {
            if let Some(Plan { settings, discovery: prepared, fresh: Some(mut discovery) }) = plan {
                discovery.apply(prepared);
                let (shared, tasks) = (Arc::clone(&self.shared), Arc::clone(&self.tasks));
                pools.insert(name, Pool::start(shared, tasks, discovery, settings));
            }
        }
        Ok(())
    }

    /// What to do for each job; nothing (`None`) for those that stay as they are.
    fn plan(
        &self,
        pools: &BTreeMap<String, Pool>,
        jobs: Vec<ScrapeJob>,
        external_labels: &Labels,
    ) -> Result<BTreeMap<String, Option<Plan>>, ApplyError> {
        let offset_seed = self.offset_seed(external_labels);
        let mut planned = BTreeMap::new();
        for job in jobs {
            let name = job.name.clone();
            let current = pools.get(&name).map(Pool::settings);
            let unchanged = current.as_ref().is_some_and(|c| c.job == job && c.offset_seed == offset_seed);
            let plan = if unchanged {
                None
            } else {
                Some(self.plan_job(job, current.as_deref(), pools.get(&name), offset_seed)?)
            };
            if planned.insert(name.clone(), plan).is_some() {
                return Err(ConfigError::DuplicateJob(name).into());
            }
        }
        Ok(planned)
    }

    fn plan_job(
        &self,
        job: ScrapeJob,
        current: Option<&JobSettings>,
        pool: Option<&Pool>,
        offset_seed: u64,
    ) -> Result<Plan, ApplyError> {
        let client = match current {
            // The old client has connections that are still good.
            Some(current) if current.job.client == job.client => current.client.clone(),
            _ => HttpClient::build(&job.client, &self.shared.options.user_agent)
                .map_err(|source| ApplyError::Client { job: job.name.clone(), source })?,
        };
        let fresh = pool.is_none().then(|| JobDiscovery::new(&job.name, self.discovery.clone()));
        let prepared = match (pool, &fresh) {
            (Some(pool), _) => pool.discovery.prepare(&job.discovery),
            (None, Some(fresh)) => fresh.prepare(&job.discovery),
            (None, None) => Ok(Prepared::default()),
        };
        let discovery = prepared.map_err(|source| ApplyError::Discovery { job: job.name.clone(), source })?;
        let accept = accept(&job.protocols, job.escaping);
        // It is made of constants, all of them plain ASCII.
        let accept = HeaderValue::from_str(&accept).unwrap_or(HeaderValue::from_static("*/*"));
        Ok(Plan { settings: JobSettings { job, client, accept, offset_seed }, discovery, fresh })
    }

    /// Two collectors that differ in name or external labels scrape at different times.
    fn offset_seed(&self, external_labels: &Labels) -> u64 {
        let host = xxhash_rust::xxh3::xxh3_64(self.shared.options.host_name.as_bytes());
        host ^ external_labels.stable_hash().rotate_left(1)
    }

    /// All targets at this moment.
    pub fn targets(&self) -> Targets {
        let mut targets = Targets::default();
        for (name, pool) in self.pools.lock().iter() {
            targets.active.extend(pool.active().into_iter().map(|active| self.show(name, active)));
            let (dropped, count) = pool.dropped();
            let show = |discovered_labels| DroppedTarget { discovered_labels, scrape_pool: name.clone() };
            targets.dropped.extend(dropped.into_iter().map(show));
            targets.dropped_counts.insert(name.clone(), count);
        }
        targets
    }

    fn show(&self, pool: &str, Active { target, view, .. }: Active) -> ActiveTarget {
        let last = view.last.lock().clone();
        ActiveTarget {
            discovered_labels: target.discovered.clone(),
            labels: target.labels.clone(),
            scrape_pool: pool.to_owned(),
            scrape_url: target.url.clone(),
            global_url: self.global_url(&target.url, &target.request_url),
            last_error: last.error,
            last_scrape_ms: last.began_ms,
            last_duration: last.duration,
            health: last.health,
            interval: target.interval,
            timeout: target.timeout,
        }
    }

    fn global_url(&self, shown: &str, url: &Url) -> String {
        let host = url.host_str().unwrap_or("");
        if !matches!(host, "localhost" | "127.0.0.1" | "[::1]") || self.shared.options.host_name.is_empty() {
            return shown.to_owned();
        }
        shown.replacen(host, &self.shared.options.host_name, 1)
    }

    /// What all targets say about their metric families.
    pub fn metadata(&self) -> Vec<TargetMetadata> {
        let mut all = Vec::new();
        for pool in self.pools.lock().values() {
            for Active { target, view, .. } in pool.active() {
                let metadata = view.metadata.lock();
                all.extend(metadata.iter().map(|(metric, metadata)| TargetMetadata {
                    target: target.labels.clone(),
                    metric: metric.to_owned(),
                    metadata,
                }));
            }
        }
        all
    }

    /// Stops everything at once. Scrapes that are under way are given up; no series ends, since the targets will be
    /// scraped again after the restart.
    pub async fn stop(&self) {
        let pools = std::mem::take(&mut *self.pools.lock());
        // Loops are aborted before the drop of their pools tells them to end their series.
        self.stop_tasks().await;
        drop(pools);
        // A pool that was just starting a loop has got a new set for it.
        self.stop_tasks().await;
    }

    async fn stop_tasks(&self) {
        let mut tasks: JoinSet<()> = std::mem::take(&mut *self.tasks.lock());
        tasks.shutdown().await;
    }
}
