//! Reading samples: each selector once for the whole query, then the value or the window at each step.

use std::sync::atomic::AtomicUsize;

use collector_model::{Sample, SelectError, Selection, SeriesSamples, TimestampMs, is_stale};

use super::{ABSENT, Charge, Column, Columns, Evaluator, Grid, Operand, SelectionBudget, too_many_samples};
use crate::QueryError;
use crate::expr::{Call, Expr, MatrixSelector, Selector, ValueType};
use crate::value::MatrixSeries;

/// Samples that windows may hold before a query looks whether it was canceled.
const WORK_BETWEEN_CHECKS: usize = 1_000_000;

/// The samples of one series inside a range, seen from one step.
pub(crate) struct Window<'a> {
    /// In time order, without stale markers, at least one.
    pub samples: &'a [Sample],
    /// The range's begin, itself outside.
    pub start_ms: TimestampMs,
    /// The range's end, itself inside.
    pub end_ms: TimestampMs,
    /// The time of the step, which offset and `@` do not shift.
    pub at_ms: TimestampMs,
    /// The scalar arguments of the call at this step.
    pub args: &'a [f64],
}

impl Window<'_> {
    pub fn range_ms(&self) -> i64 {
        self.end_ms - self.start_ms
    }
}

/// Which time a selector looks at from a step.
#[derive(Clone, Copy)]
pub(super) struct Reference {
    pub fixed_ms: Option<TimestampMs>,
    pub offset_ms: i64,
}

impl Reference {
    pub fn from(self, step_ms: TimestampMs) -> TimestampMs {
        self.fixed_ms.unwrap_or(step_ms).saturating_sub(self.offset_ms)
    }
}

/// Series with what is needed to cut windows out of them.
pub(super) struct Windows {
    pub series: Vec<SeriesSamples>,
    pub reference: Reference,
    pub range_ms: i64,
    pub charge: Charge,
}

