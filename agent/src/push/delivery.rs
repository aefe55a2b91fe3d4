//! Takes requests from the queue to the receiver, in order, until it takes or refuses them.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use tokio::sync::watch;

use super::client::{Answer, Client, SendError};
use super::metrics::{Metrics, Reason};
use super::queue::{Batch, Queue};

/// The wait after a first failure; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// No wait is longer, unless the receiver asks for it.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// How it goes, to log changes alone.
#[derive(Clone, Copy, PartialEq)]
enum Standing {
    Unknown,
    Taken,
    Refused,
    Away,
}

pub(crate) struct Delivery {
    pub client: Client,
    pub queue: Arc<Queue>,
    pub metrics: Arc<Metrics>,
    /// Turns true when the agent ends: waits are over then.
    pub ending: watch::Receiver<bool>,
}

impl Delivery {
    /// Delivers until the queue is closed and empty.
    pub(crate) async fn run(mut self) {
        let (mut standing, mut since, mut wait) = (Standing::Unknown, Instant::now(), FIRST_WAIT);
        while let Some(batch) = self.queue.first().await {
            let result = self.client.send(&batch.body).await;
            self.metrics.request(result.as_ref().ok().map(|answer| answer.status.as_u16()));
            let now = self.settle(&batch, &result);
            if now != standing {
                self.tell(now, standing, since.elapsed(), &result);
                (standing, since) = (now, Instant::now());
            }
            if now != Standing::Away {
                wait = FIRST_WAIT;
                continue;
            }
            let asked = result.ok().and_then(|answer| answer.retry_after);
            self.rest(asked.map_or_else(|| jittered(wait), |asked| asked.max(jittered(FIRST_WAIT)))).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// What becomes of a request.
    fn settle(&self, batch: &Batch, result: &Result<Answer, SendError>) -> Standing {
        match result {
            Ok(answer) if answer.status.is_success() => {
                self.queue.done();
                self.metrics.sent(batch.samples);
                Standing::Taken
            }
            Ok(answer) if answer.status != StatusCode::TOO_MANY_REQUESTS && !answer.status.is_server_error() => {
                self.queue.done();
                self.metrics.dropped(Reason::Rejected, batch.samples);
                Standing::Refused
            }
            _ => {
                self.queue.keep();
                Standing::Away
            }
        }
    }

    fn tell(&self, now: Standing, before: Standing, lasted: Duration, result: &Result<Answer, SendError>) {
        let receiver = self.client.receiver();
        let answer = match result {
            Ok(answer) if answer.text.is_empty() => answer.status.to_string(),
            Ok(answer) => format!("{}: {}", answer.status, answer.text),
            Err(error) => error.to_string(),
        };
        match now {
            Standing::Taken if before == Standing::Unknown => tracing::info!(%receiver, "delivering"),
            Standing::Taken => tracing::info!(%receiver, after_seconds = lasted.as_secs(), "delivering again"),
            Standing::Refused => tracing::error!(%receiver, answer, "the receiver refuses samples: they are dropped"),
            Standing::Away | Standing::Unknown => {
                tracing::warn!(%receiver, answer, "cannot deliver: samples wait and are sent again");
            }
        }
    }

    /// Waits; at the end of the agent only for a moment.
    async fn rest(&mut self, wait: Duration) {
        let ending = async {
            // Without its sender nobody says when the end is: the whole wait then.
            if self.ending.wait_for(|ending| *ending).await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(FIRST_WAIT).await;
        };
        tokio::select! {
            () = ending => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// From half of a time to one and a half: those who failed together are not to come back together.
fn jittered(time: Duration) -> Duration {
    // The standard library seeds its hashes at random; that is as good as a die here.
    let die = RandomState::new().hash_one(0) % 1000;
    time.mul_f64(0.5 + die as f64 / 1000.0)
}
