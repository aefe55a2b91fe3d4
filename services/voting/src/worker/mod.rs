//! The worker that takes votes from the Redis list and stores them in PostgreSQL.
//!
//! How no vote is lost and none goes back in time:
//!
//! 1. Votes are read at the left end of the list and *stay there*. Only when PostgreSQL has committed them are they cut
//!    off. Whatever dies in between, the same votes are read and stored again, which changes nothing.
//! 2. Of all workers one works, the one that holds an advisory lock of PostgreSQL; the others stand by. The lock belongs
//!    to the very session that stores, so who has lost the lock cannot store any more, and votes are stored in the
//!    list's order by one after another, never by two at once.
//! 3. Cutting off is one transaction in Redis that fails if somebody else has cut since the votes were read (`WATCH` on
//!    the counter `votes:taken`). So a worker that was frozen and wakes up cannot cut off what it has not stored.
//!
//! Nothing is kept in the worker, so it may be killed at any moment.

mod lag;
mod metrics;
mod queue;
mod store;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use parking_lot::Mutex;
use services_kit as kit;

use crate::ballot::{self, Ballot};
use crate::database::{self, Session, Target};
use metrics::{Metrics, Peer};
use queue::{Batch, Queue, Rejected};
use store::Store;

/// How long to wait when the list is empty, and so at most how often a handful of votes costs a commit.
const IDLE: Duration = Duration::from_millis(50);
/// How often one that stands by asks for the lock.
const STANDBY: Duration = Duration::from_millis(500);
/// How often the session shows PostgreSQL that it lives while there is nothing to store.
const BEAT: Duration = Duration::from_secs(2);
/// How long after shutdown a batch may take. What is cut short then is stored by the next worker.
const CLOSING: Duration = Duration::from_secs(3);
/// Waits between attempts, the shortest and the longest.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// What it needs to know.
#[derive(Clone, clap::Args)]
pub struct Settings {
    /// Where votes are queued.
    #[command(flatten)]
    pub redis: kit::redis::Settings,
    /// Where they are stored.
    #[command(flatten)]
    pub database: database::Settings,
}

/// Stores votes until shutdown; the batch under way is finished.
///
/// # Errors
/// `DATABASE_URL` is wrong, or the address cannot be listened on.
pub async fn serve(settings: Settings, mut process: kit::Process) -> Result<(), kit::Failure> {
    let worker = Worker {
        redis: settings.redis,
        target: settings.database.target()?,
        metrics: Metrics::register(&mut process.registry),
        shutdown: process.shutdown.clone(),
        trouble: Arc::new(Mutex::new(Some("not connected yet".to_owned()))),
    };
    let trouble = worker.trouble.clone();
    let readiness = kit::Readiness::default().with("worker", move || {
        let trouble = trouble.lock().clone();
        async move { trouble.map_or(Ok(()), Err) }
    });
    let watching = watch::queue(worker.redis.clone(), worker.metrics.clone(), worker.shutdown.clone());
    let router = Router::new().route("/", get(|| async { "vote-worker: see /metrics, /healthz and /readyz\n" }));
    let (served, (), ()) = tokio::join!(process.serve(router, readiness), worker.run(), watching);
    served
}

/// What stops a tenure.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Queue(#[from] queue::Error),
    #[error(transparent)]
    Store(#[from] database::Error),
}

impl Trouble {
    fn peer(&self) -> Peer {
        match self {
            Self::Queue(_) => Peer::Redis,
            Self::Store(_) => Peer::Postgres,
        }
    }
}

struct Worker {
    redis: kit::redis::Settings,
    target: Target,
    metrics: Metrics,
    shutdown: kit::Shutdown,
    /// What is wrong now, for `/readyz`.
    trouble: Arc<Mutex<Option<String>>>,
}

impl Worker {
    /// One tenure after another until shutdown. When either server fails, both connections are made anew, so that a
    /// worker which cannot reach Redis does not keep the lock from one that can.
    async fn run(&self) {
        let mut pause = AGAIN.0;
        while !self.shutdown.has_begun() {
            let ended = tokio::select! {
                ended = self.tenure(&mut pause) => ended,
                () = self.closing() => Ok(()),
            };
            self.metrics.leads(false);
            let Err(trouble) = ended else { continue };
            tracing::warn!(again_in_ms = pause.as_millis(), "cannot store votes: {trouble}");
            *self.trouble.lock() = Some(trouble.to_string());
            self.metrics.reconnects(trouble.peer());
            self.wait(pause).await;
            pause = (pause * 2).min(AGAIN.1);
        }
    }

    /// Connects, waits for the lock, and works until shutdown or trouble. Resets the pause once something worked.
    async fn tenure(&self, pause: &mut Duration) -> Result<(), Trouble> {
        let mut queue = Queue::open(&self.redis).await?;
        let session = Session::open(&self.target).await?;
        store::prove_alive(&session).await?;
        let mut told = false;
        while !store::claim(&session).await? {
            queue.ping().await?;
            *self.trouble.lock() = None;
            if !told {
                tracing::info!("another worker stores votes; standing by");
                told = true;
            }
            self.wait(STANDBY).await;
            if self.shutdown.has_begun() {
                return Ok(());
            }
        }
        let store = Store::open(session).await?;
        tracing::info!("storing votes");
        self.metrics.leads(true);
        let mut beaten = Instant::now();
        while !self.shutdown.has_begun() {
            let batch = queue.peek().await?;
            let full = batch.is_full();
            if !batch.messages.is_empty() {
                self.process(&mut queue, &store, batch).await?;
                beaten = Instant::now();
            } else if beaten.elapsed() >= BEAT {
                store.beat().await?;
                beaten = Instant::now();
            }
            *self.trouble.lock() = None;
            *pause = AGAIN.0;
            if !full {
                self.wait(IDLE).await;
            }
        }
        Ok(())
    }

    /// Stores a batch, then cuts it off the list.
    async fn process(&self, queue: &mut Queue, store: &Store, batch: Batch) -> Result<(), Trouble> {
        let begun = Instant::now();
        let mut rejected = Vec::new();
        let mut ballots = Vec::with_capacity(batch.messages.len());
        for message in &batch.messages {
            match Ballot::read(message) {
                Ok(ballot) => ballots.push(ballot),
                Err(flaw) => rejected.push(Rejected::new(flaw, message)),
            }
        }
        let votes = ballots.len();
        let refused = store.put(ballot::last_of_each(ballots.into_iter())).await?;
        let stored = votes - refused.len().min(votes);
        rejected.extend(refused.iter().map(|b| Rejected::new(ballot::Flaw::Database, b.message().as_bytes())));
        if !queue.cut(batch.messages.len(), &rejected).await? {
            // Somebody else has stored and cut them: they are counted there.
            tracing::warn!("another worker has taken these votes meanwhile");
            return Ok(());
        }
        self.metrics.batch(stored, begun.elapsed());
        for one in &rejected {
            tracing::warn!(reason = one.flaw.as_str(), bytes = one.bytes, "rejected a message that is no vote");
            self.metrics.rejected(one.flaw);
        }
        Ok(())
    }

    /// Waits for shutdown and the time after it that the batch under way has.
    async fn closing(&self) {
        self.shutdown.wait().await;
        tokio::time::sleep(CLOSING).await;
    }

    async fn wait(&self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.shutdown.wait() => {}
        }
    }
}
