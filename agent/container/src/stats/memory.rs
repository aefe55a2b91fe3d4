//! Memory in use and how it is reclaimed: `memory.*`.

use agent_procfs::cgroup::{self, MemoryEvents, MemoryStat};

use super::Reading;
use crate::catalogue::Metric;
use crate::cgroups::{Cgroup, Controller, Desk, File, Layout, Version};
use crate::compat::Quirk;

pub(crate) fn collect(reading: &mut Reading<'_, '_>) {
    match reading.layout.version(Controller::Memory) {
        Some(Version::V1) => version_1(reading),
        Some(Version::V2) => version_2(reading),
        None => {}
    }
}

fn version_1(reading: &mut Reading<'_, '_>) {
    let Some(stat) = reading.read(File::V1MemoryStat).map(MemoryStat::parse_v1) else { return };
    let stat = if reading.has(Quirk::ZeroesOnV1) { without_what_v2_has(stat) } else { stat };
    let usage = reading.number(File::V1MemoryUsage);
    in_use(reading, &stat, usage);
    let highest = reading.number(File::V1MemoryMaxUsage);
    reading.put_some(Metric::MemoryMaxUsage, highest);
    let kernel = reading.number(File::V1MemoryKernel);
    reading.put_some(Metric::MemoryKernel, kernel);
    let failures = reading.limits().hit_before.or_else(|| reading.number(File::V1MemoryFailures));
    reading.put_some(Metric::MemoryFailures, failures);
    reading.put_some(Metric::MemorySwap, stat.swap);
    if reading.has(Quirk::ZeroesOnV1) {
        for metric in [Metric::MemoryEventsHigh, Metric::MemoryEventsMax] {
            reading.put_some(metric, Some(0));
        }
        reading.put_some(Metric::MemoryScanned, stat.scanned);
        reading.put_some(Metric::MemoryReclaimed, stat.reclaimed);
    }
}

/// As cAdvisor reads version 1, which tells some of these.
fn without_what_v2_has(stat: MemoryStat) -> MemoryStat {
    MemoryStat {
        file_dirty: Some(0),
        file_writeback: Some(0),
        scanned: Some(0),
        reclaimed: Some(0),
        refaults_file: Some(0),
        refaults_anon: Some(0),
        ..stat
    }
}

fn version_2(reading: &mut Reading<'_, '_>) {
    let Some(stat) = reading.read(File::V2MemoryStat).map(MemoryStat::parse_v2) else { return };
    let usage = usage_v2(reading.layout, reading.desk, reading.cgroup, &stat);
    in_use(reading, &stat, usage);
    let highest = reading.number(File::V2MemoryPeak);
    reading.put_some(Metric::MemoryMaxUsage, highest);
    let zero = reading.has(Quirk::ZeroesOnV2).then_some(0);
    reading.put_some(Metric::MemoryKernel, zero.or(stat.kernel));
    let swap = if reading.cgroup.is_root() { reading.machine.swap_used } else { reading.number(File::V2MemorySwap) };
    reading.put_some(Metric::MemorySwap, swap);
    let events = reading.read(File::V2MemoryEvents).map(MemoryEvents::parse).unwrap_or_default();
    reading.put_some(Metric::MemoryFailures, zero.or(events.max));
    reading.put_some(Metric::MemoryEventsHigh, events.high);
    reading.put_some(Metric::MemoryEventsMax, events.max);
    reading.put_some(Metric::MemoryScanned, stat.scanned);
    reading.put_some(Metric::MemoryReclaimed, stat.reclaimed);
}

fn in_use(reading: &mut Reading<'_, '_>, stat: &MemoryStat, usage: Option<u64>) {
    reading.put_some(Metric::MemoryUsage, usage);
    let inactive = stat.inactive_file.unwrap_or(0);
    reading.put_some(Metric::MemoryWorkingSet, usage.map(|usage| usage.saturating_sub(inactive)));
    reading.put_some(Metric::MemoryCache, stat.cache);
    reading.put_some(Metric::MemoryRss, stat.rss);
    reading.put_some(Metric::MemoryMappedFile, stat.mapped_file);
    reading.put_some(Metric::MemoryActiveFile, stat.active_file);
    reading.put_some(Metric::MemoryInactiveFile, stat.inactive_file);
    reading.put_some(Metric::MemoryFileDirty, stat.file_dirty);
    reading.put_some(Metric::MemoryFileWriteback, stat.file_writeback);
    reading.put_some(Metric::MemoryRefaultsFile, stat.refaults_file);
    reading.put_some(Metric::MemoryRefaultsAnon, stat.refaults_anon);
    let faults = [
        ("pgfault", "container", stat.faults),
        ("pgfault", "hierarchy", stat.total_faults),
        ("pgmajfault", "container", stat.major_faults),
        ("pgmajfault", "hierarchy", stat.total_major_faults),
    ];
    for (kind, scope, count) in faults {
        if let Some(count) = count {
            reading.put(Metric::MemoryFaults, &[("failure_type", kind), ("scope", scope)], count as f64);
        }
    }
}

/// The root of version 2 has no `memory.current`: what it has charged is what its figures add up to.
fn usage_v2(layout: &Layout, desk: &mut Desk, cgroup: &mut Cgroup, stat: &MemoryStat) -> Option<u64> {
    if cgroup.is_root() {
        return Some(stat.rss?.saturating_add(stat.cache?));
    }
    desk.read(layout, cgroup, File::V2MemoryCurrent).and_then(cgroup::number)
}

/// Memory charged, bytes.
pub(crate) fn usage(layout: &Layout, desk: &mut Desk, cgroup: &mut Cgroup) -> Option<u64> {
    match layout.version(Controller::Memory)? {
        Version::V1 => desk.read(layout, cgroup, File::V1MemoryUsage).and_then(cgroup::number),
        Version::V2 => {
            let stat = match cgroup.is_root() {
                true => desk.read(layout, cgroup, File::V2MemoryStat).map(MemoryStat::parse_v2)?,
                false => MemoryStat::default(),
            };
            usage_v2(layout, desk, cgroup, &stat)
        }
    }
}

/// Processes killed for want of memory since the cgroup was made. Absent before Linux 4.13.
pub(crate) fn kills(layout: &Layout, desk: &mut Desk, cgroup: &mut Cgroup) -> Option<u64> {
    match layout.version(Controller::Memory)? {
        Version::V1 => desk.read(layout, cgroup, File::V1OomControl).and_then(|t| cgroup::value_of(t, b"oom_kill")),
        Version::V2 => desk.read(layout, cgroup, File::V2MemoryEvents).and_then(|t| MemoryEvents::parse(t).oom_kill),
    }
}
