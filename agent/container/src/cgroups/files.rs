//! The files of a cgroup: opened once, read from their start again and again.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::layout::{Controller, Layout, Version};
use super::tree::Cgroup;

/// A file of a cgroup, by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum File {
    V1CpuUsage,
    V1CpuUsagePerCpu,
    V1CpuTicks,
    V1CpuStat,
    V1CpuShares,
    V1CpuQuota,
    V1CpuPeriod,
    V1CpuProcs,
    V1MemoryUsage,
    V1MemoryMaxUsage,
    V1MemoryStat,
    V1MemoryFailures,
    V1MemoryKernel,
    V1MemoryLimit,
    V1MemorySwapLimit,
    V1MemorySoftLimit,
    V1OomControl,
    V1PidsCurrent,
    V1PidsMax,
    V1PidsProcs,
    V1BlkioThrottleBytes,
    V1BlkioThrottleCount,
    V1BlkioBfqBytes,
    V1BlkioBfqCount,
    V1BlkioCfqBytes,
    V1BlkioCfqCount,
    V1BlkioOwnBytes,
    V1BlkioOwnCount,
    V1BlkioBfqMerged,
    V1BlkioBfqTime,
    V1BlkioBfqQueued,
    V1BlkioCfqMerged,
    V1BlkioCfqTime,
    V1BlkioCfqQueued,
    V1CpusetMigrate,
    V1MemoryNuma,
    V2CpuStat,
    V2CpuMax,
    V2CpuWeight,
    V2CpuPressure,
    V2MemoryCurrent,
    V2MemoryPeak,
    V2MemoryStat,
    V2MemoryEvents,
    V2MemorySwap,
    V2MemoryMax,
    V2MemorySwapMax,
    V2MemoryLow,
    V2MemoryMin,
    V2MemoryNuma,
    V2MemoryPressure,
    V2IoStat,
    V2IoPressure,
    V2PidsCurrent,
    V2PidsMax,
    V2Procs,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    V1(Controller),
    V2,
}

