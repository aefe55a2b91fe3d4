//! The parts of a running collector, how they are joined, and how a configuration is put in force.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use collector_model::{Append, Clock, Forward, Labels, Select, TimestampMs};
use collector_promql::{Engine, Limits, Options as QueryOptions, QueryError};
use collector_remote::{DestinationConfig, Destinations, Options as DeliveryOptions};
use collector_ruler::{Metrics as RulerMetrics, Ports, QueryFn, Ruler};
use collector_scrape::{Options as ScrapeOptions, ScrapeManager};
use collector_tsdb::{Options as WindowOptions, Window};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::Shared;
use crate::api::chain;
use crate::clock::SystemClock;
use crate::config::{Config, ConfigError, Loaded};
use crate::flags::Flags;
use crate::process::{self, ProcessCollector};
use crate::query::Queries;
use crate::reload::Reload;

/// What calls itself so towards targets and destinations.
const USER_AGENT: &str = concat!("Atalaia/", env!("CARGO_PKG_VERSION"));

/// Everything that runs, as request handlers see it.
pub struct Collector {
    /// The command line.
    pub flags: Flags,
    /// The clock of all parts.
    pub clock: Arc<dyn Clock>,
    /// When the process started.
    pub started_ms: TimestampMs,
    /// What precedes every route, empty or `/prefix`.
    pub route_prefix: String,
    /// The local window.
    pub window: Arc<Window>,
    /// The gate for queries.
    pub queries: Queries,
    /// Scraping.
    pub scrapes: ScrapeManager,
    /// Rules.
    pub ruler: Ruler,
    /// Delivery.
    pub destinations: Destinations,
    /// The collector's own metrics.
    pub registry: Mutex<Registry>,
    /// The configuration in force.
    pub reload: Reload,
    /// What delivery was last told: external labels and destinations.
    delivery: Mutex<(Labels, Vec<DestinationConfig>)>,
    /// Whether samples are taken.
    pub ready: AtomicBool,
    /// Told when the process shall stop.
    pub stop: Notify,
}

/// The collector could not be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data folder could not be made.
    #[error("cannot make the data folder {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The window.
    #[error("cannot open the window in {}", path.display())]
    Window {
        /// Where.
        path: PathBuf,
        /// Why.
        source: collector_tsdb::OpenError,
    },
    /// Delivery.
    #[error("cannot set up delivery")]
    Delivery(#[from] collector_remote::OpenError),
    /// Scraping.
    #[error("cannot set up scraping")]
    Scraping(#[from] collector_scrape::ApplyError),
}

/// A configuration could not be put in force; the old one stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// The file, or one that it names.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Delivery.
    #[error("cannot set up delivery")]
    Delivery(#[from] collector_remote::OpenError),
    /// Scraping.
    #[error("cannot set up scraping")]
    Scraping(#[from] collector_scrape::ApplyError),
}

impl Collector {
    /// Puts the parts together and in motion. Must be called inside a Tokio runtime.
    ///
    /// The order is that of the data, from its end: first the queues, so that nothing that the window brings back
    /// or takes is unheard, then the window, then what fills it.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(flags: Flags, route_prefix: String, loaded: Loaded) -> Result<Shared, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let started_ms = clock.now_ms();
        let mut registry = Registry::default();
        registry.register_collector(Box::new(ProcessCollector));
        let reload = Reload::register(&mut registry);

        let folder = flags.storage_path.clone();
        std::fs::create_dir_all(&folder).map_err(|source| StartError::Folder { path: folder.clone(), source })?;
        let destinations = Destinations::open(
            DeliveryOptions {
                directory: folder.join("queues"),
                user_agent: USER_AGENT.to_owned(),
                clock: Arc::clone(&clock),
            },
            &loaded.external_labels,
            &loaded.destinations,
            &mut registry,
        )?;
        let mut options = WindowOptions::new(folder.join("window"));
        options.retention_ms = flags.retention_time.as_millis();
        options.max_series = flags.max_series;
        options.lookback_ms = flags.lookback_delta.as_millis();
        let forward: Arc<dyn Forward> = Arc::new(destinations.clone());
        let window = Window::open(options, Arc::clone(&clock), forward, &mut registry)
            .map_err(|source| StartError::Window { path: folder.join("window"), source })?;

        let engine = Engine::new(QueryOptions {
            lookback_delta_ms: flags.lookback_delta.as_millis(),
            max_samples: flags.query_max_samples,
            default_subquery_step_ms: loaded.rule_settings.evaluation_interval.as_millis(),
            ..QueryOptions::default()
        });
        let ports = Ports {
            query: rule_query(engine.clone(), Arc::clone(&window) as Arc<dyn Select>, flags.query_timeout.0),
            append: Arc::clone(&window) as Arc<dyn Append>,
            clock: Arc::clone(&clock),
        };
        let ruler = Ruler::new(ports, RulerMetrics::register(&mut registry));
        let scrapes = ScrapeManager::new(
            Arc::clone(&window) as Arc<dyn Append>,
            Arc::clone(&clock),
            ScrapeOptions { user_agent: USER_AGENT.to_owned(), host_name: process::hostname() },
            &mut registry,
        );
        let queries = Queries::new(
            engine,
            Arc::clone(&window) as Arc<dyn Select>,
            flags.query_concurrency,
            flags.query_timeout.0,
        );
        let collector = Arc::new(Self {
            clock,
            started_ms,
            route_prefix,
            window,
            queries,
            scrapes,
            ruler,
            destinations,
            registry: Mutex::new(registry),
            reload,
            delivery: Mutex::new((loaded.external_labels.clone(), loaded.destinations)),
            ready: AtomicBool::new(false),
            stop: Notify::new(),
            flags,
        });
        collector.scrapes.apply(loaded.jobs, &loaded.external_labels)?;
        collector.ruler.apply(loaded.rules, &loaded.rule_settings);
        collector.reload.succeeded(loaded.shown, collector.clock.now_ms());
        collector.ready.store(true, Ordering::Release);
        Ok(collector)
    }

    /// Reads the configuration file again and puts it in force as a whole, or keeps the old one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn reload(&self) -> Result<(), ReloadError> {
        let _turn = self.reload.turn.lock().await;
        let outcome = self.replace();
        match &outcome {
            Ok(()) => tracing::info!(file = %self.flags.config_file.display(), "configuration loaded"),
            Err(error) => {
                self.reload.failed();
                tracing::error!(error = chain(error), "cannot load the configuration, the old one stays");
            }
        }
        outcome
    }

    fn replace(&self) -> Result<(), ReloadError> {
        let loaded = load(&self.flags)?;
        // Each part refuses before it changes anything, and rules cannot be refused any more; so only delivery can
        // have changed when scraping refuses, and it goes back.
        self.destinations.apply(&loaded.external_labels, &loaded.destinations)?;
        if let Err(error) = self.scrapes.apply(loaded.jobs, &loaded.external_labels) {
            let (labels, destinations) = self.delivery.lock().clone();
            self.destinations.apply(&labels, &destinations)?;
            return Err(error.into());
        }
        *self.delivery.lock() = (loaded.external_labels, loaded.destinations);
        self.ruler.apply(loaded.rules, &loaded.rule_settings);
        self.reload.succeeded(loaded.shown, self.clock.now_ms());
        Ok(())
    }

    /// Stops in the order of the data: no more scrapes, no more rules, then the window is written down, then
    /// delivery goes on until its deadline. What is not delivered by then is on disk.
    pub async fn stop(&self) {
        self.ready.store(false, Ordering::Release);
        self.scrapes.stop().await;
        self.ruler.stop().await;
        let window = Arc::clone(&self.window);
        // A panic inside is in the log already.
        let _ = tokio::task::spawn_blocking(move || window.close()).await;
        self.destinations.stop(self.flags.flush_deadline.0).await;
    }
}

