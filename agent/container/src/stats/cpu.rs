//! CPU time and throttling: `cpuacct.*` and `cpu.stat` of version 1, `cpu.stat` of version 2.

use agent_procfs::cgroup::{self, CpuStat};

use super::Reading;
use crate::catalogue::Metric;
use crate::cgroups::{Cgroup, Controller, Desk, File, Layout, Version};
use crate::sets::Set;

/// A tick of `cpuacct.stat`, in nanoseconds: USER_HZ is 100 on every platform that Rust knows.
const TICK: u64 = 10_000_000;

/// `limited` says whether the group has a CPU limit: without one the throttling figures mean nothing.
pub(crate) fn collect(reading: &mut Reading<'_, '_>, limited: bool) {
    match reading.layout.version(Controller::Cpuacct) {
        Some(Version::V1) => {
            usage_v1(reading);
            let (user, system) = reading.read(File::V1CpuTicks).map(cgroup::cpuacct_stat).unwrap_or_default();
            reading.put_nanos(Metric::CpuUser, user.and_then(|ticks| ticks.checked_mul(TICK)));
            reading.put_nanos(Metric::CpuSystem, system.and_then(|ticks| ticks.checked_mul(TICK)));
            if limited {
                let stat = reading.read(File::V1CpuStat).map(CpuStat::parse).unwrap_or_default();
                throttling(reading, &stat);
            }
        }
        Some(Version::V2) => {
            let Some(stat) = reading.read(File::V2CpuStat).map(CpuStat::parse) else { return };
            if let Some(usage) = stat.usage {
                reading.put(Metric::CpuUsage, &[("cpu", "total")], usage as f64 / 1e9);
            }
            reading.put_nanos(Metric::CpuUser, stat.user);
            reading.put_nanos(Metric::CpuSystem, stat.system);
            if limited {
                throttling(reading, &stat);
            }
        }
        None => {}
    }
}

/// By CPU, without the CPUs that were never used and without a total, or only the total.
fn usage_v1(reading: &mut Reading<'_, '_>) {
    if !reading.sets.has(Set::PerCpu) {
        if let Some(usage) = reading.number(File::V1CpuUsage) {
            reading.put(Metric::CpuUsage, &[("cpu", "total")], usage as f64 / 1e9);
        }
        return;
    }
    let Some(text) = reading.desk.read(reading.layout, reading.cgroup, File::V1CpuUsagePerCpu) else { return };
    let mut name = String::new();
    for (cpu, nanos) in cgroup::cpuacct_usage_percpu(text).enumerate() {
        // CPU 0 stands also for a group that never ran, so that its counter begins at 0.
        if nanos > 0 || cpu == 0 {
            name.clear();
            let _ = std::fmt::Write::write_fmt(&mut name, format_args!("cpu{cpu:02}"));
            reading.sheet.put(Metric::CpuUsage, reading.labels, &[("cpu", &name)], nanos as f64 / 1e9);
        }
    }
}

fn throttling(reading: &mut Reading<'_, '_>, stat: &CpuStat) {
    reading.put_some(Metric::CfsPeriods, stat.periods);
    reading.put_some(Metric::CfsThrottledPeriods, stat.throttled_periods);
    reading.put_nanos(Metric::CfsThrottled, stat.throttled);
    reading.put_some(Metric::CfsBurstPeriods, stat.burst_periods);
    reading.put_nanos(Metric::CfsBurst, stat.burst);
}

/// CPU time used so far, in nanoseconds.
pub(crate) fn usage(layout: &Layout, desk: &mut Desk, cgroup: &mut Cgroup) -> Option<u64> {
    match layout.version(Controller::Cpuacct)? {
        Version::V1 => desk.read(layout, cgroup, File::V1CpuUsage).and_then(cgroup::number),
        Version::V2 => desk.read(layout, cgroup, File::V2CpuStat).and_then(|text| CpuStat::parse(text).usage),
    }
}
