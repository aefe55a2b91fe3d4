//! The window of a unit test: all samples in memory, in order.

use std::collections::BTreeMap;

use collector_model::{
    Append, AppendError, Appended, Budget, Labels, RefSample, Rejection, Sample, Select, SelectError, Selection,
    SeriesRef, SeriesSamples,
};
use parking_lot::RwLock;

/// Takes and gives samples.
#[derive(Debug, Default)]
pub(super) struct TestWindow(RwLock<Inner>);

#[derive(Debug, Default)]
struct Inner {
    by_labels: BTreeMap<Labels, usize>,
    samples: Vec<Vec<Sample>>,
}

impl Append for TestWindow {
    fn resolve(&self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        let mut inner = self.0.write();
        let next = inner.samples.len();
        let at = *inner.by_labels.entry(labels.clone()).or_insert(next);
        if at == next {
            inner.samples.push(Vec::new());
        }
        Ok(SeriesRef(at as u64))
    }

    fn append(&self, batch: &[RefSample]) -> Result<Appended, AppendError> {
        let mut inner = self.0.write();
        let mut appended = Appended::default();
        for (position, sample) in batch.iter().enumerate() {
            let series = usize::try_from(sample.series.0).ok().and_then(|at| inner.samples.get_mut(at));
            match series.map(|samples| push(samples, sample)) {
                Some(Ok(())) => appended.accepted += 1,
                Some(Err(reason)) => appended.rejected.push((position, reason)),
                None => appended.rejected.push((position, Rejection::UnknownSeries)),
            }
        }
        Ok(appended)
    }
}

fn push(samples: &mut Vec<Sample>, new: &RefSample) -> Result<(), Rejection> {
    let new = Sample { timestamp_ms: new.timestamp_ms, value: new.value };
    match samples.last() {
        Some(last) if last.timestamp_ms > new.timestamp_ms => Err(Rejection::OutOfOrder),
        Some(last) if *last == new => Ok(()),
        Some(last) if last.timestamp_ms == new.timestamp_ms => Err(Rejection::Duplicate),
        _ => {
            samples.push(new);
            Ok(())
        }
    }
}

impl Inner {
    fn matching<'a>(&'a self, selection: &'a Selection) -> impl Iterator<Item = (&'a Labels, Vec<Sample>)> {
        self.by_labels
            .iter()
            .filter(|(labels, _)| selection.matchers.iter().all(|m| m.matches_labels(labels)))
            .filter_map(|(labels, at)| {
                let bounds = selection.min_ms..=selection.max_ms;
                let all = self.samples.get(*at)?.iter();
                let samples: Vec<Sample> = all.filter(|s| bounds.contains(&s.timestamp_ms)).copied().collect();
                (!samples.is_empty()).then_some((labels, samples))
            })
    }
}

impl Select for TestWindow {
    fn select(&self, selection: &Selection, budget: &dyn Budget) -> Result<Vec<SeriesSamples>, SelectError> {
        let inner = self.0.read();
        let mut found = Vec::new();
        for (labels, samples) in inner.matching(selection) {
            budget.take(samples.len())?;
            found.push(SeriesSamples { labels: labels.clone(), samples });
        }
        Ok(found)
    }

    fn series(&self, selections: &[Selection]) -> Result<Vec<Labels>, SelectError> {
        let inner = self.0.read();
        let mut found: Vec<Labels> =
            selections.iter().flat_map(|s| inner.matching(s)).map(|(labels, _)| labels.clone()).collect();
        found.sort();
        found.dedup();
        Ok(found)
    }
}
