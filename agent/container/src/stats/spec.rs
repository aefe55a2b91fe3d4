//! What a container was given: its limits.

use agent_procfs::cgroup::Limit;

use super::Reading;
use crate::catalogue::Metric;
use crate::cgroups::{Controller, Limits, Version};
use crate::compat::Quirk;

/// Adds the limits; says whether the CPU is limited.
pub(crate) fn collect(reading: &mut Reading<'_, '_>) -> bool {
    let limits = reading.limits();
    memory(reading, &limits);
    reading.put_some(Metric::SpecCpuShares, limits.shares);
    reading.put_some(Metric::SpecCpuPeriod, limits.period);
    match limits.quota {
        Some(Limit::At(quota)) => {
            reading.put_some(Metric::SpecCpuQuota, Some(quota));
            true
        }
        Some(Limit::None) | None => false,
    }
}

/// The limits of memory, swap and what is kept for the group.
fn memory(reading: &mut Reading<'_, '_>, limits: &Limits) {
    if reading.cgroup.is_root() {
        let machine = reading.machine;
        reading.put_some(Metric::SpecMemoryLimit, machine.memory_total);
        reading.put_some(Metric::SpecMemorySwapLimit, machine.swap_total);
        return;
    }
    let is_v1 = reading.layout.version(Controller::Memory) == Some(Version::V1);
    // Version 1's figure is memory and swap together.
    let swap = match is_v1 && !reading.has(Quirk::SwapWithMemory) {
        true => limits.swap.zip(limits.memory).map(|(both, memory)| both.saturating_sub(memory)),
        false => limits.swap,
    };
    let kept = if !is_v1 && reading.has(Quirk::ReservationIsMin) { limits.least } else { limits.reservation };
    reading.put_some(Metric::SpecMemoryLimit, limits.memory);
    reading.put_some(Metric::SpecMemorySwapLimit, swap);
    reading.put_some(Metric::SpecMemoryReservation, kept);
}
