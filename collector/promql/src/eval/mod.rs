//! Evaluation: every node of the tree is computed once, for all steps of the query.

mod aggregate;
mod arithmetic;
mod binary;
mod columns;
mod matching;
mod select;
mod subquery;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use collector_model::{Budget, Select, SelectError, TimestampMs};

pub(crate) use columns::{ABSENT, Charge, Column, Columns, Grid, Operand, is_present};
pub(crate) use select::Window;

use crate::expr::{At, Binary, Call, Expr};
use crate::functions::Eval;
use crate::notes::Notes;
use crate::{Limits, Options, QueryError};

/// Evaluates one query.
pub(crate) struct Evaluator<'a> {
    select: &'a dyn Select,
    options: &'a Options,
    limits: &'a Limits,
    grid: Grid,
    range_query: bool,
    used: Rc<Cell<usize>>,
    peak: Cell<usize>,
    loaded: Cell<usize>,
    notes: RefCell<Notes>,
}

impl<'a> Evaluator<'a> {
    pub fn new(
        select: &'a dyn Select,
        options: &'a Options,
        limits: &'a Limits,
        grid: Grid,
        range_query: bool,
    ) -> Self {
        Self {
            select,
            options,
            limits,
            grid,
            range_query,
            used: Rc::default(),
            peak: Cell::new(0),
            loaded: Cell::new(0),
            notes: RefCell::default(),
        }
    }

    pub fn eval(&self, expr: &Expr, grid: &Grid) -> Result<Operand, QueryError> {
        self.check_canceled()?;
        match expr {
            Expr::Number(number) => Ok(Operand::Scalar(vec![*number; grid.steps])),
            Expr::String(text) => Ok(Operand::String(text.clone())),
            Expr::Vector(selector) => self.latest_values(selector, grid).map(Operand::Vector),
            Expr::Matrix(_) | Expr::Subquery(_) => {
                Err(QueryError::Execution("a range vector has no value at a step".to_owned()))
            }
            Expr::Call(call) => self.call(call, grid),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, grid).map(Operand::Vector),
            Expr::Negate(inner) => self.negate(inner, grid),
            Expr::Binary(binary) => self.binary_chain(binary, grid),
        }
    }

    /// Walks down the left side in a loop, so that a long chain of operators does not deepen the stack.
    fn binary_chain(&self, last: &Binary, grid: &Grid) -> Result<Operand, QueryError> {
        let mut chain = vec![last];
        let mut leftmost = &*last.lhs;
        while let Expr::Binary(next) = leftmost {
            chain.push(next);
            leftmost = &next.lhs;
        }
        let mut value = self.eval(leftmost, grid)?;
        for binary in chain.into_iter().rev() {
            let rhs = self.eval(&binary.rhs, grid)?;
            value = self.binary(binary, value, rhs, grid)?;
        }
        Ok(value)
    }

    fn negate(&self, inner: &Expr, grid: &Grid) -> Result<Operand, QueryError> {
        let negated = |values: &mut [f64]| values.iter_mut().filter(|v| is_present(**v)).for_each(|v| *v = -*v);
        match self.eval(inner, grid)? {
            Operand::Scalar(mut values) => {
                negated(&mut values);
                Ok(Operand::Scalar(values))
            }
            Operand::Vector(mut columns) => {
                columns.series.iter_mut().for_each(|column| negated(&mut column.values));
                columns.without_names().map(Operand::Vector)
            }
            Operand::String(text) => Ok(Operand::String(text)),
        }
    }

    fn call(&self, call: &Call, grid: &Grid) -> Result<Operand, QueryError> {
        match call.function.eval {
            Eval::Value(compute) => {
                let columns = self.vector_arg(call, 0, grid)?;
                map_values(columns, |_, value| Some(compute(value))).map(Operand::Vector)
            }
            Eval::ValueWith(compute) => {
                let columns = self.vector_arg(call, 0, grid)?;
                let args = self.scalar_args(call, grid)?;
                map_values(columns, |step, value| compute(value, args.at(step))).map(Operand::Vector)
            }
            Eval::Time(compute) => {
                let columns = match call.args.is_empty() {
                    true => {
                        let values = grid.times().map(|t| t as f64 / 1_000.0).collect();
                        self.columns(vec![Column { labels: Default::default(), values }])?
                    }
                    false => self.vector_arg(call, 0, grid)?,
                };
                // Truncates as Go does; what is no date at all has no parts.
                let part =
                    |seconds: f64| time::OffsetDateTime::from_unix_timestamp(seconds as i64).map_or(f64::NAN, compute);
                let part = |seconds: f64| if seconds.is_nan() { f64::NAN } else { part(seconds) };
                map_values(columns, |_, value| Some(part(value))).map(Operand::Vector)
            }
            Eval::Window(compute) => self.over_windows(call, grid, compute),
            Eval::Whole(compute) => compute(self, call, grid),
        }
    }

    /// The vector that an argument evaluates to.
    pub fn vector_arg(&self, call: &Call, position: usize, grid: &Grid) -> Result<Columns, QueryError> {
        match call.args.get(position).map(|arg| self.eval(arg, grid)).transpose()? {
            Some(Operand::Vector(columns)) => Ok(columns),
            _ => self.columns(Vec::new()),
        }
    }

    /// The numbers, one per step, that an argument evaluates to.
    pub fn scalar_arg(&self, call: &Call, position: usize, grid: &Grid) -> Result<Vec<f64>, QueryError> {
        match call.args.get(position).map(|arg| self.eval(arg, grid)).transpose()? {
            Some(Operand::Scalar(values)) => Ok(values),
            _ => Ok(vec![f64::NAN; grid.steps]),
        }
    }

    /// All scalar arguments of a call, step by step.
    fn scalar_args(&self, call: &Call, grid: &Grid) -> Result<ScalarArgs, QueryError> {
        let mut arguments = Vec::new();
        for (position, arg) in call.args.iter().enumerate() {
            if arg.value_type() == crate::expr::ValueType::Scalar {
                arguments.push(self.scalar_arg(call, position, grid)?);
            }
        }
        let width = arguments.len();
        let steps = (0..grid.steps)
            .flat_map(|step| arguments.iter().map(move |values| values.get(step).copied().unwrap_or(f64::NAN)));
        Ok(ScalarArgs { width, steps: steps.collect() })
    }

    /// Series that the query computed, charged to its bound. Series without any value are left out.
    ///
    /// # Errors
    /// When the query holds more samples than it may.
    pub fn columns(&self, mut series: Vec<Column>) -> Result<Columns, QueryError> {
        series.retain(|column| column.values.iter().any(|v| is_present(*v)));
        let samples = series.iter().map(|column| column.values.len()).sum();
        Ok(Columns { _charge: self.charge(samples)?, series })
    }

    /// Takes room for so many samples.
    fn charge(&self, samples: usize) -> Result<Charge, QueryError> {
        let used = self.used.get().saturating_add(samples);
        if used > self.options.max_samples {
            return Err(too_many_samples());
        }
        self.used.set(used);
        self.peak.set(self.peak.get().max(used));
        Ok(Charge { used: Rc::clone(&self.used), samples })
    }

    pub fn check_canceled(&self) -> Result<(), QueryError> {
        if self.limits.canceled.load(Ordering::Relaxed) { Err(QueryError::Canceled) } else { Ok(()) }
    }

    pub fn note(&self, note: impl FnOnce(&mut Notes)) {
        note(&mut self.notes.borrow_mut());
    }

    pub fn is_range_query(&self) -> bool {
        self.range_query
    }

    /// The steps of the query itself, whatever subquery is being evaluated.
    pub fn query_grid(&self) -> &Grid {
        &self.grid
    }

    /// Samples read from storage, and the most that were held at once.
    pub fn counts(&self) -> (usize, usize) {
        (self.loaded.get(), self.peak.get())
    }

    pub fn into_notes(self) -> Notes {
        self.notes.into_inner()
    }

    pub fn query_end_ms(&self) -> TimestampMs {
        self.grid.end_ms()
    }

    fn lookback_ms(&self) -> i64 {
        self.limits.lookback_delta_ms.unwrap_or(self.options.lookback_delta_ms)
    }

    fn fixed_time(&self, at: Option<At>) -> Option<TimestampMs> {
        at.map(|at| match at {
            At::Start => self.grid.start_ms,
            At::End => self.query_end_ms(),
            At::Time(time_ms) => time_ms,
        })
    }
}

