//! Filling a page with families of the catalogue, within a bound for each cgroup.

use std::collections::HashSet;

use agent_exposition::{FamilyId, Kind, Page, SharedId};

use crate::catalogue::{CATALOGUE, Metric};
use crate::compat::{Compat, Quirk};

/// A page and the families of the catalogue that it has so far.
pub(crate) struct Sheet<'p> {
    pub(crate) page: &'p mut Page,
    families: [Option<FamilyId>; CATALOGUE.len()],
    pub(crate) compat: Compat,
    /// For the samples that bear a time.
    now_ms: i64,
    /// Samples by cgroup, at [`SharedId::index`].
    counts: Vec<u32>,
}

impl<'p> Sheet<'p> {
    pub(crate) fn new(page: &'p mut Page, compat: Compat, now_ms: i64) -> Self {
        Self { page, families: [None; CATALOGUE.len()], compat, now_ms, counts: Vec::new() }
    }

    /// Adds a sample with the labels of a cgroup and its own.
    pub(crate) fn put(&mut self, metric: Metric, cgroup: SharedId, labels: &[(&str, &str)], value: f64) {
        let at = metric as usize;
        let (Some(slot), Some(row)) = (self.families.get_mut(at), CATALOGUE.get(at)) else { return };
        debug_assert_eq!(row.metric, metric);
        let kind = match row.kind {
            Kind::Counter if self.compat.has(Quirk::CountersAsGauges) && is_a_gauge_in_cadvisor(metric) => Kind::Gauge,
            kind => kind,
        };
        let family = *slot.get_or_insert_with(|| self.page.family(row.name, row.help, kind));
        if self.compat.has(Quirk::Timestamps) && bears_a_time_in_cadvisor(metric) {
            self.page.sample_shared_at(family, cgroup, labels, value, self.now_ms);
        } else {
            self.page.sample_shared(family, cgroup, labels, value);
        }
        let place = cgroup.index();
        if place >= self.counts.len() {
            self.counts.resize(place + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
        }
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

    /// Takes whole families, the last of the catalogue first, from a cgroup that has more samples than the limit,
    /// until the rest is within it. Gives how many samples went.
    pub(crate) fn cut(&mut self, cgroup: SharedId, limit: u32) -> u64 {
        let count = self.counts.get(cgroup.index()).copied().unwrap_or(0);
        let mut excess = count.saturating_sub(limit);
        let mut dropped = 0;
        for family in self.families.iter().rev().flatten() {
            if excess == 0 {
                break;
            }
            let removed = u32::try_from(self.page.remove_shared(*family, cgroup)).unwrap_or(u32::MAX);
            excess = excess.saturating_sub(removed);
            dropped += u64::from(removed);
        }
        dropped
    }
}

/// Cuts the cgroups with too many series, and remembers which were told of.
#[derive(Debug, Default)]
pub(crate) struct SeriesCap {
    /// Samples that were left out, since the start.
    pub(crate) dropped: u64,
    told: HashSet<String>,
}

/// Cgroups that are remembered as told; beyond them the memory begins anew.
const MOST_TOLD: usize = 4096;

impl SeriesCap {
    /// `limit` 0 is none. `all` are the cgroups with their paths and names.
    pub(crate) fn apply<'a>(
        &mut self,
        sheet: &mut Sheet<'_>,
        limit: u32,
        all: impl Iterator<Item = (SharedId, &'a str, &'a str)>,
    ) {
        if limit == 0 || sheet.counts.iter().all(|count| *count <= limit) {
            return;
        }
        for (labels, path, name) in all {
            let dropped = sheet.cut(labels, limit);
            if dropped == 0 {
                continue;
            }
            self.dropped += dropped;
            if self.told.len() >= MOST_TOLD {
                self.told.clear();
            }
            if self.told.insert(path.to_owned()) {
                tracing::warn!(
                    id = path,
                    name,
                    limit,
                    dropped,
                    "a container has too many series, families are left out"
                );
            }
        }
    }
}

fn is_a_gauge_in_cadvisor(metric: Metric) -> bool {
    matches!(metric, Metric::NetTcpCounters | Metric::MemoryBandwidth | Metric::MemoryBandwidthLocal)
}

/// Limits and times of creation bear none.
fn bears_a_time_in_cadvisor(metric: Metric) -> bool {
    !matches!(
        metric,
        Metric::CreationTime
            | Metric::StartTime
            | Metric::SpecCpuPeriod
            | Metric::SpecCpuQuota
            | Metric::SpecCpuShares
            | Metric::SpecMemoryLimit
            | Metric::SpecMemorySwapLimit
            | Metric::SpecMemoryReservation
    )
}
