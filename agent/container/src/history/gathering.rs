//! Keeps as numbers what a scrape puts on its page, so that both say the same.

use std::sync::Arc;

use agent_exposition::SharedId;

use super::sample::{Device, FileSystem, Interface, Limits, Sample};
use crate::catalogue::Metric;
use crate::cgroups::Key;

/// One cgroup's figures under way.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) key: Key,
    labels: SharedId,
    pub(crate) sample: Sample,
    pub(crate) limits: Limits,
    /// Seconds since 1970.
    pub(crate) created: Option<f64>,
}

/// All cgroups' figures of one scrape.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    pub(crate) all: Vec<Gathered>,
    /// The one of the last figure: those of a cgroup come one after the other, but for its network's.
    last: usize,
}

impl Gathering {
    /// From now on figures with these labels are those of this cgroup.
    pub(crate) fn begin(&mut self, key: Key, labels: SharedId) {
        self.last = self.all.len();
        let (sample, limits) = (Sample::default(), Limits::default());
        self.all.push(Gathered { key, labels, sample, limits, created: None });
    }

    /// A figure of the cgroup with these labels, and the labels it has besides.
    pub(crate) fn put(&mut self, metric: Metric, of: SharedId, labels: &[(&str, &str)], value: f64) {
        if self.all.get(self.last).is_none_or(|gathered| gathered.labels != of) {
            let Some(at) = self.all.iter().position(|gathered| gathered.labels == of) else { return };
            self.last = at;
        }
        if let Some(gathered) = self.all.get_mut(self.last) {
            gathered.put(metric, labels, value);
        }
    }
}

