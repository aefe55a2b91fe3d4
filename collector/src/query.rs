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
    slots: Semaphore,
    timeout: Duration,
}

impl Queries {
    /// A gate for `concurrency` queries at once, each ended after `timeout`.
    pub fn new(engine: Engine, select: Arc<dyn Select>, concurrency: usize, timeout: Duration) -> Self {
        Self { engine, select, slots: Semaphore::new(concurrency.max(1)), timeout }
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
        let work = async {
            let _slot = self.slots.acquire().await;
            tokio::task::spawn_blocking(move || evaluate(&engine, select.as_ref(), &limits)).await
        };
        // Dropping the future (the client went away) cancels too.
        let guard = CancelOnDrop(canceled);
        let outcome = tokio::time::timeout(asked.min(self.timeout), work).await;
        let result = match outcome {
            Err(_elapsed) => Err(ApiError::timeout()),
            Ok(Err(_panicked)) => Err(ApiError::internal("the query ended abnormally; see the log")),
            Ok(Ok(result)) => result.map_err(ApiError::from),
        };
        drop(guard);
        result
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
        let work = async {
            let _slot = self.slots.acquire().await;
            tokio::task::spawn_blocking(move || ask(select.as_ref())).await
        };
        match tokio::time::timeout(self.timeout, work).await {
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
