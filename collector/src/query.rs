//! Running queries: off the I/O threads, so many at once, each with a deadline that really ends it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use collector_model::{Select, SelectError};
use collector_promql::{Engine, Limits, QueryError, QueryResult};
use tokio::sync::Semaphore;

use crate::api::ApiError;

/// The gate that every query goes through.
pub struct Queries {
    engine: Engine,
    select: Arc<dyn Select>,
    slots: Arc<Semaphore>,
    timeout: Duration,
}

impl Queries {
    /// A gate for `concurrency` queries at once, each ended after `timeout`.
    pub fn new(engine: Engine, select: Arc<dyn Select>, concurrency: usize, timeout: Duration) -> Self {
        Self { engine, select, slots: Arc::new(Semaphore::new(concurrency.max(1))), timeout }
    }

    /// Runs one query; `timeout_ms` may shorten the deadline, not lengthen it.
    ///
    /// # Errors
    /// Those of the engine, and a time-out.
    pub async fn run(
        &self,
        timeout_ms: Option<i64>,
        limits: Limits,
        evaluate: impl FnOnce(&Engine, &dyn Select, &Limits) -> Result<QueryResult, QueryError> + Send + 'static,
    ) -> Result<QueryResult, ApiError> {
        let asked = timeout_ms.and_then(|ms| u64::try_from(ms).ok()).map_or(self.timeout, Duration::from_millis);
        let canceled = Arc::clone(&limits.canceled);
        let (engine, select) = (self.engine.clone(), Arc::clone(&self.select));
        // Dropping the future (the client went away) cancels too.
        let _guard = CancelOnDrop(canceled);
        self.work(asked.min(self.timeout), move || evaluate(&engine, select.as_ref(), &limits)).await
    }

    /// Reads series or labels.
    ///
    /// # Errors
    /// Those of the window, and a time-out.
    pub async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&dyn Select) -> Result<T, SelectError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let select = Arc::clone(&self.select);
        self.work(self.timeout, move || ask(select.as_ref())).await
    }

    /// Waits for a place and for the work, both together no longer than `timeout`. The place goes with the thread:
    /// work that is not waited for any more still keeps others out until it has ended.
    async fn work<T: Send + 'static, E>(
        &self,
        timeout: Duration,
        work: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<T, ApiError>
    where
        E: Send + 'static,
        ApiError: From<E>,
    {
        let slots = Arc::clone(&self.slots);
        let done = async {
            let slot = slots.acquire_owned().await;
            tokio::task::spawn_blocking(move || {
                let _slot = slot;
                work()
            })
            .await
        };
        match tokio::time::timeout(timeout, done).await {
            Err(_elapsed) => Err(ApiError::timeout()),
            Ok(Err(_panicked)) => Err(ApiError::internal("the query ended abnormally; see the log")),
            Ok(Ok(result)) => result.map_err(ApiError::from),
        }
    }
}

struct CancelOnDrop(Arc<std::sync::atomic::AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use collector_promql::Options;
    use collector_promql::testing::MemoryStorage;

    use super::*;

    #[tokio::test]
    async fn work_that_nobody_waits_for_keeps_its_place() {
        let engine = Engine::new(Options::default());
        let queries = Queries::new(engine, Arc::new(MemoryStorage::new()), 1, Duration::from_millis(50));
        let (go, gone) = channel::<()>();
        let stuck = queries.read(move |_| {
            let _ = gone.recv();
            Ok(())
        });
        assert!(stuck.await.is_err(), "it does not come back in time");
        assert!(queries.read(|_| Ok(())).await.is_err(), "the only place is taken");
        drop(go);
        let freed = queries.slots.acquire().await.unwrap();
        drop(freed);
        assert!(queries.read(|_| Ok(())).await.is_ok());
    }
}