impl Gathered {
    fn put(&mut self, metric: Metric, labels: &[(&str, &str)], value: f64) {
        let label = |name: &str| labels.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| *value);
        let count = value as u64;
        let whole = Some(count);
        let in_nanos = (value * 1e9).round() as u64;
        let nanos = Some(in_nanos);
        let micros = Some((value * 1e6).round() as u64);
        let Sample { cpu, memory, interfaces, devices, file_systems, tasks } = &mut self.sample;
        match metric {
            Metric::CreationTime => self.created = Some(value),
            Metric::SpecCpuShares => self.limits.cpu_shares = whole,
            Metric::SpecCpuQuota => self.limits.cpu_quota = whole,
            Metric::SpecCpuPeriod => self.limits.cpu_period = whole,
            Metric::SpecMemoryLimit => self.limits.memory = whole,
            Metric::SpecMemoryReservation => self.limits.memory_reservation = whole,
            Metric::SpecMemorySwapLimit => self.limits.swap = whole,
            Metric::CpuUsage => match label("cpu").strip_prefix("cpu").and_then(|number| number.parse().ok()) {
                None => cpu.total = nanos,
                Some(number @ 0..MOST_CPUS) => {
                    if cpu.by_cpu.len() <= number {
                        cpu.by_cpu.resize(number + 1, 0);
                    }
                    if let Some(of_cpu) = cpu.by_cpu.get_mut(number) {
                        *of_cpu = in_nanos;
                    }
                    cpu.total = Some(cpu.total.unwrap_or(0) + in_nanos);
                }
                Some(_) => {}
            },
            Metric::CpuUser => cpu.user = nanos,
            Metric::CpuSystem => cpu.system = nanos,
            Metric::CfsPeriods => cpu.periods = whole,
            Metric::CfsThrottledPeriods => cpu.throttled_periods = whole,
            Metric::CfsThrottled => cpu.throttled = nanos,
            Metric::CfsBurstPeriods => cpu.burst_periods = whole,
            Metric::CfsBurst => cpu.burst = nanos,
            Metric::LoadAverage => cpu.load = Some(value),
            Metric::PressureCpuSome => cpu.pressure.some = micros,
            Metric::PressureCpuFull => cpu.pressure.full = micros,
            Metric::MemoryUsage => memory.usage = whole,
            Metric::MemoryMaxUsage => memory.max_usage = whole,
            Metric::MemoryWorkingSet => memory.working_set = whole,
            Metric::MemoryCache => memory.cache = whole,
            Metric::MemoryRss => memory.rss = whole,
            Metric::MemorySwap => memory.swap = whole,
            Metric::MemoryMappedFile => memory.mapped_file = whole,
            Metric::MemoryKernel => memory.kernel = whole,
            Metric::MemoryActiveFile => memory.active_file = whole,
            Metric::MemoryInactiveFile => memory.inactive_file = whole,
            Metric::MemoryFailures => memory.failures = whole,
            Metric::MemoryFaults => match (label("failure_type"), label("scope")) {
                ("pgfault", "container") => memory.faults = whole,
                ("pgmajfault", "container") => memory.major_faults = whole,
                ("pgfault", "hierarchy") => memory.total_faults = whole,
                ("pgmajfault", "hierarchy") => memory.total_major_faults = whole,
                _ => {}
            },
            Metric::OomEvents => memory.kills = whole,
            Metric::PressureMemorySome => memory.pressure.some = micros,
            Metric::PressureMemoryFull => memory.pressure.full = micros,
            Metric::NetReceiveBytes => interface(interfaces, label("interface")).rx_bytes = count,
            Metric::NetReceivePackets => interface(interfaces, label("interface")).rx_packets = count,
            Metric::NetReceiveErrors => interface(interfaces, label("interface")).rx_errors = count,
            Metric::NetReceiveDropped => interface(interfaces, label("interface")).rx_dropped = count,
            Metric::NetTransmitBytes => interface(interfaces, label("interface")).tx_bytes = count,
            Metric::NetTransmitPackets => interface(interfaces, label("interface")).tx_packets = count,
            Metric::NetTransmitErrors => interface(interfaces, label("interface")).tx_errors = count,
            Metric::NetTransmitDropped => interface(interfaces, label("interface")).tx_dropped = count,
            Metric::FsUsage => file_system(file_systems, label("device")).used = whole,
            Metric::FsLimit => file_system(file_systems, label("device")).size = whole,
            Metric::FsInodesTotal => file_system(file_systems, label("device")).inodes = whole,
            Metric::FsInodesFree => file_system(file_systems, label("device")).inodes_free = whole,
            Metric::FsReadsBytes => device(devices, label("device")).read_bytes = whole,
            Metric::FsWritesBytes => device(devices, label("device")).written_bytes = whole,
            Metric::FsReads => device(devices, label("device")).reads = whole,
            Metric::FsWrites => device(devices, label("device")).writes = whole,
            Metric::BlkioUsage => {
                let device = device(devices, label("device"));
                device.numbers = label("major").parse().ok().zip(label("minor").parse().ok());
                if let Some(operation) = OPERATIONS.iter().find(|known| **known == label("operation")) {
                    device.bytes.insert(operation, count);
                }
            }
            Metric::Processes => tasks.processes = whole,
            Metric::Threads => tasks.threads = whole,
            Metric::ThreadsMax => tasks.threads_max = whole,
            _ => {}
        }
    }
}

/// More than any machine has.
const MOST_CPUS: usize = 8192;

const OPERATIONS: &[&str] = &["Read", "Write", "Sync", "Async", "Discard", "Total"];

/// The entry of that name, made where it is new.
fn interface<'a>(all: &'a mut Vec<Interface>, name: &str) -> &'a mut Interface {
    let new = || Interface { name: name.into(), ..Interface::default() };
    entry(all, |interface| &*interface.name == name, new)
}

fn device<'a>(all: &'a mut Vec<Device>, name: &str) -> &'a mut Device {
    let new = || Device { name: Arc::from(name), ..Device::default() };
    entry(all, |device| &*device.name == name, new)
}

fn file_system<'a>(all: &'a mut Vec<FileSystem>, device: &str) -> &'a mut FileSystem {
    let new = || FileSystem { device: device.into(), ..FileSystem::default() };
    entry(all, |file_system| &*file_system.device == device, new)
}

fn entry<T>(all: &mut Vec<T>, is_it: impl FnMut(&T) -> bool, new: impl FnOnce() -> T) -> &mut T {
    let at = all.iter().position(is_it).unwrap_or_else(|| {
        all.push(new());
        all.len() - 1
    });
    #[allow(clippy::indexing_slicing, reason = "the place was found or made just now")]
    &mut all[at]
}
