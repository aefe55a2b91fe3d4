//! What the background threads found, as samples.

use agent_exposition::SharedId;

use crate::background::disk::FileSystem;
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
    sheet.put_some(Metric::FileDescriptors, labels, found.files);
    sheet.put_some(Metric::Sockets, labels, found.sockets);
    if let Some(scheduled) = found.scheduled {
        sheet.put_nanos(Metric::SchedRun, labels, Some(scheduled.running_ns));
        sheet.put_nanos(Metric::SchedWait, labels, Some(scheduled.waiting_ns));
        sheet.put_some(Metric::SchedPeriods, labels, Some(scheduled.periods));
    }
}

pub(crate) fn put_disk(sheet: &mut Sheet<'_>, labels: SharedId, fs: &FileSystem) {
    let device = &[("device", &*fs.device)];
    sheet.put(Metric::FsUsage, labels, device, fs.used as f64);
    sheet.put(Metric::FsLimit, labels, device, fs.size as f64);
    let inodes = match fs.files.filter(|_| sheet.compat.has(Quirk::InodesOfLayer)) {
        Some(files) => Some((files, 0)),
        None => fs.inodes,
    };
    if let Some((total, free)) = inodes {
        sheet.put(Metric::FsInodesTotal, labels, device, total as f64);
        sheet.put(Metric::FsInodesFree, labels, device, free as f64);
    }
}
