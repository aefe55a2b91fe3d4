//! Looks at the list each second, whether this worker works, stands by or is in trouble.

use std::time::{Duration, Instant};

use services_kit as kit;

use super::lag::Looks;
use super::metrics::Metrics;
use super::queue::{LIST, TAKEN};

/// How often.
const EVERY: Duration = Duration::from_secs(1);

/// Tells how many votes are queued and how old they are, until shutdown.
pub async fn queue(settings: kit::redis::Settings, metrics: Metrics, shutdown: kit::Shutdown) {
    let redis = kit::redis::Client::new(settings);
    let mut looks = Looks::default();
    while !shutdown.has_begun() {
        let mut figures = redis::pipe();
        // Both from one moment.
        figures.atomic().cmd("GET").arg(TAKEN).cmd("LLEN").arg(LIST);
        // What is wrong with Redis the worker itself tells; here the figures are absent.
        let seen = redis.ask_all::<(Option<u64>, u64)>(&figures).await.ok();
        metrics.queue(seen.map(|(taken, queued)| (queued, looks.look(Instant::now(), taken.unwrap_or(0), queued))));
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shutdown.wait() => {}
        }
    }
}
