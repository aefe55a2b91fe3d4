//! What only `/proc/diskstats` tells of block devices: sectors, merged requests and times. The figures are the
//! machine's, so they are the root's.

use std::sync::Arc;

use agent_exposition::SharedId;
use agent_procfs::diskstats::{self, Disk};
use agent_procfs::{CachedFile, Root};

use crate::catalogue::Metric;
use crate::compat::Quirk;
use crate::sheet::Sheet;

/// Reads the file once a scrape.
pub(crate) struct Disks {
    file: CachedFile,
}

/// Milliseconds, as a column of the file has them, in a second.
const MILLIS: f64 = 1e3;
/// What cAdvisor divides them by.
const NANOS: f64 = 1e9;

impl Disks {
    pub(crate) fn new(root: &Root) -> Self {
        Self { file: CachedFile::new(root.proc("diskstats")) }
    }

    /// Adds the devices to the root's series, and in cAdvisor's manner to those of containers whose layer lies on one.
    pub(crate) fn collect(
        &mut self,
        machine: Option<SharedId>,
        layers: &[(SharedId, Arc<str>)],
        sheet: &mut Sheet<'_>,
    ) {
        let Ok(text) = self.file.read() else { return };
        for disk in diskstats::parse(text).value {
            if is_left_out(&disk) || (sheet.compat.has(Quirk::DiskNames) && !is_known_to_cadvisor(disk.name)) {
                continue;
            }
            // The kernel writes `!` for the slash in names such as `cciss/c0d0`.
            let device = format!("/dev/{}", disk.name.replace('!', "/"));
            if let Some(labels) = machine {
                put(&disk, &device, labels, sheet);
            }
            if sheet.compat.has(Quirk::DiskOfHost) {
                for (labels, _) in layers.iter().filter(|(_, layer)| **layer == *device) {
                    put(&disk, &device, *labels, sheet);
                }
            }
        }
    }
}

fn put(disk: &Disk<'_>, device: &str, labels: SharedId, sheet: &mut Sheet<'_>) {
    let [
        _,
        reads_merged,
        sectors_read,
        read_ms,
        _,
        writes_merged,
        sectors_written,
        write_ms,
        current,
        busy_ms,
        weighted_ms,
        ..,
    ] = disk.columns()
    else {
        return;
    };
    let second = if sheet.compat.has(Quirk::DiskSeconds) { NANOS } else { MILLIS };
    let figures = [
        (Metric::FsReadsMerged, reads_merged, 1.0),
        (Metric::FsSectorReads, sectors_read, 1.0),
        (Metric::FsReadSeconds, read_ms, second),
        (Metric::FsWritesMerged, writes_merged, 1.0),
        (Metric::FsSectorWrites, sectors_written, 1.0),
        (Metric::FsWriteSeconds, write_ms, second),
        (Metric::FsIoCurrent, current, 1.0),
        (Metric::FsIoTime, busy_ms, second),
        (Metric::FsIoTimeWeighted, weighted_ms, second),
    ];
    for (metric, value, divisor) in figures {
        sheet.put(metric, labels, &[("device", device)], *value as f64 / divisor);
    }
}

/// Memory and files that look like disks, and devices that were never used.
fn is_left_out(disk: &Disk<'_>) -> bool {
    let numbered = |prefix| {
        disk.name.strip_prefix(prefix).is_some_and(|rest: &str| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    ["ram", "loop", "fd", "sr"].into_iter().any(numbered) || disk.columns().iter().all(|column| *column == 0)
}

/// `sd…`, `vd…`, `xvd…` and `dm-…`.
fn is_known_to_cadvisor(name: &str) -> bool {
    ["sd", "vd", "xvd", "dm-"].iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, left_out: bool, theirs: bool) {
        let disks = diskstats::parse(line.as_bytes()).value;
        assert_eq!((is_left_out(&disks[0]), is_known_to_cadvisor(disks[0].name)), (left_out, theirs), "{line}");
    }

    #[test]
    fn devices() {
        check("8 0 sda 1 2 3 4 5 6 7 8 9 10 11", false, true);
        check("8 0 sdb 0 0 0 0 0 0 0 0 0 0 0", true, true);
        check("259 0 nvme0n1 1 2 3 4 5 6 7 8 9 10 11", false, false);
        check("7 0 loop0 1 2 3 4 5 6 7 8 9 10 11", true, false);
        check("1 0 ram1 1 2 3 4 5 6 7 8 9 10 11", true, false);
        check("9 0 md0 1 2 3 4 5 6 7 8 9 10 11", false, false);
        check("252 0 srv 1 2 3 4 5 6 7 8 9 10 11", false, false);
        check("254 0 dm-3 1 2 3 4 5 6 7 8 9 10 11", false, true);
    }
}