const FILES: &[(File, Place, &str)] = &[
    (File::V1CpuUsage, Place::V1(Controller::Cpuacct), "cpuacct.usage"),
    (File::V1CpuUsagePerCpu, Place::V1(Controller::Cpuacct), "cpuacct.usage_percpu"),
    (File::V1CpuTicks, Place::V1(Controller::Cpuacct), "cpuacct.stat"),
    (File::V1CpuStat, Place::V1(Controller::Cpu), "cpu.stat"),
    (File::V1CpuShares, Place::V1(Controller::Cpu), "cpu.shares"),
    (File::V1CpuQuota, Place::V1(Controller::Cpu), "cpu.cfs_quota_us"),
    (File::V1CpuPeriod, Place::V1(Controller::Cpu), "cpu.cfs_period_us"),
    (File::V1CpuProcs, Place::V1(Controller::Cpu), "cgroup.procs"),
    (File::V1MemoryUsage, Place::V1(Controller::Memory), "memory.usage_in_bytes"),
    (File::V1MemoryMaxUsage, Place::V1(Controller::Memory), "memory.max_usage_in_bytes"),
    (File::V1MemoryStat, Place::V1(Controller::Memory), "memory.stat"),
    (File::V1MemoryFailures, Place::V1(Controller::Memory), "memory.failcnt"),
    (File::V1MemoryKernel, Place::V1(Controller::Memory), "memory.kmem.usage_in_bytes"),
    (File::V1MemoryLimit, Place::V1(Controller::Memory), "memory.limit_in_bytes"),
    (File::V1MemorySwapLimit, Place::V1(Controller::Memory), "memory.memsw.limit_in_bytes"),
    (File::V1MemorySoftLimit, Place::V1(Controller::Memory), "memory.soft_limit_in_bytes"),
    (File::V1OomControl, Place::V1(Controller::Memory), "memory.oom_control"),
    (File::V1PidsCurrent, Place::V1(Controller::Pids), "pids.current"),
    (File::V1PidsMax, Place::V1(Controller::Pids), "pids.max"),
    (File::V1PidsProcs, Place::V1(Controller::Pids), "cgroup.procs"),
    (File::V1BlkioThrottleBytes, Place::V1(Controller::Blkio), "blkio.throttle.io_service_bytes_recursive"),
    (File::V1BlkioThrottleCount, Place::V1(Controller::Blkio), "blkio.throttle.io_serviced_recursive"),
    (File::V1BlkioBfqBytes, Place::V1(Controller::Blkio), "blkio.bfq.io_service_bytes_recursive"),
    (File::V1BlkioBfqCount, Place::V1(Controller::Blkio), "blkio.bfq.io_serviced_recursive"),
    (File::V1BlkioCfqBytes, Place::V1(Controller::Blkio), "blkio.io_service_bytes_recursive"),
    (File::V1BlkioCfqCount, Place::V1(Controller::Blkio), "blkio.io_serviced_recursive"),
    (File::V1BlkioOwnBytes, Place::V1(Controller::Blkio), "blkio.throttle.io_service_bytes"),
    (File::V1BlkioOwnCount, Place::V1(Controller::Blkio), "blkio.throttle.io_serviced"),
    (File::V1BlkioBfqMerged, Place::V1(Controller::Blkio), "blkio.bfq.io_merged_recursive"),
    (File::V1BlkioBfqTime, Place::V1(Controller::Blkio), "blkio.bfq.io_service_time_recursive"),
    (File::V1BlkioBfqQueued, Place::V1(Controller::Blkio), "blkio.bfq.io_queued_recursive"),
    (File::V1BlkioCfqMerged, Place::V1(Controller::Blkio), "blkio.io_merged_recursive"),
    (File::V1BlkioCfqTime, Place::V1(Controller::Blkio), "blkio.io_service_time_recursive"),
    (File::V1BlkioCfqQueued, Place::V1(Controller::Blkio), "blkio.io_queued_recursive"),
    (File::V1CpusetMigrate, Place::V1(Controller::Cpuset), "cpuset.memory_migrate"),
    (File::V1MemoryNuma, Place::V1(Controller::Memory), "memory.numa_stat"),
    (File::V2CpuStat, Place::V2, "cpu.stat"),
    (File::V2CpuMax, Place::V2, "cpu.max"),
    (File::V2CpuWeight, Place::V2, "cpu.weight"),
    (File::V2CpuPressure, Place::V2, "cpu.pressure"),
    (File::V2MemoryCurrent, Place::V2, "memory.current"),
    (File::V2MemoryPeak, Place::V2, "memory.peak"),
    (File::V2MemoryStat, Place::V2, "memory.stat"),
    (File::V2MemoryEvents, Place::V2, "memory.events"),
    (File::V2MemorySwap, Place::V2, "memory.swap.current"),
    (File::V2MemoryMax, Place::V2, "memory.max"),
    (File::V2MemorySwapMax, Place::V2, "memory.swap.max"),
    (File::V2MemoryLow, Place::V2, "memory.low"),
    (File::V2MemoryMin, Place::V2, "memory.min"),
    (File::V2MemoryNuma, Place::V2, "memory.numa_stat"),
    (File::V2MemoryPressure, Place::V2, "memory.pressure"),
    (File::V2IoStat, Place::V2, "io.stat"),
    (File::V2IoPressure, Place::V2, "io.pressure"),
    (File::V2PidsCurrent, Place::V2, "pids.current"),
    (File::V2PidsMax, Place::V2, "pids.max"),
    (File::V2Procs, Place::V2, "cgroup.procs"),
];

/// A file whose name depends on the machine, such as that of a size of huge pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named(usize);

