//! Block I/O: `blkio.*` of version 1, `io.stat` of version 2.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_procfs::Root;
use agent_procfs::cgroup::{self, DeviceNumber, IoStat};

use super::Reading;
use crate::catalogue::Metric;
use crate::cgroups::{Cgroup, Controller, Desk, File, Layout, Records, Version};
use crate::compat::Quirk;

/// How long a device's name is taken for granted.
const KNOWN_FOR: Duration = Duration::from_secs(30);

/// Names of block devices, asked of sysfs now and then, and which files tell of any.
#[derive(Default)]
pub(crate) struct Devices {
    names: HashMap<DeviceNumber, Arc<Device>>,
    since: Option<Instant>,
    silent: Vec<File>,
}

/// A device's name and numbers as labels.
#[derive(Debug)]
pub(crate) struct Device {
    name: String,
    major: String,
    minor: String,
}

impl Devices {
    /// Forgets the names that have been known for some time: a device that comes may get the number of one that went.
    pub(crate) fn refresh(&mut self, now: Instant) {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) > KNOWN_FOR) {
            self.names.clear();
            self.since = Some(now);
        }
    }

    /// Looks which of version 1's files name no device for the root: for a group below it they name none either, since
    /// the kernel counts for a group only what it counts for all above.
    pub(crate) fn listen(&mut self, layout: &Layout, desk: &mut Desk, root: Option<&mut Cgroup>) {
        self.silent.clear();
        let (Some(Version::V1), Some(root)) = (layout.version(Controller::Blkio), root) else { return };
        for file in [BYTES, COUNT, MERGED, NANOS, QUEUED].into_iter().flatten() {
            if desk.read(layout, root, *file).is_some_and(|text| cgroup::blkio(text).next().is_none()) {
                self.silent.push(*file);
            }
        }
    }

    /// `/dev/nvme0n1`, as the kernel calls it (`DEVNAME` in the device's `uevent`); the numbers where it calls it
    /// nothing.
    pub(crate) fn name(&mut self, number: DeviceNumber, root: &Root, desk: &mut Desk) -> Arc<Device> {
        if let Some(device) = self.names.get(&number) {
            return device.clone();
        }
        let path = root.sys(format!("dev/block/{}:{}/uevent", number.major, number.minor));
        let name = desk.read_path(&path, Records::One).and_then(|text| {
            let value = text.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"DEVNAME="))?;
            std::str::from_utf8(value).ok().map(|name| format!("/dev/{name}"))
        });
        let device = Arc::new(Device {
            name: name.unwrap_or_else(|| format!("{}:{}", number.major, number.minor)),
            major: number.major.to_string(),
            minor: number.minor.to_string(),
        });
        // Device numbers are few; those of removed loop devices must not gather for ever.
        if self.names.len() >= 4096 {
            self.names.clear();
        }
        self.names.insert(number, device.clone());
        device
    }
}

pub(crate) fn collect(reading: &mut Reading<'_, '_>, devices: &mut Devices, root: &Root) {
    match reading.layout.version(Controller::Blkio) {
        Some(Version::V1) => {
            // All are counted for the same devices.
            if !version_1(reading, devices, root, What::Bytes) {
                return;
            }
            version_1(reading, devices, root, What::Count);
            // The root has these from the devices themselves, and in cAdvisor's manner so has a container.
            if !reading.cgroup.is_root() && !reading.has(Quirk::DiskOfHost) {
                for what in [What::Merged, What::Nanos, What::Queued] {
                    version_1(reading, devices, root, what);
                }
            }
        }
        Some(Version::V2) => {
            let Some(text) = reading.read(File::V2IoStat) else { return };
            let stats: Vec<_> = cgroup::io_stat(text).collect();
            for stat in stats {
                let device = devices.name(stat.device, root, reading.desk);
                version_2(reading, &stat, &device);
            }
        }
        None => {}
    }
}

fn version_2(reading: &mut Reading<'_, '_>, stat: &IoStat, device: &Device) {
    let labels = &[("device", device.name.as_str())];
    let figures = [
        (Metric::FsReadsBytes, stat.read_bytes, 1.0),
        (Metric::FsWritesBytes, stat.written_bytes, 1.0),
        (Metric::FsReads, stat.reads, 1.0),
        (Metric::FsWrites, stat.writes, 1.0),
        (Metric::FsCostUsage, stat.cost_usage, 1e6),
        (Metric::FsCostWait, stat.cost_wait, 1e6),
        (Metric::FsCostIndebt, stat.cost_indebt, 1e6),
        (Metric::FsCostIndelay, stat.cost_indelay, 1e6),
    ];
    for (metric, value, divisor) in figures {
        if let Some(value) = value {
            reading.put(metric, labels, value as f64 / divisor);
        }
    }
    for (operation, bytes) in
        [("Read", stat.read_bytes), ("Write", stat.written_bytes), ("Discard", stat.discarded_bytes)]
    {
        put_usage(reading, device, operation, bytes);
    }
}

#[derive(Clone, Copy)]
enum What {
    Bytes,
    Count,
    Merged,
    /// Time of requests from their start to their end.
    Nanos,
    Queued,
}

