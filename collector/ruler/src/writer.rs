//! Writes the results of one rule, and ends the series that are no longer among them.

use std::collections::HashMap;

use collector_model::{Append, Appended, Labels, RefSample, Rejection, STALE_NAN, SeriesRef, TimestampMs};
use collector_promql::VectorSample;

use crate::evaluation::EvaluationError;

/// The series that a rule wrote at its last successful evaluation.
pub(crate) type Written = HashMap<Labels, SeriesRef>;

/// What became of one write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Samples taken, without stale markers.
    pub(crate) samples: usize,
    /// Results refused, with the reason of the first.
    pub(crate) rejected: Option<(usize, Rejection)>,
}

/// Writes `results` at `at_ms` as one batch, with a stale marker for each series in `written` that is not among
/// them; afterwards `written` holds the new ones. When the batch fails as a whole `written` stays as it was.
pub(crate) fn write(
    append: &dyn Append,
    written: &mut Written,
    results: &[VectorSample],
    at_ms: TimestampMs,
) -> Result<Outcome, EvaluationError> {
    let mut now: Written = HashMap::with_capacity(results.len());
    let mut batch = Vec::with_capacity(results.len());
    for result in results {
        let series = match written.get(&result.labels) {
            Some(series) => *series,
            None => append.resolve(&result.labels)?,
        };
        now.insert(result.labels.clone(), series);
        batch.push(RefSample { series, timestamp_ms: at_ms, value: result.value });
    }
    for (_, series) in written.iter().filter(|(labels, _)| !now.contains_key(*labels)) {
        batch.push(RefSample { series: *series, timestamp_ms: at_ms, value: STALE_NAN });
    }
    let appended = append_resolving(append, &mut batch, results)?;
    // A handle may have been resolved anew: the batch holds the one that counts.
    for (result, sample) in results.iter().zip(&batch) {
        if let Some(series) = now.get_mut(&result.labels) {
            *series = sample.series;
        }
    }
    *written = now;
    // A marker that came too late says that somebody else writes the series now: no fault of this rule.
    let refused: Vec<Rejection> =
        appended.rejected.iter().filter(|(position, _)| *position < results.len()).map(|(_, reason)| *reason).collect();
    Ok(Outcome {
        samples: results.len() - refused.len(),
        rejected: refused.first().map(|reason| (refused.len(), *reason)),
    })
}

/// Ends series at `at_ms`. What somebody else has written on since is left alone, as the marker is then out of
/// order.
pub(crate) fn end(append: &dyn Append, series: &[Labels], at_ms: TimestampMs) -> Result<(), EvaluationError> {
    let mut batch = Vec::with_capacity(series.len());
    for labels in series {
        batch.push(RefSample { series: append.resolve(labels)?, timestamp_ms: at_ms, value: STALE_NAN });
    }
    if !batch.is_empty() {
        append.append(&batch)?;
    }
    Ok(())
}

/// Appends, and tries again once the results that were refused because the window had let their series go. Stale
/// markers, which follow the results in the batch, are not: what the window let go has ended already.
fn append_resolving(
    append: &dyn Append,
    batch: &mut [RefSample],
    results: &[VectorSample],
) -> Result<Appended, EvaluationError> {
    if batch.is_empty() {
        return Ok(Appended::default());
    }
    let mut appended = append.append(batch)?;
    let forgotten: Vec<usize> = appended
        .rejected
        .iter()
        .filter(|(position, reason)| *reason == Rejection::UnknownSeries && *position < results.len())
        .map(|(position, _)| *position)
        .collect();
    if forgotten.is_empty() {
        return Ok(appended);
    }
    let mut retry = Vec::with_capacity(forgotten.len());
    for position in &forgotten {
        if let (Some(sample), Some(result)) = (batch.get_mut(*position), results.get(*position)) {
            sample.series = append.resolve(&result.labels)?;
            retry.push(*sample);
        }
    }
    let again = append.append(&retry)?;
    appended.rejected.retain(|(_, reason)| *reason != Rejection::UnknownSeries);
    appended
        .rejected
        .extend(again.rejected.iter().filter_map(|(i, reason)| forgotten.get(*i).map(|position| (*position, *reason))));
    appended.rejected.sort_unstable_by_key(|(position, _)| *position);
    appended.accepted += again.accepted;
    Ok(appended)
}
