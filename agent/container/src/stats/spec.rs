//! What a container was given: its limits.

use agent_procfs::cgroup::{self, Limit};

use super::{Reading, memory};
use crate::catalogue::Metric;
use crate::cgroups::{Controller, File, Version};

/// Adds the limits; says whether the CPU is limited.
pub(crate) fn collect(reading: &mut Reading<'_, '_>) -> bool {
    memory::limits(reading);
    match reading.layout.version(Controller::Cpu) {
        Some(Version::V1) => {
            let shares = reading.number(File::V1CpuShares);
            reading.put_some(Metric::SpecCpuShares, shares);
            let period = reading.number(File::V1CpuPeriod);
            reading.put_some(Metric::SpecCpuPeriod, period);
            let quota = reading.read(File::V1CpuQuota).and_then(cgroup::limit);
            put_quota(reading, quota)
        }
        Some(Version::V2) => {
            let weight = reading.number(File::V2CpuWeight);
            reading.put_some(Metric::SpecCpuShares, weight.map(cgroup::shares_of_weight));
            let bandwidth = reading.read(File::V2CpuMax).and_then(cgroup::bandwidth);
            reading.put_some(Metric::SpecCpuPeriod, bandwidth.map(|(_, period)| period));
            put_quota(reading, bandwidth.map(|(quota, _)| quota))
        }
        None => false,
    }
}

fn put_quota(reading: &mut Reading<'_, '_>, quota: Option<Limit>) -> bool {
    match quota {
        Some(Limit::At(quota)) => {
            reading.put_some(Metric::SpecCpuQuota, Some(quota));
            true
        }
        Some(Limit::None) | None => false,
    }
}