/// Which of version 1's files counts depends on the kernel and the I/O scheduler: `throttle` counts everything up to
/// Linux 6.9 and later only once a limit was set, `bfq` what goes through that scheduler, and the oldest kernels
/// have CFQ's. The first one that names a device is taken.
const BYTES: &[File] =
    &[File::V1BlkioThrottleBytes, File::V1BlkioBfqBytes, File::V1BlkioCfqBytes, File::V1BlkioOwnBytes];
const COUNT: &[File] =
    &[File::V1BlkioThrottleCount, File::V1BlkioBfqCount, File::V1BlkioCfqCount, File::V1BlkioOwnCount];
/// `throttle` without the groups below. Where it is there with them, this names no other device.
const OWN: &[File] = &[File::V1BlkioOwnBytes, File::V1BlkioOwnCount];
/// Only schedulers tell these; BFQ where the kernel was built to debug it.
const MERGED: &[File] = &[File::V1BlkioBfqMerged, File::V1BlkioCfqMerged];
const NANOS: &[File] = &[File::V1BlkioBfqTime, File::V1BlkioCfqTime];
const QUEUED: &[File] = &[File::V1BlkioBfqQueued, File::V1BlkioCfqQueued];

/// Whether any device was named.
fn version_1(reading: &mut Reading<'_, '_>, devices: &mut Devices, root: &Root, what: What) -> bool {
    let files = match what {
        What::Bytes => BYTES,
        What::Count => COUNT,
        What::Merged => MERGED,
        What::Nanos => NANOS,
        What::Queued => QUEUED,
    };
    let mut is_throttle_told = false;
    for file in files {
        if devices.silent.contains(file) || (is_throttle_told && OWN.contains(file)) {
            continue;
        }
        let Some(text) = reading.read(*file) else { continue };
        is_throttle_told |= matches!(file, File::V1BlkioThrottleBytes | File::V1BlkioThrottleCount);
        let entries: Vec<_> = cgroup::blkio(text)
            .filter_map(|entry| Some((entry.device, operation(entry.operation)?, entry.value)))
            .collect();
        if entries.is_empty() {
            continue;
        }
        for (number, operation, value) in entries {
            let device = devices.name(number, root, reading.desk);
            let labels = &[("device", device.name.as_str())];
            let (metric, divisor) = match (what, operation) {
                (What::Bytes, "Read") => (Some(Metric::FsReadsBytes), 1.0),
                (What::Bytes, "Write") => (Some(Metric::FsWritesBytes), 1.0),
                (What::Count, "Read") => (Some(Metric::FsReads), 1.0),
                (What::Count, "Write") => (Some(Metric::FsWrites), 1.0),
                (What::Merged, "Read") => (Some(Metric::FsReadsMerged), 1.0),
                (What::Merged, "Write") => (Some(Metric::FsWritesMerged), 1.0),
                (What::Nanos, "Read") => (Some(Metric::FsReadSeconds), 1e9),
                (What::Nanos, "Write") => (Some(Metric::FsWriteSeconds), 1e9),
                (What::Nanos, "Total") => (Some(Metric::FsIoTime), 1e9),
                (What::Queued, "Total") => (Some(Metric::FsIoCurrent), 1.0),
                _ => (None, 1.0),
            };
            if let Some(metric) = metric {
                reading.put(metric, labels, value as f64 / divisor);
            }
            if matches!(what, What::Bytes) {
                put_usage(reading, &device, operation, Some(value));
            }
        }
        return true;
    }
    false
}

/// The operations there are, so that nothing else becomes a label.
fn operation(name: &str) -> Option<&'static str> {
    ["Read", "Write", "Sync", "Async", "Discard", "Total"].into_iter().find(|known| *known == name)
}

fn put_usage(reading: &mut Reading<'_, '_>, device: &Device, operation: &str, bytes: Option<u64>) {
    let Some(bytes) = bytes else { return };
    let labels = &[
        ("device", device.name.as_str()),
        ("major", device.major.as_str()),
        ("minor", device.minor.as_str()),
        ("operation", operation),
    ];
    reading.put(Metric::BlkioUsage, labels, bytes as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Disks that are plugged in get the numbers of those that were pulled out.
    #[test]
    fn a_number_that_another_device_was_given_gets_another_name() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root { sysfs: folder.path().to_owned(), ..Root::default() };
        let uevent = folder.path().join("dev/block/259:0/uevent");
        std::fs::create_dir_all(uevent.parent().unwrap()).unwrap();
        let (mut devices, mut desk) = (Devices::default(), Desk::new());
        let now = Instant::now();
        let mut name_at = |kernel: &str, seconds: u64| {
            std::fs::write(&uevent, format!("MAJOR=259\nDEVNAME={kernel}\n")).unwrap();
            devices.refresh(now + Duration::from_secs(seconds));
            devices.name(DeviceNumber { major: 259, minor: 0 }, &root, &mut desk).name.clone()
        };
        assert_eq!(name_at("nvme0n1", 0), "/dev/nvme0n1");
        assert_eq!(name_at("nvme1n1", 1), "/dev/nvme0n1", "it is not asked at each scrape");
        assert_eq!(name_at("nvme1n1", 60), "/dev/nvme1n1");
    }
}
