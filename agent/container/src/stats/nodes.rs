//! Where memory lies: pages by NUMA node, and whether they move with the cpuset.

use agent_procfs::cgroup;

use super::Reading;
use crate::catalogue::Metric;
use crate::cgroups::{Controller, File, Version};
use crate::compat::Quirk;

const KINDS: &[&str] = &["file", "anon", "unevictable"];

/// Pages by node. Version 1 counts the cgroup alone and with all below; version 2, which counts bytes, has only the
/// latter.
pub(crate) fn numa(reading: &mut Reading<'_, '_>) {
    let (file, unit) = match reading.layout.version(Controller::Memory) {
        Some(Version::V1) => (File::V1MemoryNuma, 1),
        Some(Version::V2) if !reading.has(Quirk::ZeroesOnV2) => {
            (File::V2MemoryNuma, rustix::param::page_size().max(1) as u64)
        }
        _ => return,
    };
    let Some(text) = reading.desk.read(reading.layout, reading.cgroup, file) else { return };
    for stat in cgroup::numa_stat(text) {
        let (kind, scope) = match stat.kind.strip_prefix("hierarchical_") {
            Some(kind) => (kind, "hierarchy"),
            None if file == File::V2MemoryNuma => (stat.kind, "hierarchy"),
            None => (stat.kind, "container"),
        };
        if !KINDS.contains(&kind) {
            continue;
        }
        for (node, value) in stat.nodes() {
            let labels = &[("node", node), ("scope", scope), ("type", kind)];
            reading.sheet.put(Metric::MemoryNuma, reading.labels, labels, (value / unit) as f64);
        }
    }
}

/// Version 2 always moves memory and has no such setting.
pub(crate) fn cpuset(reading: &mut Reading<'_, '_>) {
    match reading.layout.version(Controller::Cpuset) {
        Some(Version::V1) => {
            let migrate = reading.number(File::V1CpusetMigrate);
            reading.put_some(Metric::MemoryMigrate, migrate);
        }
        Some(Version::V2) if reading.has(Quirk::ZeroesOnV2) => reading.put_some(Metric::MemoryMigrate, Some(0)),
        Some(Version::V2) | None => {}
    }
}
