//! Smoothing of a window.

use collector_model::Sample;

use crate::QueryError;
use crate::eval::{Evaluator, Grid, Operand, Window};
use crate::expr::Call;

pub(super) fn double_exponential(evaluator: &Evaluator<'_>, call: &Call, grid: &Grid) -> Result<Operand, QueryError> {
    for (position, name) in [(1, "smoothing"), (2, "trend")] {
        let factors = evaluator.scalar_arg(call, position, grid)?;
        if let Some(factor) = factors.iter().find(|f| !(0.0 < **f && **f < 1.0)) {
            return Err(QueryError::Execution(format!(
                "invalid {name} factor. Expected: 0 < {}f < 1, got: {factor:.6}",
                name.chars().next().unwrap_or('s')
            )));
        }
    }
    evaluator.over_windows(call, grid, smooth)
}

fn smooth(window: &Window<'_>) -> Option<f64> {
    let &[smoothing, trend_factor] = window.args else { return None };
    let [Sample { value: first, .. }, Sample { value: second, .. }, ..] = window.samples else { return None };
    let (mut before, mut level, mut trend) = (0.0, *first, second - first);
    for (index, sample) in window.samples.iter().enumerate().skip(1) {
        if index > 1 {
            trend = trend_factor * (level - before) + (1.0 - trend_factor) * trend;
        }
        let next = smoothing * sample.value + (1.0 - smoothing) * (level + trend);
        (before, level) = (level, next);
    }
    Some(level)
}