/// The scalar arguments of a call at each step, laid out step by step.
struct ScalarArgs {
    width: usize,
    steps: Vec<f64>,
}

impl ScalarArgs {
    fn at(&self, step: usize) -> &[f64] {
        self.steps.get(step * self.width..(step + 1) * self.width).unwrap_or_default()
    }
}

/// Computes each value anew; the metric name no longer fits the result.
fn map_values(mut columns: Columns, compute: impl Fn(usize, f64) -> Option<f64>) -> Result<Columns, QueryError> {
    for column in &mut columns.series {
        for (step, value) in column.values.iter_mut().enumerate() {
            if is_present(*value) {
                *value = compute(step, *value).unwrap_or(ABSENT);
            }
        }
    }
    columns.without_names()
}

pub(crate) fn too_many_samples() -> QueryError {
    QueryError::Execution("query processing would load too many samples into memory in query execution".to_owned())
}

/// The bound on samples, as a selection sees it: what it reads comes on top of what the query holds.
struct SelectionBudget<'a> {
    held: usize,
    taken: AtomicUsize,
    evaluator_limit: usize,
    limits: &'a Limits,
}

impl Budget for SelectionBudget<'_> {
    fn take(&self, samples: usize) -> Result<(), SelectError> {
        if self.limits.canceled.load(Ordering::Relaxed) {
            return Err(SelectError::Canceled);
        }
        let taken = self.taken.fetch_add(samples, Ordering::Relaxed).saturating_add(samples);
        if self.held.saturating_add(taken) > self.evaluator_limit {
            return Err(SelectError::TooManySamples { limit: self.evaluator_limit });
        }
        Ok(())
    }
}
