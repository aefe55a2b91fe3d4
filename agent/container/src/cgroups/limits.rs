//! What a cgroup was given. Only who sets a limit changes it, so it is read once and again when that was told.

use agent_procfs::cgroup::{self, Limit};

use super::files::{Desk, File};
use super::layout::{Controller, Layout, Version};
use super::tree::Cgroup;

/// Limits above this are the kernel's way to say none.
const NO_LIMIT: u64 = 1 << 62;

/// The limits of a cgroup; nothing for those that it has no file of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes; 0 for none.
    pub(crate) memory: Option<u64>,
    /// How often the memory's limit was hit, where there is none now: it is not hit again. Version 1 only.
    pub(crate) hit_before: Option<u64>,
    /// Bytes, of swap alone by version 2, of memory and swap together by version 1; 0 for none.
    pub(crate) swap: Option<u64>,
    /// Bytes that the kernel tries to leave to the group; 0 for none.
    pub(crate) reservation: Option<u64>,
    /// Bytes that it leaves to the group in any case; 0 for none. Version 2 only.
    pub(crate) least: Option<u64>,
    /// The weight for CPU time, on version 1's scale.
    pub(crate) shares: Option<u64>,
    /// Microseconds of CPU time in each period.
    pub(crate) quota: Option<Limit>,
    /// Microseconds.
    pub(crate) period: Option<u64>,
    /// Threads and processes; 0 for as many as there may be.
    pub(crate) tasks: Option<u64>,
}

impl Limits {
    /// As last read, or as read now.
    pub(crate) fn of(layout: &Layout, desk: &mut Desk, cgroup: &mut Cgroup) -> Self {
        if let Some(limits) = cgroup.limits {
            return limits;
        }
        let mut limits = Self::default();
        Reader { layout, desk, cgroup }.read(&mut limits);
        cgroup.limits = Some(limits);
        limits
    }
}

struct Reader<'a> {
    layout: &'a Layout,
    desk: &'a mut Desk,
    cgroup: &'a mut Cgroup,
}

impl Reader<'_> {
    fn read(&mut self, limits: &mut Limits) {
        match self.layout.version(Controller::Memory) {
            Some(Version::V1) => {
                limits.memory = self.value(File::V1MemoryLimit, bytes);
                if limits.memory == Some(0) {
                    limits.hit_before = self.value(File::V1MemoryFailures, cgroup::number);
                }
                limits.swap = self.value(File::V1MemorySwapLimit, bytes);
                limits.reservation = self.value(File::V1MemorySoftLimit, bytes);
            }
            Some(Version::V2) => {
                limits.memory = self.value(File::V2MemoryMax, bytes);
                limits.swap = self.value(File::V2MemorySwapMax, bytes);
                limits.reservation = self.value(File::V2MemoryLow, bytes);
                limits.least = self.value(File::V2MemoryMin, bytes);
            }
            None => {}
        }
        match self.layout.version(Controller::Cpu) {
            Some(Version::V1) => {
                limits.shares = self.value(File::V1CpuShares, cgroup::number);
                limits.period = self.value(File::V1CpuPeriod, cgroup::number);
                limits.quota = self.value(File::V1CpuQuota, cgroup::limit);
            }
            Some(Version::V2) => {
                limits.shares = self.value(File::V2CpuWeight, cgroup::number).map(cgroup::shares_of_weight);
                let bandwidth = self.value(File::V2CpuMax, cgroup::bandwidth);
                limits.quota = bandwidth.map(|(quota, _)| quota);
                limits.period = bandwidth.map(|(_, period)| period);
            }
            None => {}
        }
        limits.tasks = match self.layout.version(Controller::Pids) {
            Some(Version::V1) => self.value(File::V1PidsMax, number_or_none),
            Some(Version::V2) => self.value(File::V2PidsMax, number_or_none),
            None => None,
        };
    }

    fn value<T>(&mut self, file: File, parse: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        self.desk.read_limit(self.layout, self.cgroup, file).and_then(parse)
    }
}

fn bytes(text: &[u8]) -> Option<u64> {
    number_or_none(text).map(|bytes| if bytes < NO_LIMIT { bytes } else { 0 })
}

/// 0 for none.
fn number_or_none(text: &[u8]) -> Option<u64> {
    cgroup::limit(text).map(|limit| match limit {
        Limit::At(most) => most,
        Limit::None => 0,
    })
}
