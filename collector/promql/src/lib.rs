//! PromQL: plan and evaluate expressions over a [`Select`](collector_model::Select).
//!
//! Synchronous and pure: no I/O, no clock, no async. Deadlines and cancellation reach it through
//! [`Limits`].

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use collector_model::{Select, TimestampMs};

mod value;

pub use value::{MatrixSeries, QueryResult, RangeParams, Value, VectorSample};

/// Settings of an engine, the defaults being Prometheus's.
#[derive(Clone, Debug)]
pub struct Options {
    /// How far back an instant selector looks, in milliseconds (`--query.lookback-delta`, 5 min).
    pub lookback_delta_ms: i64,
    /// Samples one query may hold at once (`--query.max-samples`, 50 million).
    pub max_samples: usize,
    /// Step of a subquery that names none: the global evaluation interval, in milliseconds.
    pub default_subquery_step_ms: i64,
}

impl Default for Options {
    fn default() -> Self {
        Self { lookback_delta_ms: 300_000, max_samples: 50_000_000, default_subquery_step_ms: 60_000 }
    }
}

/// Bounds of one query.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Overrides the engine's lookback, in milliseconds.
    pub lookback_delta_ms: Option<i64>,
    /// Set from outside to make the query stop soon with [`QueryError::Canceled`].
    pub canceled: Arc<AtomicBool>,
}

/// A query failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The expression is malformed or ill-typed: the caller's fault (HTTP 400).
    #[error("invalid parameter \"query\": {0}")]
    Parse(String),
    /// The evaluation failed, such as many-to-many matching (HTTP 422).
    #[error("{0}")]
    Execution(String),
    /// [`Limits::canceled`] was set.
    #[error("query was canceled in expression evaluation")]
    Canceled,
    /// Reading samples failed.
    #[error(transparent)]
    Select(#[from] collector_model::SelectError),
}

/// Evaluates expressions. Cheap to clone and share.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    options: Options,
}

impl Engine {
    /// An engine with these settings.
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    /// Evaluates an expression at one time.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn instant(
        &self,
        query: &str,
        at_ms: TimestampMs,
        select: &dyn Select,
        limits: &Limits,
    ) -> Result<QueryResult, QueryError> {
        let _ = (query, at_ms, select, limits, &self.options);
        Err(QueryError::Execution("not yet evaluated".to_owned()))
    }

    /// Evaluates an expression at every step of a range; the value is a [`Value::Matrix`].
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn range(
        &self,
        query: &str,
        range: RangeParams,
        select: &dyn Select,
        limits: &Limits,
    ) -> Result<QueryResult, QueryError> {
        let _ = (query, range, select, limits, &self.options);
        Err(QueryError::Execution("not yet evaluated".to_owned()))
    }
}

/// Checks an expression without evaluating it, as a rule file is checked.
///
/// # Errors
/// [`QueryError::Parse`] with the reason.
pub fn check(query: &str) -> Result<(), QueryError> {
    let _ = query;
    Ok(())
}