/// The open files of one cgroup: those of the table, and behind them the named ones that were asked for.
#[derive(Debug)]
pub(crate) struct Slots {
    open: Vec<Option<OwnedFd>>,
    /// How often a file that is not there is still not asked for, so that a controller that is switched on later
    /// is noticed without asking each time.
    patience: Vec<u8>,
}

impl Default for Slots {
    fn default() -> Self {
        Self { open: FILES.iter().map(|_| None).collect(), patience: vec![0; FILES.len()] }
    }
}

/// Reads of a missing file before the next look for it.
const PATIENCE: u8 = 30;

/// Reads files of cgroups into one buffer, and keeps them open within bounds.
pub(crate) struct Desk {
    buffer: Vec<u8>,
    path: String,
    named: Vec<(Place, String)>,
    open: usize,
    most_open: usize,
    /// Whether files of limits are read again only when one has changed, and so need not stay open.
    pub(super) limits_are_told: bool,
    /// Files that are there and could not be read, since the start.
    pub(crate) unreadable: u64,
}

impl Desk {
    /// Keeps open at most half of the files that the process may have.
    pub(crate) fn new() -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(65_536);
        let most_open = usize::try_from(limit / 2).unwrap_or(usize::MAX).min(16_384);
        Self {
            buffer: vec![0; 16 * 1024],
            path: String::new(),
            named: Vec::new(),
            open: 0,
            most_open,
            limits_are_told: false,
            unreadable: 0,
        }
    }

    /// To be told when the files of a cgroup were closed.
    pub(crate) fn close(&mut self, slots: &mut Slots) {
        self.open = self.open.saturating_sub(slots.open.iter().flatten().count());
        *slots = Slots::default();
    }

    /// The file's content, or nothing where there is no such file (any more).
    pub(crate) fn read(&mut self, layout: &Layout, cgroup: &mut Cgroup, file: File) -> Option<&[u8]> {
        self.read_at(layout, cgroup, file as usize, true)
    }

    /// As [`read`](Self::read), of a file that says what the cgroup was given.
    pub(super) fn read_limit(&mut self, layout: &Layout, cgroup: &mut Cgroup, file: File) -> Option<&[u8]> {
        self.read_at(layout, cgroup, file as usize, !self.limits_are_told)
    }

    /// A file by its name, for [`read_named`](Self::read_named). The names are few and stay for good.
    pub(crate) fn name(&mut self, controller: Controller, version: Version, name: String) -> Named {
        let place = match version {
            Version::V1 => Place::V1(controller),
            Version::V2 => Place::V2,
        };
        self.named.push((place, name));
        Named(self.named.len() - 1)
    }

    /// As [`read`](Self::read).
    pub(crate) fn read_named(&mut self, layout: &Layout, cgroup: &mut Cgroup, named: Named) -> Option<&[u8]> {
        let at = FILES.len() + named.0;
        if at >= cgroup.slots.open.len() {
            cgroup.slots.open.resize_with(at + 1, || None);
            cgroup.slots.patience.resize(at + 1, 0);
        }
        self.read_at(layout, cgroup, at, true)
    }

    fn read_at(&mut self, layout: &Layout, cgroup: &mut Cgroup, at: usize, keep: bool) -> Option<&[u8]> {
        let (place, name) = match FILES.get(at) {
            Some((_, place, name)) => (*place, *name),
            None => self.named.get(at - FILES.len()).map(|(place, name)| (*place, name.as_str()))?,
        };
        let hierarchy = match place {
            Place::V1(controller) => layout.v1(controller)?,
            Place::V2 => layout.v2()?,
        };
        if cgroup.inode(hierarchy) == 0 {
            return None;
        }
        let patience = cgroup.slots.patience.get_mut(at)?;
        if *patience > 0 {
            *patience -= 1;
            return None;
        }
        let kept = cgroup.slots.open.get_mut(at)?.take();
        let was_open = kept.is_some();
        let opened = match kept {
            Some(fd) => Ok(fd),
            None => {
                self.path.clear();
                self.path.push_str(cgroup.relative_path());
                self.path.push('/');
                self.path.push_str(name);
                let dir = &layout.hierarchies.get(hierarchy)?.dir;
                rustix::fs::openat(dir, self.path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            }
        };
        let records = if name == "cgroup.procs" { Records::Short } else { Records::One };
        match opened.and_then(|fd| fill(&fd, &mut self.buffer, records).map(|length| (fd, length))) {
            Ok((fd, length)) => {
                self.open -= usize::from(was_open);
                if keep && self.open < self.most_open {
                    self.open += 1;
                    *cgroup.slots.open.get_mut(at)? = Some(fd);
                }
                self.buffer.get(..length)
            }
            Err(error) => {
                self.open -= usize::from(was_open);
                match error {
                    Errno::NOENT => *cgroup.slots.patience.get_mut(at)? = PATIENCE,
                    // The cgroup was removed (NODEV), or is one of threads that has no such file (OPNOTSUPP).
                    Errno::NODEV | Errno::OPNOTSUPP => {}
                    _ => self.unreadable += 1,
                }
                None
            }
        }
    }

    /// A file outside the cgroups, such as `/proc/PID/net/dev`.
    pub(crate) fn read_path(&mut self, path: &std::path::Path, records: Records) -> Option<&[u8]> {
        let length = read_in(rustix::fs::CWD, path, &mut self.buffer, records)?;
        self.buffer.get(..length)
    }
}

