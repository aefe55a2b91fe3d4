//! What the evaluation of a rule needs from outside, and how it can fail.

use std::fmt;
use std::sync::Arc;

use collector_model::{Append, AppendError, Clock, Labels, Rejection, TimestampMs};
use collector_promql::{QueryError, Value};

/// Evaluates an expression at one time. Called on threads that may block; it should keep a deadline of its own.
pub type QueryFn = dyn Fn(&str, TimestampMs) -> Result<Value, QueryError> + Send + Sync;

/// What the ruler is given: it knows neither the engine's settings nor the window.
#[derive(Clone)]
pub struct Ports {
    /// Evaluates expressions.
    pub query: Arc<QueryFn>,
    /// Takes the results.
    pub append: Arc<dyn Append>,
    /// Says when to evaluate.
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ports")
    }
}

/// A rule could not be evaluated, or its result not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// The expression failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The expression gave a range vector or a string.
    #[error("rule result is not a vector or scalar")]
    NotAVector,
    /// Two elements of the result have the same labels.
    #[error("vector contains metrics with the same labelset after applying rule labels: {0}")]
    DuplicateSeries(Labels),
    /// More results than the group allows.
    #[error("exceeded limit of {limit} with {got} {what}")]
    Limit {
        /// The group's limit.
        limit: usize,
        /// How many there were.
        got: usize,
        /// `series` or `alerts`.
        what: &'static str,
    },
    /// The results could not be stored.
    #[error("cannot store the result")]
    Append(#[from] AppendError),
    /// Some results were refused by the window; the others are stored.
    #[error("{count} samples of the result were refused: {}", reason.as_str())]
    Rejected {
        /// How many.
        count: usize,
        /// Why the first of them was.
        reason: Rejection,
    },
    /// The query function panicked.
    #[error("evaluation panicked")]
    Panicked,
}

impl EvaluationError {
    /// The text with that of every source, as a page shows it.
    pub(crate) fn chain(&self) -> String {
        collector_model::chain(self)
    }
}
