//! All destinations together: what the window forwards to, and what a reload changes.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use collector_http::HttpClient;
use collector_model::{Clock, Forward, Labels, RefSample, SeriesRef, TimestampMs};
use parking_lot::{Mutex, RwLock};
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config::Settings;
use crate::destination::{Destination, Plan, Surroundings};
use crate::metrics::Metrics;
use crate::sinks::{Sink, SinkConfig, Spec};
use crate::status::DestinationStatus;
use crate::{ConfigError, OpenError, orphans};

/// The configuration of one destination, whatever its sink: made from an entry of `remote_write` or
/// `influxdb_write` by `From`.
#[derive(Clone, Debug)]
pub struct DestinationConfig(Arc<dyn SinkConfig>);

impl<C: SinkConfig> From<C> for DestinationConfig {
    fn from(config: C) -> Self {
        Self(Arc::new(config))
    }
}

impl DestinationConfig {
    pub(crate) fn spec(&self) -> &'static Spec {
        self.0.spec()
    }

    pub(crate) fn settings(&self) -> Settings {
        self.0.settings()
    }

    pub(crate) fn sink(&self, client: HttpClient) -> Result<Arc<dyn Sink>, ConfigError> {
        self.0.build(client)
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.0.is_same(&*other.0)
    }
}

/// What all destinations have in common.
#[derive(Clone)]
pub struct Options {
    /// The folder that holds one folder for each queue; made when it is not there. No other process may use it.
    pub directory: PathBuf,
    /// Sent as `User-Agent`.
    pub user_agent: String,
    /// Tells the age of samples.
    pub clock: Arc<dyn Clock>,
}

/// All destinations. Clones are handles on the same ones; with the last of them the senders end at once, as they do
/// with the process, and what was not acknowledged is sent after the next [`open`](Self::open).
#[derive(Clone)]
pub struct Destinations(Arc<Inner>);

struct Inner {
    options: Options,
    around: Surroundings,
    list: RwLock<Arc<[Arc<Destination>]>>,
    highest_ms: Mutex<TimestampMs>,
}

impl Destinations {
    /// Opens the queues and begins to send. Must be called inside a Tokio runtime, which then runs the senders.
    ///
    /// What an earlier process left in a queue is sent first. `external_labels` are added to each series that does
    /// not have them, before `write_relabel_configs`.
    ///
    /// # Errors
    /// When a configuration cannot be used, or a queue's folder not be made or read.
    pub fn open(
        options: Options,
        external_labels: &Labels,
        configs: &[DestinationConfig],
        registry: &mut Registry,
    ) -> Result<Self, OpenError> {
        let around = Surroundings {
            runtime: Handle::current(),
            clock: Arc::clone(&options.clock),
            metrics: Metrics::register(registry),
        };
        let destinations = Self(Arc::new(Inner {
            options,
            around,
            list: RwLock::new(Arc::from([])),
            highest_ms: Mutex::new(TimestampMs::MIN),
        }));
        destinations.apply(external_labels, configs)?;
        Ok(destinations)
    }

    /// Changes to other external labels and destinations. A destination that is still there keeps its queue, one
    /// that did not change is not even interrupted; the queue of one that is gone stays on disk for a week, should
    /// it come back. On an error nothing changes.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn apply(&self, external_labels: &Labels, configs: &[DestinationConfig]) -> Result<(), OpenError> {
        let Inner { options, around, list, .. } = &*self.0;
        let plans = plans(configs, &options.user_agent)?;
        let before = Arc::clone(&list.read());
        let mut opened = BTreeMap::new();
        for plan in &plans {
            if !before.iter().any(|d| d.key == plan.key) {
                let destination = Destination::open(&options.directory, plan, external_labels, around)?;
                opened.insert(plan.key.as_str(), Arc::new(destination));
            }
        }
        // Nothing fails from here on.
        let mut after = Vec::with_capacity(plans.len());
        for plan in &plans {
            if let Some(new) = opened.remove(plan.key.as_str()) {
                after.push(new);
            } else if let Some(known) = before.iter().find(|d| d.key == plan.key) {
                known.change(plan, external_labels, around);
                after.push(Arc::clone(known));
            }
        }
        *list.write() = Arc::from(after);
        let used: HashSet<String> = plans.iter().map(|plan| plan.key.clone()).collect();
        for gone in before.iter().filter(|d| !used.contains(&d.key)) {
            gone.leave(around);
        }
        self.sweep(&used);
        Ok(())
    }

    /// Checks configurations without applying them. Reads the TLS files that they name.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(configs: &[DestinationConfig]) -> Result<(), ConfigError> {
        plans(configs, "check").map(drop)
    }

    /// The destinations as they are now, in the order of the configuration. Also brings the gauges up to date: call
    /// it before the registry is encoded.
    pub fn snapshot(&self) -> Vec<DestinationStatus> {
        self.list().iter().map(|destination| destination.status()).collect()
    }

    /// Sends what can be sent until the deadline and stops. What is left stays in the queues.
    pub async fn stop(&self, flush_deadline: Duration) {
        let deadline = Instant::now() + flush_deadline;
        let mut stopping = JoinSet::new();
        for destination in self.list().iter() {
            let destination = Arc::clone(destination);
            stopping.spawn(async move { destination.stop(deadline).await });
        }
        while stopping.join_next().await.is_some() {}
    }

    fn list(&self) -> Arc<[Arc<Destination>]> {
        Arc::clone(&self.0.list.read())
    }

    fn sweep(&self, used: &HashSet<String>) {
        let directory = &self.0.options.directory;
        match std::fs::create_dir_all(directory).and_then(|()| orphans::sweep(directory, used, SystemTime::now())) {
            Ok(left) => {
                self.0.around.metrics.orphaned_queues.set(i64::try_from(left).unwrap_or(i64::MAX));
            }
            Err(error) => {
                tracing::warn!(directory = %directory.display(), %error, "cannot look for queues without a destination");
            }
        }
    }
}

