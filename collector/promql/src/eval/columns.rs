//! The values of many series at every step of a query.

use std::cell::Cell;
use std::rc::Rc;

use collector_model::{Labels, STALE_NAN, TimestampMs, is_stale};
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::QueryError;

/// Stands where a series has no value at a step. No expression computes this bit pattern: selectors leave stale
/// markers out, and arithmetic only gives quiet NaNs, which this one is not.
pub(crate) const ABSENT: f64 = STALE_NAN;

/// Whether a series has a value at a step.
pub(crate) fn is_present(value: f64) -> bool {
    !is_stale(value)
}

/// The times at which a query or subquery is evaluated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    pub start_ms: TimestampMs,
    /// Above zero.
    pub step_ms: i64,
    pub steps: usize,
}

impl Grid {
    /// Saturates, as far-away times are allowed in queries.
    pub fn time(&self, step: usize) -> TimestampMs {
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        self.start_ms.saturating_add(self.step_ms.saturating_mul(step))
    }

    pub fn times(&self) -> impl Iterator<Item = TimestampMs> + use<> {
        let grid = *self;
        (0..grid.steps).map(move |step| grid.time(step))
    }

    pub fn end_ms(&self) -> TimestampMs {
        self.time(self.steps.saturating_sub(1))
    }
}

/// One series: a value or [`ABSENT`] for each step.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub labels: Labels,
    pub values: Vec<f64>,
}

/// Room that was taken from the query's bound on samples, given back when dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    pub used: Rc<Cell<usize>>,
    pub samples: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.used.set(self.used.get().saturating_sub(self.samples));
    }
}

/// Many series.
#[derive(Debug)]
pub(crate) struct Columns {
    pub series: Vec<Column>,
    /// Held only to be given back.
    pub _charge: Charge,
}

impl Columns {
    /// Drops the metric names, and merges series that become the same.
    ///
    /// # Errors
    /// As [`merge_same_labels`](Self::merge_same_labels).
    pub fn without_names(mut self) -> Result<Self, QueryError> {
        for column in &mut self.series {
            column.labels = column.labels.without_name();
        }
        self.merge_same_labels()
    }

    /// Merges series with the same labels that never have a value at the same step.
    ///
    /// # Errors
    /// When two of them have one.
    pub fn merge_same_labels(mut self) -> Result<Self, QueryError> {
        let mut known: HashMap<Labels, usize> = HashMap::with_capacity(self.series.len());
        let mut merged: Vec<Column> = Vec::with_capacity(self.series.len());
        for column in self.series {
            match known.entry(column.labels.clone()) {
                Entry::Vacant(entry) => {
                    entry.insert(merged.len());
                    merged.push(column);
                }
                Entry::Occupied(entry) => {
                    if let Some(into) = merged.get_mut(*entry.get()) {
                        merge(&mut into.values, &column.values)?;
                    }
                }
            }
        }
        self.series = merged;
        Ok(self)
    }
}

fn merge(into: &mut [f64], from: &[f64]) -> Result<(), QueryError> {
    for (into, from) in into.iter_mut().zip(from) {
        if !is_present(*from) {
            continue;
        }
        if is_present(*into) {
            return Err(QueryError::Execution("vector cannot contain metrics with the same labelset".to_owned()));
        }
        *into = *from;
    }
    Ok(())
}

/// What an expression evaluates to, over all steps.
#[derive(Debug)]
pub(crate) enum Operand {
    /// A number per step.
    Scalar(Vec<f64>),
    String(String),
    Vector(Columns),
}
