//! What the background threads found, as samples.

use std::time::UNIX_EPOCH;

use agent_exposition::SharedId;

use crate::background::disk::{FileSystem, Measured};
use crate::background::load::Load;
use crate::background::tasks::Found;
use crate::catalogue::Metric;
use crate::compat::Quirk;
use crate::sheet::Sheet;

/// `counted` says whether cAdvisor would have counted it.
pub(crate) fn put_load(sheet: &mut Sheet<'_>, labels: SharedId, load: Option<Load>, counted: bool) {
    if sheet.compat.has(Quirk::LoadThousandths) {
        let load = load.filter(|_| counted).unwrap_or_default();
        let (waiting, states) = load.detail.unwrap_or_default();
        // A whole number of thousandths.
        sheet.put(Metric::LoadAverage, labels, &[], (load.runnable * 1000.0).trunc());
        sheet.put(Metric::LoadUninterruptible, labels, &[], (waiting * 1000.0).trunc());
        put_states(sheet, labels, &states);
        sheet.put(Metric::TasksState, labels, &[("state", "iowaiting")], 0.0);
        return;
    }
    let Some(load) = load else { return };
    sheet.put(Metric::LoadAverage, labels, &[], load.runnable);
    if let Some((waiting, states)) = load.detail {
        sheet.put(Metric::LoadUninterruptible, labels, &[], waiting);
        put_states(sheet, labels, &states);
    }
}

fn put_states(sheet: &mut Sheet<'_>, labels: SharedId, states: &crate::background::load::States) {
    let all = [
        ("running", states.running),
        ("sleeping", states.sleeping),
        ("stopped", states.stopped),
        ("uninterruptible", states.uninterruptible),
    ];
    for (state, count) in all {
        sheet.put(Metric::TasksState, labels, &[("state", state)], count);
    }
}

pub(crate) fn put_tasks(sheet: &mut Sheet<'_>, labels: SharedId, found: &Found) {
    sheet.put_some(Metric::FileDescriptors, labels, found.files.map(|(files, _)| files));
    sheet.put_some(Metric::Sockets, labels, found.files.map(|(_, sockets)| sockets));
    if let Some(scheduled) = found.scheduled {
        sheet.put_nanos(Metric::SchedRun, labels, Some(scheduled.running_ns));
        sheet.put_nanos(Metric::SchedWait, labels, Some(scheduled.waiting_ns));
        sheet.put_some(Metric::SchedPeriods, labels, Some(scheduled.periods));
    }
}

/// A file system of the machine.
pub(crate) fn put_file_system(sheet: &mut Sheet<'_>, labels: SharedId, fs: &FileSystem) {
    put_disk(sheet, labels, fs, fs.used, fs.inodes);
}

/// A writable layer: the space is its own, the rest that of the file system under it.
pub(crate) fn put_layer(sheet: &mut Sheet<'_>, labels: SharedId, layer: &Measured, fs: &FileSystem) {
    let inodes = match sheet.compat.has(Quirk::InodesOfLayer) {
        true => Some((layer.used.inodes, 0)),
        false => fs.inodes,
    };
    put_disk(sheet, labels, fs, layer.used.bytes, inodes);
    let device = &[("device", &*fs.device)];
    sheet.put(Metric::FsUsageInodes, labels, device, layer.used.inodes as f64);
    sheet.put(Metric::FsUsageTimestamp, labels, device, seconds(layer));
}

fn put_disk(sheet: &mut Sheet<'_>, labels: SharedId, fs: &FileSystem, used: u64, inodes: Option<(u64, u64)>) {
    let device = &[("device", &*fs.device)];
    sheet.put(Metric::FsUsage, labels, device, used as f64);
    sheet.put(Metric::FsLimit, labels, device, fs.size as f64);
    if let Some((total, free)) = inodes {
        sheet.put(Metric::FsInodesTotal, labels, device, total as f64);
        sheet.put(Metric::FsInodesFree, labels, device, free as f64);
    }
}

/// When a place was measured, whole seconds since 1970.
pub(super) fn seconds(place: &Measured) -> f64 {
    place.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as f64
}
