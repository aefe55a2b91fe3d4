//! Subqueries: an expression evaluated on a grid of its own, whose values then are samples.

use collector_model::{Sample, SeriesSamples};

use super::select::{Reference, Windows};
use super::{Evaluator, Grid, Operand, is_present};
use crate::QueryError;
use crate::expr::Subquery;

/// Steps that one subquery may have, far beyond what the bound on samples allows for a single series.
const MAX_STEPS: i64 = 50_000_000;

impl Evaluator<'_> {
    pub(super) fn subquery(&self, subquery: &Subquery, outer: &Grid) -> Result<Windows, QueryError> {
        let reference = Reference { fixed_ms: self.fixed_time(subquery.at), offset_ms: subquery.offset_ms };
        let step_ms = subquery.step_ms.unwrap_or(self.options.default_subquery_step_ms).max(1);
        let before_ms = reference.from(outer.start_ms).saturating_sub(subquery.range_ms);
        let end_ms = reference.from(outer.end_ms());
        // Steps are multiples of the step since the epoch, the first one after the open left end.
        let mut start_ms = (before_ms / step_ms).saturating_mul(step_ms);
        if start_ms <= before_ms {
            start_ms = start_ms.saturating_add(step_ms);
        }
        let steps = if start_ms > end_ms { 0 } else { end_ms.saturating_sub(start_ms) / step_ms + 1 };
        let limit = i64::try_from(self.options.max_samples).unwrap_or(i64::MAX).min(MAX_STEPS);
        if steps > limit {
            return Err(super::too_many_samples());
        }
        let grid = Grid { start_ms, step_ms, steps: usize::try_from(steps).unwrap_or(0) };
        let series = match steps {
            0 => Vec::new(),
            _ => self.samples_of(&subquery.expr, &grid)?,
        };
        let samples = series.iter().map(|s| s.samples.len()).sum();
        Ok(Windows { charge: self.charge(samples)?, series, reference, range_ms: subquery.range_ms })
    }

    fn samples_of(&self, expr: &crate::expr::Expr, grid: &Grid) -> Result<Vec<SeriesSamples>, QueryError> {
        let Operand::Vector(columns) = self.eval(expr, grid)? else { return Ok(Vec::new()) };
        let sampled = columns.series.into_iter().map(|column| {
            let samples = column.values.iter().zip(grid.times()).filter(|(value, _)| is_present(**value));
            let samples = samples.map(|(value, timestamp_ms)| Sample { timestamp_ms, value: *value }).collect();
            SeriesSamples { labels: column.labels, samples }
        });
        Ok(sampled.collect())
    }
}
