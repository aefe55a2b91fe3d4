//! A storage in memory that series are put into by hand, for tests and for unit tests of rules.

use std::collections::BTreeMap;

use collector_model::{Budget, Labels, Sample, Select, SelectError, Selection, SeriesSamples, TimestampMs};

/// Series in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage {
    series: BTreeMap<Labels, Vec<Sample>>,
}

impl MemoryStorage {
    /// An empty storage.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one sample; a later value for the same time replaces the earlier one.
    pub fn push(&mut self, labels: Labels, timestamp_ms: TimestampMs, value: f64) {
        let samples = self.series.entry(labels).or_default();
        let sample = Sample { timestamp_ms, value };
        match samples.binary_search_by_key(&timestamp_ms, |s| s.timestamp_ms) {
            Ok(at) => {
                if let Some(known) = samples.get_mut(at) {
                    *known = sample;
                }
            }
            Err(at) => samples.insert(at, sample),
        }
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

    fn matching(&self, selection: &Selection) -> impl Iterator<Item = (&Labels, &[Sample])> {
        let (min, max) = (selection.min_ms, selection.max_ms);
        self.series
            .iter()
            .filter(|(labels, _)| selection.matchers.iter().all(|m| m.matches_labels(labels)))
            .map(move |(labels, samples)| {
                let begin = samples.partition_point(|s| s.timestamp_ms < min);
                let end = samples.partition_point(|s| s.timestamp_ms <= max);
                (labels, samples.get(begin..end).unwrap_or_default())
            })
            .filter(|(_, inside)| !inside.is_empty())
    }
}

impl Select for MemoryStorage {
    fn select(&self, selection: &Selection, budget: &dyn Budget) -> Result<Vec<SeriesSamples>, SelectError> {
        let mut selected = Vec::new();
        for (labels, inside) in self.matching(selection) {
            budget.take(inside.len())?;
            selected.push(SeriesSamples { labels: labels.clone(), samples: inside.to_vec() });
        }
        Ok(selected)
    }

    fn series(&self, selections: &[Selection]) -> Result<Vec<Labels>, SelectError> {
        let mut found: Vec<Labels> = selections
            .iter()
            .flat_map(|selection| self.matching(selection).map(|(labels, _)| labels.clone()))
            .collect();
        found.sort();
        found.dedup();
        Ok(found)
    }
}
