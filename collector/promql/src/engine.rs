//! The engine: from a query text to a result.

use collector_model::{Sample, Select, TimestampMs};

use crate::eval::{Columns, Evaluator, Grid, Operand, is_present};
use crate::expr::{Expr, ValueType};
use crate::parse::{self, Dialect};
use crate::value::{MatrixSeries, QueryResult, QueryStats, RangeParams, Value, VectorSample};
use crate::{Limits, Options, QueryError};

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

    /// Checks an expression without evaluating it, and gives its type.
    ///
    /// # Errors
    /// [`QueryError::Parse`] with the reason.
    pub fn check(&self, query: &str) -> Result<ValueType, QueryError> {
        self.parse(query).map(|expr| expr.value_type())
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
        let expr = self.parse(query)?;
        let grid = Grid { start_ms: at_ms, step_ms: 1, steps: 1 };
        let evaluator = Evaluator::new(select, &self.options, limits, grid, false);
        let value = match &expr {
            Expr::Matrix(_) | Expr::Subquery(_) => Value::Matrix(evaluator.window_points(&expr, &grid)?),
            expr => instant_value(evaluator.eval(expr, &grid)?),
        };
        Ok(finish(evaluator, value))
    }

    /// Evaluates an expression at every step of a range; the value is a [`Value::Matrix`].
    ///
    /// # Errors
    /// See [`QueryError`]. A range vector or a string has no value at a step, so that such an expression is an error.
    pub fn range(
        &self,
        query: &str,
        range: RangeParams,
        select: &dyn Select,
        limits: &Limits,
    ) -> Result<QueryResult, QueryError> {
        let expr = self.parse(query)?;
        if !matches!(expr.value_type(), ValueType::Scalar | ValueType::Vector) {
            return Err(QueryError::Parse(format!(
                "invalid expression type \"{}\" for range query, must be Scalar or instant Vector",
                expr.value_type().described()
            )));
        }
        let grid = self.grid(range)?;
        let evaluator = Evaluator::new(select, &self.options, limits, grid, true);
        let value = match grid.steps {
            0 => Value::Matrix(Vec::new()),
            _ => range_value(evaluator.eval(&expr, &grid)?, &grid),
        };
        Ok(finish(evaluator, value))
    }

    fn parse(&self, query: &str) -> Result<Expr, QueryError> {
        parse::parse(query, Dialect { experimental: self.options.experimental_functions })
    }

    fn grid(&self, range: RangeParams) -> Result<Grid, QueryError> {
        if range.step_ms <= 0 {
            return Err(QueryError::Execution(
                "zero or negative query resolution step widths are not accepted".to_owned(),
            ));
        }
        let span = range.end_ms.saturating_sub(range.start_ms);
        let steps = if span < 0 { 0 } else { span / range.step_ms + 1 };
        let steps = usize::try_from(steps).unwrap_or(usize::MAX);
        if steps > self.options.max_samples {
            return Err(crate::eval::too_many_samples());
        }
        Ok(Grid { start_ms: range.start_ms, step_ms: range.step_ms, steps })
    }
}

fn finish(evaluator: Evaluator<'_>, value: Value) -> QueryResult {
    let (samples_loaded, peak_samples) = evaluator.counts();
    let (warnings, infos) = evaluator.into_notes().into_parts();
    QueryResult { value, warnings, infos, stats: QueryStats { samples_loaded, peak_samples } }
}

fn instant_value(operand: Operand) -> Value {
    match operand {
        Operand::Scalar(values) => Value::Scalar(values.first().copied().unwrap_or(f64::NAN)),
        Operand::String(text) => Value::String(text),
        Operand::Vector(columns) => {
            let samples = columns.series.into_iter().filter_map(|column| {
                let value = column.values.first().copied().filter(|v| is_present(*v))?;
                Some(VectorSample { labels: column.labels, value })
            });
            Value::Vector(samples.collect())
        }
    }
}

fn range_value(operand: Operand, grid: &Grid) -> Value {
    let point = |(timestamp_ms, value)| Sample { timestamp_ms, value };
    match operand {
        Operand::Scalar(values) => {
            let points = grid.times().zip(values).map(point).collect();
            Value::Matrix(vec![MatrixSeries { labels: Default::default(), points }])
        }
        Operand::Vector(columns) => Value::Matrix(matrix(columns, grid)),
        Operand::String(_) => Value::Matrix(Vec::new()),
    }
}

fn matrix(columns: Columns, grid: &Grid) -> Vec<MatrixSeries> {
    let mut series: Vec<MatrixSeries> = columns
        .series
        .into_iter()
        .map(|column| {
            let present = grid.times().zip(column.values).filter(|(_, value)| is_present(*value));
            let points = present.map(|(timestamp_ms, value)| Sample { timestamp_ms, value }).collect();
            MatrixSeries { labels: column.labels, points }
        })
        .filter(|series: &MatrixSeries| !series.points.is_empty())
        .collect();
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    series
}