/// The configuration that the command line names, with what the command line says besides. Logs its warnings.
///
/// # Errors
/// The first thing that is wrong with it.
pub(crate) fn load(flags: &Flags) -> Result<Loaded, ConfigError> {
    let mut loaded = Config::load(&flags.config_file)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    loaded.rule_settings.external_url = flags.external_url.clone().unwrap_or_default();
    Ok(loaded)
}

/// How rules ask: as a query does, with its deadline, but without its gate, since the ruler bounds how many groups
/// evaluate at once.
fn rule_query(engine: Engine, select: Arc<dyn Select>, timeout: Duration) -> Arc<QueryFn> {
    let runtime = Handle::current();
    Arc::new(move |expression, at_ms| {
        let limits = Limits::default();
        let canceled = Arc::clone(&limits.canceled);
        let deadline = runtime.spawn(async move {
            tokio::time::sleep(timeout).await;
            canceled.store(true, Ordering::Relaxed);
        });
        let result = engine.instant(expression, at_ms, select.as_ref(), &limits);
        deadline.abort();
        match result {
            Err(QueryError::Canceled) => {
                Err(QueryError::Execution("query timed out in expression evaluation".to_owned()))
            }
            result => Ok(result?.value),
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use collector_promql::testing::MemoryStorage;

    use super::*;
    use crate::flags::Cli;

    #[test]
    fn whenever_the_file_is_read_the_flags_count_too() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("prometheus.yml");
        std::fs::write(&file, "").unwrap();
        let file = format!("--config.file={}", file.display());
        let flags = Cli::parse_from(["c", &file, "--web.external-url=http://tower.example/"]).flags;
        assert_eq!(load(&flags).unwrap().rule_settings.external_url, "http://tower.example/");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_rule_that_takes_too_long_is_ended() {
        let query =
            rule_query(Engine::new(QueryOptions::default()), Arc::new(MemoryStorage::new()), Duration::from_millis(10));
        // Billions of additions, were it let.
        let long = "sum_over_time(sum_over_time(vector(1)[1h:1ms])[1h:1s])";
        let result = tokio::task::spawn_blocking(move || query(long, 0)).await.unwrap();
        assert_eq!(result.unwrap_err().to_string(), "query timed out in expression evaluation");
    }
}