/// Reads a file once, by a path from `dir`, into a buffer of which the length is given back.
pub(crate) fn read_in(
    dir: impl std::os::fd::AsFd,
    path: impl rustix::path::Arg,
    buffer: &mut Vec<u8>,
    records: Records,
) -> Option<usize> {
    try_read_in(dir, path, buffer, records).ok()
}

/// The same, for who must know why a file cannot be read.
pub(crate) fn try_read_in(
    dir: impl std::os::fd::AsFd,
    path: impl rustix::path::Arg,
    buffer: &mut Vec<u8>,
    records: Records,
) -> Result<usize, Errno> {
    let fd = rustix::fs::openat(dir, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    fill(&fd, buffer, records)
}

/// How the kernel makes a file, which says how its end is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Records {
    /// All at once: it comes whole if the buffer has room for it.
    One,
    /// By lines that are not long, such as a list of processes, of interfaces or of limits.
    Short,
    /// By lines of any length.
    Long,
}

impl Records {
    /// Whether nothing can follow when so much came of so much that there was room for.
    fn is_end(self, read: usize, room: usize) -> bool {
        match self {
            Self::One => read < room,
            Self::Short => agent_procfs::is_end_of_lines(read, room, agent_procfs::SHORT_LINE),
            Self::Long => read == 0,
        }
    }
}

/// Reads from the start to the end.
fn fill(fd: &OwnedFd, buffer: &mut Vec<u8>, records: Records) -> Result<usize, Errno> {
    const LARGEST: usize = 16 << 20;
    let mut length = 0;
    loop {
        let free = buffer.get_mut(length..).unwrap_or_default();
        let room = free.len();
        let read = match rustix::io::pread(fd, free, length as u64) {
            Err(Errno::INTR) => continue,
            result => result?,
        };
        length += read;
        if read == 0 || records.is_end(read, room) {
            return Ok(length);
        }
        if length == buffer.len() {
            if length >= LARGEST {
                return Err(Errno::FBIG);
            }
            buffer.resize(length * 2, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_files() {
        for (at, (file, _, name)) in FILES.iter().enumerate() {
            assert_eq!(*file as usize, at, "{name}");
        }
        assert_eq!(File::V2Procs as usize + 1, FILES.len());
    }

    #[test]
    fn a_long_file_is_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        std::fs::write(&path, &content).unwrap();
        for records in [Records::One, Records::Short, Records::Long] {
            assert_eq!(Desk::new().read_path(&path, records), Some(content.as_slice()), "{records:?}");
        }
    }
}
