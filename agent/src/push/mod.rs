//! Delivery: the agent scrapes itself and sends what it finds by Prometheus remote write 1.0, for machines that nothing
//! can scrape.
//!
//! Samples have the time of the scrape and the labels `job` and `instance`; `up`, `scrape_duration_seconds` and
//! `scrape_samples_scraped` come with them, and stale markers where a series ends, so that the receiver has what a
//! Prometheus that scraped this agent would have written. While the receiver is away, requests wait in a queue that
//! is bounded in bytes; they are delivered in order when it is back.

mod client;
mod delivery;
mod error;
mod metrics;
mod queue;
mod receiver;
mod round;
mod settings;
mod tls;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use agent_exposition::{Kind, Page, TargetLabels};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

pub use error::PushError;
#[cfg(feature = "fuzzing")]
pub(crate) use receiver::Receiver;
pub use settings::{Credentials, PushSettings};

use client::Client;
use delivery::Delivery;
use metrics::{Metrics, Reason};
use queue::Queue;
use round::Rounds;

use crate::web::MetricsPage;

/// The longest time that a scrape of our own may take.
const LONGEST_SCRAPE: Duration = Duration::from_secs(10);
/// How often it is said what families are, as Prometheus does.
const METADATA_EVERY: Duration = Duration::from_secs(60);

/// How delivery does, for the page that tells of it.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    queue: Arc<Queue>,
    metrics: Arc<Metrics>,
}

impl Progress {
    /// Adds `atalaia_push_*`.
    pub(crate) fn add_to(&self, page: &mut Page) {
        self.metrics.add_to(page, self.queue.pending());
    }
}

/// Delivery that is set up and does not run yet.
pub(crate) struct Push {
    settings: PushSettings,
    client: Client,
    progress: Progress,
}

impl Push {
    /// Checks the settings.
    ///
    /// # Errors
    /// See [`PushError`].
    pub(crate) fn new(settings: PushSettings) -> Result<Self, PushError> {
        let client = Client::new(&settings)?;
        let queue = Arc::new(Queue::new(settings.queue_bytes));
        Ok(Self { client, progress: Progress { queue, metrics: Arc::default() }, settings })
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Scrapes and delivers these pages until `stopped` turns true, then for as long as the grace allows what is left.
    /// `port` is that of the node page, where it has one.
    pub(crate) async fn run(
        self,
        pages: Vec<Arc<MetricsPage>>,
        port: Option<u16>,
        stopped: watch::Receiver<bool>,
        grace: Duration,
    ) {
        let Self { settings, client, progress } = self;
        let Progress { queue, metrics } = &progress;
        let delivery =
            Delivery { client, queue: Arc::clone(queue), metrics: Arc::clone(metrics), ending: stopped.clone() };
        let mut delivery = tokio::spawn(delivery.run());
        let rounds = Arc::new(Mutex::new(Rounds::new(labels(&settings, port))));
        scrape_until(stopped, settings.interval, &pages, &rounds, &progress).await;
        progress.enqueue(all_stale(&rounds));
        queue.close();
        if tokio::time::timeout(grace, &mut delivery).await.is_err() {
            delivery.abort();
            let samples = queue.pending().samples;
            metrics.dropped(Reason::Shutdown, samples);
            tracing::error!(samples, "the receiver did not take all samples before the end: they are lost");
        }
    }
}

impl Progress {
    fn enqueue(&self, batches: Vec<queue::Batch>) {
        for batch in batches {
            self.metrics.dropped(Reason::QueueFull, self.queue.push(batch));
        }
    }
}

/// The end of all series.
fn all_stale(rounds: &Mutex<Rounds>) -> Vec<queue::Batch> {
    let mut rounds = rounds.lock();
    rounds.begin(now_ms());
    rounds.finish()
}

async fn scrape_until(
    mut stopped: watch::Receiver<bool>,
    interval: Duration,
    pages: &[Arc<MetricsPage>],
    rounds: &Arc<Mutex<Rounds>>,
    progress: &Progress,
) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut metadata_due = Instant::now();
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            _ = ticks.tick() => {}
        }
        let started = Instant::now();
        let with_metadata = started >= metadata_due;
        if with_metadata {
            metadata_due = started + METADATA_EVERY;
        }
        let scrape = scrape(pages, rounds, interval, with_metadata);
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            batches = scrape => progress.enqueue(batches),
        }
    }
}

/// One scrape of all pages.
async fn scrape(
    pages: &[Arc<MetricsPage>],
    rounds: &Arc<Mutex<Rounds>>,
    interval: Duration,
    with_metadata: bool,
) -> Vec<queue::Batch> {
    let started = Instant::now();
    let deadline = started + interval.min(LONGEST_SCRAPE).mul_f64(0.8);
    let round = rounds.lock().begin(now_ms());
    let (mut all_printed, mut samples) = (true, 0);
    for page in pages {
        let rounds = Arc::clone(rounds);
        let print = move |page: &mut Page| {
            rounds.lock().add(round, page, with_metadata);
            page.sample_count()
        };
        match page.clone().collect(|_| true, deadline, print).await {
            Some(count) => samples += count,
            None => all_printed = false,
        }
    }
    let mut report = Page::new();
    let mut add = |name: &'static str, help: &'static str, value| report.single(name, help, Kind::Gauge, value);
    add("up", "Whether the page could be made.", f64::from(u8::from(all_printed)));
    add("scrape_duration_seconds", "How long it took to make the page.", started.elapsed().as_secs_f64());
    add("scrape_samples_scraped", "Samples on the page.", samples as f64);
    let mut rounds = rounds.lock();
    rounds.add(round, &report, with_metadata);
    rounds.finish()
}

fn labels(settings: &PushSettings, port: Option<u16>) -> TargetLabels {
    let instance = settings.instance.clone().unwrap_or_else(|| {
        let machine = rustix::system::uname();
        let machine = machine.nodename().to_string_lossy();
        port.map_or_else(|| machine.to_string(), |port| format!("{machine}:{port}"))
    });
    TargetLabels {
        target: vec![("instance".to_owned(), instance), ("job".to_owned(), settings.job.clone())],
        external: settings.external_labels.clone(),
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
