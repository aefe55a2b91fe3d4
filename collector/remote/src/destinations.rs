//! All destinations together: what the window forwards to, and what a reload changes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use collector_model::{Clock, Forward, Labels, RefSample, SeriesRef};
use prometheus_client::registry::Registry;

use crate::OpenError;
use crate::sinks::SinkConfig;
use crate::status::DestinationStatus;

/// The configuration of one destination, whatever its sink: made from an entry of `remote_write` or
/// `influxdb_write` by `From`.
#[derive(Clone, Debug)]
pub struct DestinationConfig(Arc<dyn SinkConfig>);

impl<C: SinkConfig> From<C> for DestinationConfig {
    fn from(config: C) -> Self {
        Self(Arc::new(config))
    }
}

/// What all destinations have in common.
#[derive(Clone)]
pub struct Options {
    /// The folder that holds one folder for each queue; made when it is not there.
    pub directory: PathBuf,
    /// Sent as `User-Agent`.
    pub user_agent: String,
    /// Tells the age of samples.
    pub clock: Arc<dyn Clock>,
}

/// All destinations. Clones are handles on the same ones.
#[derive(Clone)]
pub struct Destinations {}

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
        let _ = (options, external_labels, configs, registry);
        Ok(Self {})
    }

    /// Changes to other external labels and destinations. A destination that is still there keeps its queue,
    /// one that did not change is not even interrupted. On an error nothing changes.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn apply(&self, external_labels: &Labels, configs: &[DestinationConfig]) -> Result<(), OpenError> {
        let _ = (external_labels, configs);
        Ok(())
    }

    /// Checks configurations without applying them.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(configs: &[DestinationConfig]) -> Result<(), OpenError> {
        let _ = configs;
        Ok(())
    }

    /// The destinations as they are now, in the order of the configuration.
    pub fn snapshot(&self) -> Vec<DestinationStatus> {
        Vec::new()
    }

    /// Sends what can be sent until the deadline and stops. What is left stays in the queues.
    pub async fn stop(&self, flush_deadline: Duration) {
        let _ = flush_deadline;
    }
}

impl Forward for Destinations {
    fn forward(&self, batch: &[RefSample], labels: &dyn Fn(SeriesRef) -> Option<Labels>) {
        let _ = (batch, labels);
    }

    fn forget(&self, series: &[SeriesRef]) {
        let _ = series;
    }
}