impl Evaluator<'_> {
    /// The newest value of each series at each step, unless it is older than the lookback or a stale marker.
    pub(super) fn latest_values(&self, selector: &Selector, grid: &Grid) -> Result<Columns, QueryError> {
        self.latest(selector, grid, |sample| sample.value)
    }

    /// When the newest value of each series at each step was taken, in seconds.
    pub fn sample_times(&self, selector: &Selector, grid: &Grid) -> Result<Columns, QueryError> {
        self.latest(selector, grid, |sample| sample.timestamp_ms as f64 / 1_000.0)
    }

    fn latest(&self, selector: &Selector, grid: &Grid, of: impl Fn(&Sample) -> f64) -> Result<Columns, QueryError> {
        let lookback = self.lookback_ms();
        let windows = self.load(selector, lookback, grid)?;
        let mut columns = Vec::with_capacity(windows.series.len());
        for series in windows.series {
            self.check_canceled()?;
            let mut seen = 0;
            let mut values = vec![ABSENT; grid.steps];
            for (out, step_ms) in values.iter_mut().zip(grid.times()) {
                let at = windows.reference.from(step_ms);
                seen = advance(&series.samples, seen, at);
                let newest = seen.checked_sub(1).and_then(|i| series.samples.get(i));
                if let Some(sample) = newest
                    && sample.timestamp_ms > at.saturating_sub(lookback)
                    && !is_stale(sample.value)
                {
                    *out = of(sample);
                }
            }
            columns.push(Column { labels: series.labels, values });
        }
        self.columns(columns)
    }

    /// Computes a value from the window of every series at every step.
    pub fn over_windows(
        &self,
        call: &Call,
        grid: &Grid,
        compute: impl Fn(&Window<'_>) -> Option<f64>,
    ) -> Result<Operand, QueryError> {
        let Some(operand) = call.args.iter().find(|arg| arg.value_type() == ValueType::Matrix) else {
            return self.columns(Vec::new()).map(Operand::Vector);
        };
        let args = self.scalar_args(call, grid)?;
        let windows = self.windows(operand, grid)?;
        let mut columns = Vec::with_capacity(windows.series.len());
        for series in windows.series {
            self.check_canceled()?;
            let (mut low, mut high, mut any, mut work) = (0, 0, false, 0_usize);
            let mut values = vec![ABSENT; grid.steps];
            for (step, (out, at_ms)) in values.iter_mut().zip(grid.times()).enumerate() {
                let end_ms = windows.reference.from(at_ms);
                let start_ms = end_ms.saturating_sub(windows.range_ms);
                high = advance(&series.samples, high, end_ms);
                low = advance(&series.samples, low, start_ms);
                let samples = series.samples.get(low..high).unwrap_or_default();
                if samples.is_empty() {
                    continue;
                }
                work += samples.len();
                if work > WORK_BETWEEN_CHECKS {
                    self.check_canceled()?;
                    work = 0;
                }
                let window = Window { samples, start_ms, end_ms, at_ms, args: args.at(step) };
                if let Some(value) = compute(&window) {
                    (*out, any) = (value, true);
                }
            }
            if !any {
                continue;
            }
            let name = series.labels.metric_name();
            if call.function.for_counters && !name.is_empty() && !names_counter(name) {
                self.note(|notes| notes.possible_non_counter(name));
            }
            columns.push(Column { labels: series.labels, values });
        }
        let columns = self.columns(columns)?;
        drop(windows.charge);
        match call.function.keeps_name {
            true => Ok(Operand::Vector(columns)),
            false => columns.without_names().map(Operand::Vector),
        }
    }

    /// The samples of a range vector at the only step of an instant query, sorted by labels.
    pub fn window_points(&self, operand: &Expr, grid: &Grid) -> Result<Vec<MatrixSeries>, QueryError> {
        let windows = self.windows(operand, grid)?;
        let end_ms = windows.reference.from(grid.start_ms);
        let start_ms = end_ms.saturating_sub(windows.range_ms);
        let mut matrix: Vec<MatrixSeries> = windows
            .series
            .into_iter()
            .map(|series| {
                let mut points = series.samples;
                points.retain(|p| p.timestamp_ms > start_ms && p.timestamp_ms <= end_ms);
                MatrixSeries { labels: series.labels, points }
            })
            .filter(|series| !series.points.is_empty())
            .collect();
        matrix.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(matrix)
    }

    /// The samples that the windows of a range vector are cut out of.
    pub(super) fn windows(&self, operand: &Expr, grid: &Grid) -> Result<Windows, QueryError> {
        match operand {
            Expr::Matrix(MatrixSelector { selector, range_ms }) => {
                let mut windows = self.load(selector, *range_ms, grid)?;
                for series in &mut windows.series {
                    series.samples.retain(|sample| !is_stale(sample.value));
                }
                Ok(windows)
            }
            Expr::Subquery(subquery) => self.subquery(subquery, grid),
            _ => Err(QueryError::Execution("expected a range vector".to_owned())),
        }
    }

    /// Reads what a selector needs over all steps when it looks back so far from each.
    fn load(&self, selector: &Selector, back_ms: i64, grid: &Grid) -> Result<Windows, QueryError> {
        let reference = Reference { fixed_ms: self.fixed_time(selector.at), offset_ms: selector.offset_ms };
        let selection = Selection {
            // The range is open on the left.
            min_ms: reference.from(grid.start_ms).saturating_sub(back_ms).saturating_add(1),
            max_ms: reference.from(grid.end_ms()),
            matchers: selector.matchers.clone(),
        };
        let budget = SelectionBudget {
            held: self.used.get(),
            taken: AtomicUsize::new(0),
            evaluator_limit: self.options.max_samples,
            limits: self.limits,
        };
        let series = self.select.select(&selection, &budget).map_err(|error| match error {
            SelectError::TooManySamples { .. } => too_many_samples(),
            SelectError::Canceled => QueryError::Canceled,
            error => QueryError::Select(error),
        })?;
        let samples = series.iter().map(|s| s.samples.len()).sum();
        self.loaded.set(self.loaded.get().saturating_add(samples));
        Ok(Windows { charge: self.charge(samples)?, series, reference, range_ms: back_ms })
    }
}

/// How many samples lie at or before a time, given that at least `from` do.
fn advance(samples: &[Sample], from: usize, at_ms: TimestampMs) -> usize {
    let rest = samples.get(from..).unwrap_or_default();
    // The next step is mostly a few samples away.
    match rest.iter().take(8).position(|s| s.timestamp_ms > at_ms) {
        Some(near) => from + near,
        None => from + rest.partition_point(|s| s.timestamp_ms <= at_ms),
    }
}

fn names_counter(name: &str) -> bool {
    ["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| name.ends_with(suffix))
}
