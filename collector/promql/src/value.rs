//! What a query evaluates to.

use collector_model::{Labels, Sample, TimestampMs};

/// One element of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSample {
    /// The labels.
    pub labels: Labels,
    /// The value at the evaluation time.
    pub value: f64,
}

/// One element of a range vector or of the result of a range query.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSeries {
    /// The labels.
    pub labels: Labels,
    /// Points in time order.
    pub points: Vec<Sample>,
}

/// The value of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Scalar(f64),
    /// A string literal.
    String(String),
    /// Values of many series at one time; ordered only when the query sorts.
    Vector(Vec<VectorSample>),
    /// Points of many series over time, sorted by labels.
    Matrix(Vec<MatrixSeries>),
}

/// A value with what the engine wants to say about it.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryResult {
    /// The value.
    pub value: Value,
    /// Annotations that make the result doubtful.
    pub warnings: Vec<String>,
    /// Annotations that are good to know.
    pub infos: Vec<String>,
    /// What the query cost.
    pub stats: QueryStats,
}

/// What a query cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryStats {
    /// Samples read from storage.
    pub samples_loaded: usize,
    /// The most samples held at once, the computed ones included.
    pub peak_samples: usize,
}

/// When to evaluate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeParams {
    /// First evaluation, in milliseconds since the epoch.
    pub start_ms: TimestampMs,
    /// No evaluation after this.
    pub end_ms: TimestampMs,
    /// Distance between evaluations, in milliseconds, above zero.
    pub step_ms: i64,
}
