//! Providers that ask a peer again and again, and earlier where the peer tells that something has changed.

use std::future::Future;
use std::time::Duration;

use collector_model::chain;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use crate::{DiscoveryError, Metrics, Provider, ProviderRun, TargetGroup, Updates};

/// How long one look at everything may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// After a failure the peer is asked again this soon, if its interval is not shorter still.
const RETRY: Duration = Duration::from_secs(5);
/// A change is seldom alone: the groups are read this long after the first sign of one.
const SETTLE: Duration = Duration::from_millis(500);
/// However much is changing, this much time lies between two reads.
const GAP: Duration = Duration::from_secs(2);

/// A peer that can be asked for all its groups.
pub(crate) trait Source: Send + Sync + 'static {
    /// The groups that are there now, and why others could not be read. It may be dropped at any time.
    fn groups(&self) -> impl Future<Output = Vec<Result<TargetGroup, DiscoveryError>>> + Send;

    /// Rings the bell whenever the groups may have changed. It never ends.
    fn listen(&self, _bell: &Notify) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// A provider that asks a source at an interval.
pub(crate) struct Polling<S> {
    /// The provider's name, for metrics and log.
    pub(crate) mechanism: &'static str,
    /// Who is asked, for the log.
    pub(crate) peer: String,
    pub(crate) source: S,
    pub(crate) interval: Duration,
    pub(crate) metrics: Metrics,
}

impl<S: Source> Provider for Polling<S> {
    fn run(self: Box<Self>, updates: Updates) -> ProviderRun {
        Box::pin(async move {
            let bell = Notify::new();
            tokio::select! {
                () = self.source.listen(&bell) => {}
                () = self.poll(&updates, &bell) => {}
            }
        })
    }
}

impl<S: Source> Polling<S> {
    async fn poll(&self, updates: &Updates, bell: &Notify) {
        let mut told = None;
        loop {
            let begun = Instant::now();
            let (groups, failures) = self.read().await;
            self.metrics.refreshed(self.mechanism, begun.elapsed(), failures.is_empty());
            let pause = if failures.is_empty() { self.interval } else { self.interval.min(RETRY) };
            // Where everything failed the provider has nothing to report, and what it had before stays.
            if failures.is_empty() || !groups.is_empty() {
                updates.send(groups);
            }
            told = self.tell(&failures, told);
            tokio::select! {
                () = sleep(pause) => {}
                () = rung(bell, begun) => {}
            }
        }
    }

    async fn read(&self) -> (Vec<TargetGroup>, Vec<DiscoveryError>) {
        let late = || vec![Err(DiscoveryError::Deadline { peer: self.peer.clone(), within: DEADLINE })];
        let mut groups = Vec::new();
        let mut failures = Vec::new();
        for read in timeout(DEADLINE, self.source.groups()).await.unwrap_or_else(|_| late()) {
            match read {
                Ok(group) => groups.push(group),
                Err(error) => failures.push(error),
            }
        }
        (groups, failures)
    }

    /// Logs a failure once, however long it lasts, and its end; gives what is told now.
    fn tell(&self, failures: &[DiscoveryError], told: Option<String>) -> Option<String> {
        let (mechanism, peer) = (self.mechanism, &self.peer);
        if failures.is_empty() {
            if told.is_some() {
                info!(mechanism, peer, "targets are discovered again");
            }
            return None;
        }
        let error = failures.iter().map(|error| chain(error)).collect::<Vec<_>>().join("; ");
        if told.as_deref() != Some(&error) {
            warn!(mechanism, %error, "cannot discover targets; the last good ones stay");
        }
        Some(error)
    }
}

/// Waits for the bell, and then until it is time to look.
async fn rung(bell: &Notify, begun: Instant) {
    bell.notified().await;
    sleep(SETTLE.max(GAP.saturating_sub(begun.elapsed()))).await;
}
