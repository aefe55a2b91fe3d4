//! Filling a page with families of the catalogue.

use agent_exposition::{FamilyId, Page, SharedId};

use crate::catalogue::{CATALOGUE, Metric};
use crate::history::Gathering;

/// A page and the families of the catalogue that it has so far.
pub(crate) struct Sheet<'p> {
    pub(crate) page: &'p mut Page,
    families: [Option<FamilyId>; CATALOGUE.len()],
    /// Where the figures are also kept as numbers, if they are.
    pub(crate) gathering: Option<Gathering>,
}

impl<'p> Sheet<'p> {
    pub(crate) fn new(page: &'p mut Page) -> Self {
        Self { page, families: [None; CATALOGUE.len()], gathering: None }
    }

    /// Adds a sample with the labels of a cgroup and its own.
    pub(crate) fn put(&mut self, metric: Metric, cgroup: SharedId, labels: &[(&str, &str)], value: f64) {
        if let Some(gathering) = &mut self.gathering {
            gathering.put(metric, cgroup, labels, value);
        }
        let at = metric as usize;
        let (Some(slot), Some(row)) = (self.families.get_mut(at), CATALOGUE.get(at)) else { return };
        debug_assert_eq!(row.metric, metric);
        let family = *slot.get_or_insert_with(|| self.page.family(row.name, row.help, row.kind));
        self.page.sample_shared(family, cgroup, labels, value);
    }

    /// Adds a sample without labels of its own, if there is a value.
    pub(crate) fn put_some(&mut self, metric: Metric, cgroup: SharedId, value: Option<u64>) {
        if let Some(value) = value {
            self.put(metric, cgroup, &[], value as f64);
        }
    }

    /// As [`put_some`](Self::put_some), of a value in nanoseconds, as seconds.
    pub(crate) fn put_nanos(&mut self, metric: Metric, cgroup: SharedId, value: Option<u64>) {
        if let Some(value) = value {
            self.put(metric, cgroup, &[], value as f64 / 1e9);
        }
    }

    /// As [`put_some`](Self::put_some), of a value in microseconds, as seconds.
    pub(crate) fn put_micros(&mut self, metric: Metric, cgroup: SharedId, value: Option<u64>) {
        if let Some(value) = value {
            self.put(metric, cgroup, &[], value as f64 / 1e6);
        }
    }
}
