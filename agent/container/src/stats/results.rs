//! What the background threads found, as samples.

use std::time::UNIX_EPOCH;

use agent_exposition::SharedId;

use crate::background::disk::{FileSystem, Measured};
use crate::background::load::Load;
use crate::background::perf::Figures;
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

pub(crate) fn put_perf(sheet: &mut Sheet<'_>, labels: SharedId, figures: &Figures) {
    for figure in &figures.core {
        let number = figure.cpu.map(|cpu| cpu.to_string());
        let cpu = number.as_deref().map(|number| ("cpu", number));
        let own: Vec<_> = cpu.into_iter().chain([("event", &*figure.event)]).collect();
        put_counted(sheet, (Metric::PerfEvents, Metric::PerfScaling), labels, &own, (figure.total, figure.ratio));
    }
    for figure in &figures.units {
        let socket = figure.socket.to_string();
        let own = [("event", &*figure.event), ("pmu", &*figure.unit), ("socket", &*socket)];
        put_counted(
            sheet,
            (Metric::PerfUnitEvents, Metric::PerfUnitScaling),
            labels,
            &own,
            (figure.total, figure.ratio),
        );
    }
}

fn put_counted(
    sheet: &mut Sheet<'_>,
    (sum, scaling): (Metric, Metric),
    labels: SharedId,
    own: &[(&str, &str)],
    (total, ratio): (f64, f64),
) {
    // What never had its turn may have happened any number of times.
    if ratio > 0.0 {
        sheet.put(sum, labels, own, total.trunc());
    }
    sheet.put(scaling, labels, own, ratio);
}

/// When a place was measured, whole seconds since 1970.
pub(super) fn seconds(place: &Measured) -> f64 {
    place.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as f64
}

#[cfg(test)]
mod tests {
    use agent_exposition::Page;

    use super::*;
    use crate::background::perf::Figures;
    use crate::compat::Compat;
    use crate::perf::counting::{Figure, UnitFigure};

    #[test]
    fn counted_events() {
        let figure = |cpu, total, ratio| Figure { event: "cycles".into(), cpu, total, ratio };
        let unit = UnitFigure { event: "reads".into(), unit: "imc_0".into(), socket: 1, total: 9.0, ratio: 1.0 };
        let core = vec![figure(Some(0), 7.9, 0.5), figure(Some(10), 0.0, 0.0), figure(None, 3.0, 1.0)];
        let mut page = Page::new();
        let mut sheet = Sheet::new(&mut page, Compat::default(), 0);
        let labels = sheet.page.shared([("id", "/")]);
        put_perf(&mut sheet, labels, &Figures { core, units: vec![unit] });
        let mut text = String::new();
        page.write_text(&mut text);
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("# HELP")).collect();
        assert_eq!(
            lines,
            [
                "# TYPE container_perf_events_scaling_ratio gauge",
                "container_perf_events_scaling_ratio{cpu=\"0\",event=\"cycles\",id=\"/\"} 0.5",
                "container_perf_events_scaling_ratio{cpu=\"10\",event=\"cycles\",id=\"/\"} 0",
                "container_perf_events_scaling_ratio{event=\"cycles\",id=\"/\"} 1",
                "# TYPE container_perf_events_total counter",
                "container_perf_events_total{cpu=\"0\",event=\"cycles\",id=\"/\"} 7",
                "container_perf_events_total{event=\"cycles\",id=\"/\"} 3",
                "# TYPE container_perf_uncore_events_scaling_ratio gauge",
                "container_perf_uncore_events_scaling_ratio{event=\"reads\",pmu=\"imc_0\",socket=\"1\",id=\"/\"} 1",
                "# TYPE container_perf_uncore_events_total counter",
                "container_perf_uncore_events_total{event=\"reads\",pmu=\"imc_0\",socket=\"1\",id=\"/\"} 9",
            ]
        );
    }
}
