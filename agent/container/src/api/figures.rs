//! The pieces that both versions of the API share, with the names of cAdvisor's `info/v1`.

use std::time::SystemTime;

use super::json::Json;
use crate::history::{About, Cpu, Device, FileSystem, Interface, Memory, Pressure, Sample, Tasks};

pub(super) fn cpu(json: &mut Json, cpu: &Cpu) {
    json.object_in("cpu");
    json.object_in("usage");
    json.number("total", cpu.total);
    if !cpu.by_cpu.is_empty() {
        json.list_in("per_cpu_usage");
        cpu.by_cpu.iter().for_each(|nanos| json.item(*nanos));
        json.end_list();
    }
    json.number("user", cpu.user);
    json.number("system", cpu.system);
    json.end_object();
    json.object_in("cfs");
    json.number("periods", cpu.periods);
    json.number("throttled_periods", cpu.throttled_periods);
    json.number("throttled_time", cpu.throttled);
    json.number("burst_periods", cpu.burst_periods);
    json.number("bursts_time", cpu.burst);
    json.end_object();
    // Thousandths, so that it is a whole number.
    json.number("load_average", cpu.load.map(|load| (load * 1000.0).round() as u64));
    psi(json, cpu.pressure);
    json.end_object();
}

fn psi(json: &mut Json, pressure: Pressure) {
    if pressure == Pressure::default() {
        return;
    }
    json.object_in("psi");
    for (name, total) in [("full", pressure.full), ("some", pressure.some)] {
        json.object_in(name);
        json.number("total", total);
        json.end_object();
    }
    json.end_object();
}

pub(super) fn memory(json: &mut Json, memory: &Memory) {
    json.object_in("memory");
    json.number("usage", memory.usage);
    json.number("max_usage", memory.max_usage);
    json.number("cache", memory.cache);
    json.number("rss", memory.rss);
    json.number("swap", memory.swap);
    json.number("mapped_file", memory.mapped_file);
    json.number("working_set", memory.working_set);
    json.number("total_active_file", memory.active_file);
    json.number("total_inactive_file", memory.inactive_file);
    json.number("kernel", memory.kernel);
    json.number("failcnt", memory.failures);
    let faults = [
        ("container_data", memory.faults, memory.major_faults),
        ("hierarchical_data", memory.total_faults, memory.total_major_faults),
    ];
    for (name, faults, major) in faults {
        json.object_in(name);
        json.number("pgfault", faults);
        json.number("pgmajfault", major);
        json.end_object();
    }
    psi(json, memory.pressure);
    json.end_object();
}

pub(super) fn disk_io(json: &mut Json, devices: &[Device]) {
    json.object_in("diskio");
    if !devices.is_empty() {
        json.list_in("io_service_bytes");
        for device in devices.iter().filter(|device| !device.bytes.is_empty()) {
            let all: Vec<_> = device.bytes.iter().map(|(operation, bytes)| (*operation, Some(*bytes))).collect();
            of_device(json, device, &all);
        }
        json.end_list();
        json.list_in("io_serviced");
        for device in devices.iter().filter(|device| device.reads.is_some() || device.writes.is_some()) {
            of_device(json, device, &[("Read", device.reads), ("Write", device.writes)]);
        }
        json.end_list();
    }
    json.end_object();
}

fn of_device(json: &mut Json, device: &Device, stats: &[(&str, Option<u64>)]) {
    json.object();
    json.text("device", &device.name);
    json.number("major", device.numbers.map(|(major, _)| major.into()));
    json.number("minor", device.numbers.map(|(_, minor)| minor.into()));
    json.object_in("stats");
    for (operation, value) in stats {
        json.number(operation, *value);
    }
    json.end_object();
    json.end_object();
}

fn counters(json: &mut Json, interface: &Interface) {
    json.text("name", &interface.name);
    json.number("rx_bytes", Some(interface.rx_bytes));
    json.number("rx_packets", Some(interface.rx_packets));
    json.number("rx_errors", Some(interface.rx_errors));
    json.number("rx_dropped", Some(interface.rx_dropped));
    json.number("tx_bytes", Some(interface.tx_bytes));
    json.number("tx_packets", Some(interface.tx_packets));
    json.number("tx_errors", Some(interface.tx_errors));
    json.number("tx_dropped", Some(interface.tx_dropped));
}

/// Version 1 has the first interface's counters beside the list.
pub(super) fn network(json: &mut Json, interfaces: &[Interface], with_first: bool) {
    json.object_in("network");
    if let Some(first) = interfaces.first() {
        if with_first {
            counters(json, first);
        }
        json.list_in("interfaces");
        for interface in interfaces {
            json.object();
            counters(json, interface);
            json.end_object();
        }
        json.end_list();
    }
    json.end_object();
}

