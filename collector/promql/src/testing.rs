//! A storage in memory that series are put into by hand, for tests and for unit tests of rules.

use std::collections::BTreeMap;

use collector_model::{Budget, Labels, Sample, Select, SelectError, Selection, SeriesSamples, TimestampMs};

/// Series in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage {
    series: BTreeMap<Labels, BTreeMap<TimestampMs, f64>>,
}

impl MemoryStorage {
    /// An empty storage.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one sample; a later value for the same time replaces the earlier one.
    pub fn push(&mut self, labels: Labels, timestamp_ms: TimestampMs, value: f64) {
        self.series.entry(labels).or_default().insert(timestamp_ms, value);
    }

    /// Sets a series from values at equal distances, `None` being a gap, as
    /// [`series_notation::parse`](crate::series_notation::parse) gives them.
    pub fn load(&mut self, labels: Labels, values: &[Option<f64>], start_ms: TimestampMs, interval_ms: i64) {
        let mut at_ms = start_ms;
        for value in values {
            if let Some(value) = value {
                self.push(labels.clone(), at_ms, *value);
            }
            at_ms = at_ms.saturating_add(interval_ms);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.series.clear();
    }

    fn matching(&self, selection: &Selection) -> impl Iterator<Item = SeriesSamples> {
        let (min, max) = (selection.min_ms, selection.max_ms);
        self.series.iter().filter(|(labels, _)| selection.matchers.iter().all(|m| m.matches_labels(labels))).filter_map(
            move |(labels, samples)| {
                if min > max {
                    return None;
                }
                let inside = samples.range(min..=max);
                let samples: Vec<Sample> =
                    inside.map(|(timestamp_ms, value)| Sample { timestamp_ms: *timestamp_ms, value: *value }).collect();
                (!samples.is_empty()).then(|| SeriesSamples { labels: labels.clone(), samples })
            },
        )
    }
}

impl Select for MemoryStorage {
    fn select(&self, selection: &Selection, budget: &dyn Budget) -> Result<Vec<SeriesSamples>, SelectError> {
        let mut selected = Vec::new();
        for series in self.matching(selection) {
            budget.take(series.samples.len())?;
            selected.push(series);
        }
        Ok(selected)
    }

    fn series(&self, selections: &[Selection]) -> Result<Vec<Labels>, SelectError> {
        let mut found: Vec<Labels> =
            selections.iter().flat_map(|selection| self.matching(selection).map(|s| s.labels)).collect();
        found.sort();
        found.dedup();
        Ok(found)
    }
}