impl Forward for Destinations {
    fn forward(&self, batch: &[RefSample], labels: &dyn Fn(SeriesRef) -> Option<Labels>) {
        let metrics = &self.0.around.metrics;
        metrics.samples_in.inc_by(batch.len() as u64);
        if let Some(newest) = batch.iter().map(|sample| sample.timestamp_ms).max() {
            let mut highest = self.0.highest_ms.lock();
            if newest > *highest {
                *highest = newest;
                metrics.highest_timestamp.set(newest as f64 / 1e3);
            }
        }
        for destination in self.list().iter() {
            destination.forward(batch, labels);
        }
    }

    fn forget(&self, series: &[SeriesRef]) {
        for destination in self.list().iter() {
            destination.forget(series);
        }
    }
}

/// What is made of the configurations, each with the key and the name that make it the same destination tomorrow.
fn plans(configs: &[DestinationConfig], user_agent: &str) -> Result<Vec<Plan>, ConfigError> {
    let mut keys = HashSet::new();
    let mut plans = Vec::with_capacity(configs.len());
    for config in configs {
        config.0.validate()?;
        let spec = config.spec();
        let settings = config.settings();
        let hash = Labels::from_pairs([("kind", spec.name), ("url", settings.url.as_str())]).stable_hash();
        let (key, name) = match &settings.name {
            Some(name) => {
                let key = format!("{}-{}", spec.name, file_name(name));
                if !keys.insert(key.clone()) {
                    return Err(ConfigError::DuplicateName { key: spec.config_key, name: name.clone() });
                }
                (key, name.clone())
            }
            // Destinations that differ in their rules alone are told apart by their order.
            None => numbered(&mut keys, &format!("{}-{hash:016x}", spec.name), &format!("{:06x}", hash & 0xff_ffff)),
        };
        plans.push(Plan::new(config, key, name, user_agent)?);
    }
    Ok(plans)
}

fn numbered(keys: &mut HashSet<String>, key: &str, name: &str) -> (String, String) {
    if keys.insert(key.to_owned()) {
        return (key.to_owned(), name.to_owned());
    }
    let mut number = 2;
    while !keys.insert(format!("{key}-{number}")) {
        number += 1;
    }
    (format!("{key}-{number}"), format!("{name}-{number}"))
}

/// A name as a file's, with a hash where it had to be changed.
fn file_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.chars().all(plain) && name.len() <= 64 {
        return name.to_owned();
    }
    let hash = Labels::from_pairs([("name", name)]).stable_hash();
    let safe: String = name.chars().take(40).map(|c| if plain(c) { c } else { '_' }).collect();
    format!("{safe}.{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RemoteWriteConfig;

    fn config(name: Option<&str>, url: &str) -> DestinationConfig {
        RemoteWriteConfig { name: name.map(str::to_owned), url: url.to_owned(), ..RemoteWriteConfig::default() }.into()
    }

    #[test]
    fn a_destination_is_known_by_its_name_or_by_its_url() {
        let keys = |configs: &[DestinationConfig]| -> Vec<String> {
            plans(configs, "test").unwrap().into_iter().map(|plan| plan.key).collect()
        };
        let named = keys(&[config(Some("vms"), "http://a/"), config(Some("a/../b"), "http://a/")]);
        assert_eq!(named[0], "remote_write-vms");
        assert!(named[1].starts_with("remote_write-a____b."), "{}", named[1]);
        let plain = keys(&[config(None, "http://a/"), config(None, "http://b/"), config(None, "http://a/")]);
        assert_ne!(plain[0], plain[1]);
        assert_eq!(plain[2], format!("{}-2", plain[0]));
        assert_eq!(keys(&[config(None, "http://a/")])[0], plain[0]);
        let error = Destinations::check(&[config(Some("x"), "http://a/"), config(Some("x"), "http://b/")]).unwrap_err();
        assert_eq!(error.to_string(), "remote_write: more than one destination is named \"x\"");
    }
}
