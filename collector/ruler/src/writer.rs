//! Writes the results of one rule, and ends the series that are no longer among them.

use std::collections::HashMap;

use collector_model::{Append, AppendError, Appended, Labels, RefSample, Rejection, STALE_NAN, SeriesRef, TimestampMs};
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
/// them; afterwards `written` holds the new ones. When the batch fails as a whole `written` stays as it was. New
/// series that the window has no room for are refused, and cost the others nothing.
pub(crate) fn write(
    append: &dyn Append,
    written: &mut Written,
    results: &[VectorSample],
    at_ms: TimestampMs,
) -> Result<Outcome, EvaluationError> {
    let mut now: Written = HashMap::with_capacity(results.len());
    let (mut taken, mut batch) = (Vec::with_capacity(results.len()), Vec::with_capacity(results.len()));
    for result in results {
        let series = match written.get(&result.labels) {
            Some(series) => *series,
            None => match resolve(append, &result.labels)? {
                Some(series) => series,
                None => continue,
            },
        };
        now.insert(result.labels.clone(), series);
        taken.push(result);
        batch.push(RefSample { series, timestamp_ms: at_ms, value: result.value });
    }
    for (_, series) in written.iter().filter(|(labels, _)| !now.contains_key(*labels)) {
        batch.push(RefSample { series: *series, timestamp_ms: at_ms, value: STALE_NAN });
    }
    let appended = append_resolving(append, &mut batch, &taken)?;
    // A handle may have been resolved anew: the batch holds the one that counts.
    for (result, sample) in taken.iter().zip(&batch) {
        if let Some(series) = now.get_mut(&result.labels) {
            *series = sample.series;
        }
    }
    *written = now;
    // A marker that came too late says that somebody else writes the series now: no fault of this rule.
    let of_results = appended.rejected.iter().filter(|(position, _)| *position < taken.len());
    let no_room = std::iter::repeat_n(Rejection::SeriesLimit, results.len() - taken.len());
    let refused: Vec<Rejection> = no_room.chain(of_results.map(|(_, reason)| *reason)).collect();
    Ok(Outcome {
        samples: results.len() - refused.len(),
        rejected: refused.first().map(|reason| (refused.len(), *reason)),
    })
}

/// The handle of a series; `None` when it is new and the window has no room for it.
fn resolve(append: &dyn Append, labels: &Labels) -> Result<Option<SeriesRef>, AppendError> {
    match append.resolve(labels) {
        Err(AppendError::SeriesLimit { .. }) => Ok(None),
        resolved => resolved.map(Some),
    }
}

/// Ends series at `at_ms`. What somebody else has written on since is left alone, as the marker is then out of
/// order, and so is what a full window does not hold.
pub(crate) fn end(append: &dyn Append, series: &[Labels], at_ms: TimestampMs) -> Result<(), EvaluationError> {
    let mut batch = Vec::with_capacity(series.len());
    for labels in series {
        if let Some(series) = resolve(append, labels)? {
            batch.push(RefSample { series, timestamp_ms: at_ms, value: STALE_NAN });
        }
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
    results: &[&VectorSample],
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
    appended.rejected.retain(|(_, reason)| *reason != Rejection::UnknownSeries);
    let (mut positions, mut retry) = (Vec::with_capacity(forgotten.len()), Vec::with_capacity(forgotten.len()));
    for position in forgotten {
        let (Some(sample), Some(result)) = (batch.get_mut(position), results.get(position)) else { continue };
        match resolve(append, &result.labels)? {
            Some(series) => {
                sample.series = series;
                positions.push(position);
                retry.push(*sample);
            }
            None => appended.rejected.push((position, Rejection::SeriesLimit)),
        }
    }
    let again = append.append(&retry)?;
    appended
        .rejected
        .extend(again.rejected.iter().filter_map(|(i, reason)| positions.get(*i).map(|position| (*position, *reason))));
    appended.rejected.sort_unstable_by_key(|(position, _)| *position);
    appended.accepted += again.accepted;
    Ok(appended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    /// Full, but for a series `a`.
    struct Full(Mutex<Vec<SeriesRef>>);

    impl Append for Full {
        fn resolve(&self, labels: &Labels) -> Result<SeriesRef, AppendError> {
            match labels.metric_name() {
                "a" => Ok(SeriesRef(1)),
                _ => Err(AppendError::SeriesLimit { limit: 1, labels: labels.clone() }),
            }
        }

        fn append(&self, batch: &[RefSample]) -> Result<Appended, AppendError> {
            self.0.lock().extend(batch.iter().map(|sample| sample.series));
            Ok(Appended { accepted: batch.len(), rejected: Vec::new() })
        }
    }

    #[test]
    fn what_a_full_window_does_not_hold_needs_no_end() {
        let window = Full(Mutex::default());
        let series = ["b", "a"].map(|name| Labels::from_pairs([("__name__", name)]));
        assert!(end(&window, &series, 5).is_ok());
        assert_eq!(*window.0.lock(), [SeriesRef(1)]);
    }
}
