//! Functions that see their operand as a whole, or have none.

use collector_model::Labels;

use super::window;
use crate::QueryError;
use crate::eval::{ABSENT, Column, Evaluator, Grid, Operand, Window, is_present};
use crate::expr::{Call, Expr};
use crate::float;

type Outcome = Result<Operand, QueryError>;

pub(super) fn time(_evaluator: &Evaluator<'_>, _call: &Call, grid: &Grid) -> Outcome {
    Ok(Operand::Scalar(grid.times().map(|t| t as f64 / 1_000.0).collect()))
}

pub(super) fn pi(_evaluator: &Evaluator<'_>, _call: &Call, grid: &Grid) -> Outcome {
    Ok(Operand::Scalar(vec![std::f64::consts::PI; grid.steps]))
}

pub(super) fn start(evaluator: &Evaluator<'_>, _call: &Call, grid: &Grid) -> Outcome {
    seconds(evaluator.query_grid().start_ms, grid)
}

pub(super) fn end(evaluator: &Evaluator<'_>, _call: &Call, grid: &Grid) -> Outcome {
    seconds(evaluator.query_end_ms(), grid)
}

pub(super) fn step(evaluator: &Evaluator<'_>, _call: &Call, grid: &Grid) -> Outcome {
    seconds(if evaluator.is_range_query() { evaluator.query_grid().step_ms } else { 0 }, grid)
}

pub(super) fn range(evaluator: &Evaluator<'_>, _call: &Call, grid: &Grid) -> Outcome {
    seconds(evaluator.query_end_ms() - evaluator.query_grid().start_ms, grid)
}

fn seconds(ms: i64, grid: &Grid) -> Outcome {
    Ok(Operand::Scalar(vec![ms as f64 / 1_000.0; grid.steps]))
}

pub(super) fn max_of(evaluator: &Evaluator<'_>, call: &Call, grid: &Grid) -> Outcome {
    combine(evaluator, call, grid, float::max)
}

pub(super) fn min_of(evaluator: &Evaluator<'_>, call: &Call, grid: &Grid) -> Outcome {
    combine(evaluator, call, grid, float::min)
}

fn combine(evaluator: &Evaluator<'_>, call: &Call, grid: &Grid, pick: fn(f64, f64) -> f64) -> Outcome {
    let (a, b) = (evaluator.scalar_arg(call, 0, grid)?, evaluator.scalar_arg(call, 1, grid)?);
    Ok(Operand::Scalar(a.iter().zip(&b).map(|(a, b)| pick(*a, *b)).collect()))
}

pub(super) fn vector(evaluator: &Evaluator<'_>, call: &Call, grid: &Grid) -> Outcome {
    let values = evaluator.scalar_arg(call, 0, grid)?;
    evaluator.columns(vec![Column { labels: Labels::empty(), values }]).map(Operand::Vector)
}

pub(super) fn scalar(evaluator: &Evaluator<'_>, call: &Call, grid: &Grid) -> Outcome {
    let columns = evaluator.vector_arg(call, 0, grid)?;
    let mut seen = vec![0_u32; grid.steps];
    let mut values = vec![f64::NAN; grid.steps];
    for column in &columns.series {
        for ((value, seen), out) in column.values.iter().zip(&mut seen).zip(&mut values) {
            if is_present(*value) {
                *seen = seen.saturating_add(1);
                *out = if *seen == 1 { *value } else { f64::NAN };
            }
        }
    }
    Ok(Operand::Scalar(values))
}

pub(super) fn absent(evaluator: &Evaluator<'_>, call: &Call, grid: &Grid) -> Outcome {
    let columns = evaluator.vector_arg(call, 0, grid)?;
    let labels = call.args.first().map(Expr::absent_labels).unwrap_or_default();
    missing(evaluator, grid, labels, columns.series.iter().map(|c| &c.values))
}

pub(super) fn absent_over_time(evaluator: &Evaluator<'_>, call: &Call, grid: &Grid) -> Outcome {
    let Operand::Vector(columns) = evaluator.over_windows(call, grid, window::present)? else {
        return Ok(Operand::Scalar(Vec::new()));
    };
    let labels = call.args.first().map(Expr::absent_labels).unwrap_or_default();
    missing(evaluator, grid, labels, columns.series.iter().map(|c| &c.values))
}

fn missing<'a>(
    evaluator: &Evaluator<'_>,
    grid: &Grid,
    labels: Labels,
    columns: impl Iterator<Item = &'a Vec<f64>>,
) -> Outcome {
    let mut values = vec![1.0; grid.steps];
    for column in columns {
        for (out, value) in values.iter_mut().zip(column) {
            if is_present(*value) {
                *out = ABSENT;
            }
        }
    }
    evaluator.columns(vec![Column { labels, values }]).map(Operand::Vector)
}

pub(super) fn timestamp(evaluator: &Evaluator<'_>, call: &Call, grid: &Grid) -> Outcome {
    // Of a plain selector it is the sample's own time, of anything else that of the step.
    if let Some(Expr::Vector(selector)) = call.args.first() {
        let columns = evaluator.sample_times(selector, grid)?;
        return columns.without_names().map(Operand::Vector);
    }
    let mut columns = evaluator.vector_arg(call, 0, grid)?;
    for column in &mut columns.series {
        for (value, at) in column.values.iter_mut().zip(grid.times()) {
            if is_present(*value) {
                *value = at as f64 / 1_000.0;
            }
        }
    }
    columns.without_names().map(Operand::Vector)
}

pub(super) fn quantile_over_time(evaluator: &Evaluator<'_>, call: &Call, grid: &Grid) -> Outcome {
    for phi in evaluator.scalar_arg(call, 0, grid)? {
        evaluator.note(|notes| notes.quantile_out_of_range(phi));
    }
    evaluator.over_windows(call, grid, |window: &Window<'_>| {
        let phi = window.args.first()?;
        let mut values: Vec<f64> = window.samples.iter().map(|s| s.value).collect();
        Some(float::quantile(*phi, &mut values))
    })
}
