//! One destination: its queue, where samples come in, and its sender.

use std::path::Path;
use std::sync::Arc;

use collector_http::HttpClient;
use collector_model::{Clock, Labels, RefSample, SeriesRef};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::config::{Settings, redacted};
use crate::destinations::DestinationConfig;
use crate::intake::{Intake, Rules};
use crate::metrics::{Meter, Metrics, Remote};
use crate::queue::disk::Folder;
use crate::queue::{self, Queue};
use crate::sender::{Parts, Sender};
use crate::sinks::Sink;
use crate::status::{DestinationStatus, Health};
use crate::{ConfigError, OpenError};

/// A destination's configuration with what is made of it: everything that can fail without the disk.
pub(crate) struct Plan {
    pub config: DestinationConfig,
    pub settings: Settings,
    /// The name of its queue's folder: what makes it the same destination after a restart or a reload.
    pub key: String,
    /// How it is called in logs, on the page and in metrics.
    pub name: String,
    sink: Arc<dyn Sink>,
}

impl Plan {
    pub(crate) fn new(
        config: &DestinationConfig,
        key: String,
        name: String,
        user_agent: &str,
    ) -> Result<Self, ConfigError> {
        let settings = config.settings();
        let config_key = config.spec().config_key;
        let client = HttpClient::build_for_posts(&settings.client, user_agent)
            .map_err(|source| ConfigError::Client { key: config_key, source })?;
        let sink = config.sink(client)?;
        Ok(Self { config: config.clone(), settings, key, name, sink })
    }

    fn remote(&self) -> Remote {
        Remote { remote_name: self.name.clone(), url: redacted(&self.settings.url) }
    }
}

/// A destination at work.
pub(crate) struct Destination {
    pub key: String,
    queue: Arc<Queue>,
    intake: Mutex<Intake>,
    delivery: Mutex<At>,
}

/// What a reload can change.
struct At {
    config: DestinationConfig,
    remote: Remote,
    meter: Meter,
    health: Arc<Health>,
    sender: Option<Sender>,
}

/// What destinations need from the process around them.
pub(crate) struct Surroundings {
    pub runtime: Handle,
    pub clock: Arc<dyn Clock>,
    pub metrics: Metrics,
}

impl Destination {
    /// Opens the queue and begins to send.
    pub(crate) fn open(
        directory: &Path,
        plan: &Plan,
        external_labels: &Labels,
        around: &Surroundings,
    ) -> Result<Self, OpenError> {
        let path = directory.join(&plan.key);
        let opened = Folder::create(&path)
            .and_then(|folder| queue::open(Arc::new(folder), plan.settings.queue.max_disk_bytes.0));
        let (queue, writer) = opened.map_err(|source| OpenError::Queue { path, source })?;
        let remote = plan.remote();
        let meter = around.metrics.of(&remote);
        let health = Arc::new(Health::default());
        let sender = spawn(plan, &queue, &meter, &health, around);
        let rules = rules(plan, external_labels);
        let at = At { config: plan.config.clone(), remote, meter: meter.clone(), health, sender: Some(sender) };
        Ok(Self {
            key: plan.key.clone(),
            intake: Mutex::new(Intake::new(Arc::clone(&queue), writer, meter, rules)),
            queue,
            delivery: Mutex::new(at),
        })
    }

    /// Goes on under another configuration, with the same queue.
    pub(crate) fn change(&self, plan: &Plan, external_labels: &Labels, around: &Surroundings) {
        let mut at = self.delivery.lock();
        if !at.config.is_same(&plan.config) {
            let remote = plan.remote();
            if remote != at.remote {
                around.metrics.remove(&at.remote);
                at.meter = around.metrics.of(&remote);
                at.remote = remote;
            }
            at.config = plan.config.clone();
            self.queue.set_max_bytes(plan.settings.queue.max_disk_bytes.0);
            // The old sender reads nothing more once the new one has its reader; what it had in flight is sent again.
            at.sender = Some(spawn(plan, &self.queue, &at.meter, &at.health, around));
        }
        let mut intake = self.intake.lock();
        intake.set_meter(at.meter.clone());
        intake.set_rules(rules(plan, external_labels));
    }

    pub(crate) fn forward(&self, batch: &[RefSample], labels: &dyn Fn(SeriesRef) -> Option<Labels>) {
        self.intake.lock().forward(batch, labels);
    }

    pub(crate) fn forget(&self, series: &[SeriesRef]) {
        self.intake.lock().forget(series);
    }

    /// As it is now; brings its metrics up to date on the way.
    pub(crate) fn status(&self) -> DestinationStatus {
        let size = self.queue.size();
        let at = self.delivery.lock();
        let pending = size.waiting + at.health.in_flight();
        at.meter.pending.set(i64::try_from(pending).unwrap_or(i64::MAX));
        at.meter.queue_bytes.set(i64::try_from(size.bytes).unwrap_or(i64::MAX));
        let mut status = DestinationStatus {
            name: at.remote.remote_name.clone(),
            url: at.remote.url.clone(),
            kind: at.config.spec().name,
            pending_samples: pending,
            disk_bytes: size.bytes,
            oldest_unsent_ms: None,
            highest_sent_ms: None,
            last_error: None,
            last_success_ms: None,
            samples_sent: at.meter.samples.get(),
            samples_retried: at.meter.retried.get(),
            samples_failed: at.meter.failed.get(),
            samples_dropped: at.meter.dropped(),
            bytes_sent: at.meter.bytes.get(),
            shards: usize::try_from(at.meter.shards.get()).unwrap_or(0),
            shards_waiting: 0,
        };
        at.health.fill(&mut status);
        status
    }

    /// Sends what can be sent until the deadline, and closes the queue so that opening it again is quick.
    pub(crate) async fn stop(&self, deadline: Instant) {
        let sender = self.delivery.lock().sender.take();
        if let Some(sender) = sender {
            sender.stop(deadline).await;
        }
        self.intake.lock().seal();
    }

    /// Stops at once, because the destination is no longer configured. Its queue stays on disk.
    pub(crate) fn leave(&self, around: &Surroundings) {
        let mut at = self.delivery.lock();
        at.sender = None;
        around.metrics.remove(&at.remote);
        self.intake.lock().seal();
        // If this fails, what was acknowledged is sent again should the destination come back.
        if let Err(error) = self.queue.write_cursor(self.queue.acknowledged()) {
            tracing::warn!(destination = %at.remote.remote_name, %error, "cannot write the cursor of a queue");
        }
    }
}

fn rules(plan: &Plan, external_labels: &Labels) -> Rules {
    Rules { external_labels: external_labels.clone(), relabel: plan.settings.write_relabel_configs.clone() }
}

fn spawn(plan: &Plan, queue: &Arc<Queue>, meter: &Meter, health: &Arc<Health>, around: &Surroundings) -> Sender {
    let queue_config = &plan.settings.queue;
    let number = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
    meter.shards_min.set(number(queue_config.min_shards));
    meter.shards_max.set(number(queue_config.max_shards));
    meter.shard_capacity.set(number(queue_config.capacity));
    meter.max_samples_per_send.set(number(queue_config.max_samples_per_send));
    let parts = Parts {
        name: plan.name.clone(),
        queue: Arc::clone(queue),
        sink: Arc::clone(&plan.sink),
        config: queue_config.clone(),
        finite_only: plan.settings.finite_only,
        meter: meter.clone(),
        health: Arc::clone(health),
        clock: Arc::clone(&around.clock),
    };
    Sender::spawn(&around.runtime, parts)
}
