//! The figures of one cgroup at one moment, as numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Figures of one cgroup at one moment. What the kernel does not tell, or what a set that is off would tell, is `None`
/// or empty.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// CPU time.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Memory,
    /// Interfaces of its network namespace, where it owns one.
    pub interfaces: Vec<Interface>,
    /// Block devices that it has read or written.
    pub devices: Vec<Device>,
    /// File systems: the machine's, or the one of a container's writable layer.
    pub file_systems: Vec<FileSystem>,
    /// Processes and threads.
    pub tasks: Tasks,
}

/// CPU time since the cgroup was made, in nanoseconds, and what stands in its way.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Cpu {
    /// All time, nanoseconds.
    pub total: Option<u64>,
    /// Time of programs, nanoseconds.
    pub user: Option<u64>,
    /// Time of the kernel, nanoseconds.
    pub system: Option<u64>,
    /// Time by CPU, nanoseconds; cgroup v1 alone tells it. A CPU that was never used has 0.
    pub by_cpu: Vec<u64>,
    /// Periods of the CPU limit that have passed.
    pub periods: Option<u64>,
    /// Periods in which the limit was reached.
    pub throttled_periods: Option<u64>,
    /// Time that was waited for the limit, nanoseconds.
    pub throttled: Option<u64>,
    /// Periods with a burst above the limit.
    pub burst_periods: Option<u64>,
    /// Time above the limit in bursts, nanoseconds.
    pub burst: Option<u64>,
    /// Tasks that run or wait for a CPU, averaged over ten seconds.
    pub load: Option<f64>,
    /// Time in which tasks waited for a CPU.
    pub pressure: Pressure,
}

/// Memory, in bytes, and events of it.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Memory {
    /// All that is charged.
    pub usage: Option<u64>,
    /// The most that was ever charged.
    pub max_usage: Option<u64>,
    /// What is charged without file pages that were not used of late.
    pub working_set: Option<u64>,
    /// File pages.
    pub cache: Option<u64>,
    /// Pages of programs.
    pub rss: Option<u64>,
    /// What lies in swap.
    pub swap: Option<u64>,
    /// File pages that are mapped.
    pub mapped_file: Option<u64>,
    /// The kernel's own.
    pub kernel: Option<u64>,
    /// File pages used of late.
    pub active_file: Option<u64>,
    /// File pages not used of late.
    pub inactive_file: Option<u64>,
    /// How often the limit was met.
    pub failures: Option<u64>,
    /// Page faults of the cgroup itself.
    pub faults: Option<u64>,
    /// Page faults with reading of the cgroup itself.
    pub major_faults: Option<u64>,
    /// Page faults of the cgroup and those below.
    pub total_faults: Option<u64>,
    /// Page faults with reading of the cgroup and those below.
    pub total_major_faults: Option<u64>,
    /// Processes killed for want of memory.
    pub kills: Option<u64>,
    /// Time in which tasks waited for memory.
    pub pressure: Pressure,
}

/// Time lost to waiting since the cgroup was made, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Pressure {
    /// Some tasks waited.
    pub some: Option<u64>,
    /// All tasks waited.
    pub full: Option<u64>,
}

/// An interface's counters.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Interface {
    /// Its name.
    pub name: Arc<str>,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Errors of receiving.
    pub rx_errors: u64,
    /// Packets dropped while receiving.
    pub rx_dropped: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Errors of sending.
    pub tx_errors: u64,
    /// Packets dropped while sending.
    pub tx_dropped: u64,
}

/// What went to and from a block device.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Device {
    /// `/dev/NAME`.
    pub name: Arc<str>,
    /// Its numbers.
    pub numbers: Option<(u32, u32)>,
    /// Bytes read.
    pub read_bytes: Option<u64>,
    /// Bytes written.
    pub written_bytes: Option<u64>,
    /// Reads.
    pub reads: Option<u64>,
    /// Writes.
    pub writes: Option<u64>,
    /// Bytes by operation as the kernel names them: `Read`, `Write`, `Sync`, `Async`, `Discard`, `Total`.
    pub bytes: BTreeMap<&'static str, u64>,
}

/// Space of a file system, in bytes, and its inodes.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct FileSystem {
    /// The device that it lies on.
    pub device: Arc<str>,
    /// In use: by the container's layer, or altogether for the machine.
    pub used: Option<u64>,
    /// How large it is.
    pub size: Option<u64>,
    /// How many inodes it has.
    pub inodes: Option<u64>,
    /// How many of them are free.
    pub inodes_free: Option<u64>,
}

/// Processes and threads of a cgroup and those below.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Tasks {
    /// Processes.
    pub processes: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// The most threads that may be; 0 for any number.
    pub threads_max: Option<u64>,
}

/// What a cgroup was given.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// CPU shares.
    pub cpu_shares: Option<u64>,
    /// CPU time in each period, microseconds; nothing without a limit.
    pub cpu_quota: Option<u64>,
    /// The period, microseconds.
    pub cpu_period: Option<u64>,
    /// Bytes; 0 for no limit.
    pub memory: Option<u64>,
    /// Bytes kept for it; 0 for none.
    pub memory_reservation: Option<u64>,
    /// Bytes of swap; 0 for no limit.
    pub swap: Option<u64>,
}

/// Who a cgroup is.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct About {
    /// Its path, such as `/docker/ID`.
    pub path: Arc<str>,
    /// The container's id.
    pub id: Option<Arc<str>>,
    /// The container's name, as its runtime tells it.
    pub name: Option<String>,
    /// The runtime that tells of it: `docker`, `podman`, `containerd` or `crio`.
    pub runtime: Option<&'static str>,
    /// The image, as the runtime tells it.
    pub image: Option<String>,
    /// The container's labels, with their own keys.
    pub labels: BTreeMap<String, String>,
    /// When it was made, nanoseconds since 1970.
    pub created: Option<i128>,
    /// Whether it is a container.
    pub is_container: bool,
    /// The cgroup above that is known too.
    pub parent: Option<Arc<str>>,
    /// What it was given.
    pub limits: Limits,
    /// Changes when it was removed and made again.
    pub(crate) incarnation: u64,
}
