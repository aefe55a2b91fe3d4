//! PromQL: plan and evaluate expressions over a [`Select`](collector_model::Select).
//!
//! Synchronous and pure: no I/O, no clock, no async. Deadlines and cancellation reach it through
//! [`Limits`].
//!
//! An expression is read by the grammar crate, checked and lowered to a tree of our own, and evaluated node by node,
//! each node once for all steps of the query. Semantics are those of Prometheus 3.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

mod engine;
mod eval;
mod expr;
mod float;
mod functions;
mod notes;
mod parse;
pub mod series_notation;
pub mod testing;
mod value;

pub use engine::Engine;
pub use expr::ValueType;
pub use functions::{FUNCTIONS, Function, Optional};
pub use parse::{format, parse_selector};
pub use value::{MatrixSeries, QueryResult, QueryStats, RangeParams, Value, VectorSample};

/// Settings of an engine, the defaults being Prometheus's.
#[derive(Clone, Debug)]
pub struct Options {
    /// How far back an instant selector looks, in milliseconds (`--query.lookback-delta`, 5 min).
    pub lookback_delta_ms: i64,
    /// Samples one query may hold at once (`--query.max-samples`, 50 million).
    pub max_samples: usize,
    /// Step of a subquery that names none: the global evaluation interval, in milliseconds.
    pub default_subquery_step_ms: i64,
    /// Whether functions and aggregations that Prometheus calls experimental may be used
    /// (`--enable-feature=promql-experimental-functions`).
    pub experimental_functions: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lookback_delta_ms: 300_000,
            max_samples: 50_000_000,
            default_subquery_step_ms: 60_000,
            experimental_functions: false,
        }
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

/// Checks an expression without evaluating it, as a rule file is checked. Experimental functions are refused; use
/// [`Engine::check`] to go by an engine's settings.
///
/// # Errors
/// [`QueryError::Parse`] with the reason.
pub fn check(query: &str) -> Result<(), QueryError> {
    Engine::default().check(query).map(|_| ())
}