/// As version 1 has them: the machine's, or the one that a container's layer lies on.
pub(super) fn file_systems(json: &mut Json, all: &[FileSystem], of_machine: bool) {
    if all.is_empty() {
        return;
    }
    json.list_in("filesystem");
    for file_system in all {
        json.object();
        json.text("device", &file_system.device);
        json.number("capacity", file_system.size);
        json.number("usage", file_system.used);
        json.number("base_usage", file_system.used.filter(|_| !of_machine));
        json.flag("has_inodes", file_system.inodes.is_some());
        json.number("inodes", file_system.inodes);
        json.number("inodes_free", file_system.inodes_free);
        json.end_object();
    }
    json.end_list();
}

pub(super) fn processes(json: &mut Json, tasks: Tasks) {
    json.object_in("processes");
    json.number("process_count", tasks.processes);
    json.number("threads_current", tasks.threads);
    json.number("threads_max", tasks.threads_max);
    json.end_object();
}

/// What a sample has at all, as the specs tell it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Has {
    pub(super) cpu: bool,
    pub(super) memory: bool,
    pub(super) network: bool,
    pub(super) processes: bool,
    pub(super) file_systems: bool,
    pub(super) disk_io: bool,
}

impl Has {
    pub(super) fn of(sample: Option<&Sample>) -> Self {
        let Some(sample) = sample else { return Self::default() };
        Self {
            cpu: sample.cpu.total.is_some(),
            memory: sample.memory.usage.is_some(),
            network: !sample.interfaces.is_empty(),
            processes: sample.tasks != Tasks::default(),
            file_systems: !sample.file_systems.is_empty(),
            disk_io: !sample.devices.is_empty(),
        }
    }
}

/// The members of a spec. Version 2 has the names in it too.
pub(super) fn spec(json: &mut Json, about: &About, newest: Option<&Sample>, with_names: bool) {
    /// As cAdvisor writes "no limit".
    fn limit(bytes: Option<u64>) -> Option<u64> {
        bytes.map(|bytes| if bytes == 0 { u64::MAX } else { bytes })
    }
    let has = Has::of(newest);
    let limits = &about.limits;
    json.nanoseconds("creation_time", about.created);
    if with_names {
        names(json, about);
    }
    if !about.labels.is_empty() {
        json.object_in("labels");
        for (key, value) in &about.labels {
            json.text(key, value);
        }
        json.end_object();
    }
    json.flag("has_cpu", has.cpu);
    json.object_in("cpu");
    json.number("limit", limits.cpu_shares);
    json.number("max_limit", Some(0));
    json.number("quota", limits.cpu_quota);
    json.number("period", limits.cpu_period);
    json.end_object();
    json.flag("has_memory", has.memory);
    json.object_in("memory");
    json.number("limit", limit(limits.memory));
    json.number("reservation", limits.memory_reservation.filter(|bytes| *bytes > 0));
    json.number("swap_limit", limit(limits.swap));
    json.end_object();
    json.flag("has_hugetlb", false);
    json.flag("has_network", has.network);
    json.flag("has_processes", has.processes);
    json.object_in("processes");
    json.number("limit", newest.and_then(|sample| sample.tasks.threads_max).filter(|most| *most > 0));
    json.end_object();
    json.flag("has_filesystem", has.file_systems);
    json.flag("has_diskio", has.disk_io);
    json.flag("has_custom_metrics", false);
    json.text_if("image", about.image.as_deref());
}

/// The names by which a runtime knows a container.
pub(super) fn names(json: &mut Json, about: &About) {
    let Some((name, id)) = about.name.as_deref().zip(about.id.as_deref()) else { return };
    json.list_in("aliases");
    json.text_item(name);
    json.text_item(id);
    json.end_list();
    json.text_if("namespace", about.runtime);
}

/// Two readings of one cgroup, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    pub(super) before: Option<(SystemTime, &'a Sample)>,
    pub(super) at: SystemTime,
    pub(super) sample: &'a Sample,
}

/// The newest `most` readings, each with the one before it.
pub(super) fn steps<'a>(samples: &[(SystemTime, &'a Sample)], most: usize) -> Vec<Step<'a>> {
    let first = samples.len().saturating_sub(most);
    let all = samples.iter().enumerate().skip(first);
    all.map(|(number, (at, sample))| Step {
        before: number.checked_sub(1).and_then(|before| samples.get(before)).copied(),
        at: *at,
        sample,
    })
    .collect()
}

/// How fast a counter grew, in units per second; nothing where it fell.
pub(super) fn rate(now: Option<u64>, before: Option<u64>, span: std::time::Duration) -> Option<u64> {
    let grown = now?.checked_sub(before?)?;
    let nanos = span.as_nanos();
    (nanos > 0).then(|| (u128::from(grown) * 1_000_000_000 / nanos) as u64)
}
