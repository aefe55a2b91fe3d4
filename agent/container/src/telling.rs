//! What the container side tells about itself.

use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use agent_exposition::{Kind, Page};

use crate::background::disk::DiskBoard;
use crate::background::monitoring::MonitoringBoard;
use crate::background::perf::PerfBoard;
use crate::collect::{Boards, Collection};
use crate::runtimes::{Failure, Post, View};

/// cAdvisor's own two.
pub(crate) fn put_scrape_errors(page: &mut Page, containers: bool, machine: bool) {
    page.single(
        "container_scrape_error",
        "1 when no cgroup hierarchy could be read at all; a single bad cgroup does not count here.",
        Kind::Gauge,
        f64::from(u8::from(containers)),
    );
    page.single(
        "machine_scrape_error",
        "1 when the machine's CPUs or memory could not be read.",
        Kind::Gauge,
        f64::from(u8::from(machine)),
    );
}

/// Errors, sizes and the runtime's connection.
pub(crate) fn put(page: &mut Page, collection: &Collection, view: &View) {
    let errors = page.family(
        "atalaia_container_errors_total",
        "Files of cgroups that are there and could not be read.",
        Kind::Counter,
    );
    page.sample(errors, &[("reason", "unreadable")], collection.desk.unreadable as f64);
    page.single(
        "atalaia_container_cgroups_left_out",
        "Cgroups left out: too many, or a name that is no text.",
        Kind::Gauge,
        collection.tree.left_out as f64,
    );
    page.single(
        "atalaia_container_series_dropped_total",
        "Series left out because their cgroup had more than --container.series-limit.",
        Kind::Counter,
        collection.series.dropped as f64,
    );
    page.single(
        "atalaia_container_labels_left_out",
        "Labels left out because a container has more than 32 KiB of them, which each of its series would bear.",
        Kind::Gauge,
        collection.registry.labels_left_out() as f64,
    );
    let (containers, cgroups) = collection.counts();
    page.single("atalaia_containers", "Containers that were found.", Kind::Gauge, containers as f64);
    page.single("atalaia_container_cgroups", "Cgroups that were found.", Kind::Gauge, cgroups as f64);
    // Most machines lack most runtimes; of those that were never there nothing is told.
    for post in view.posts().into_iter().filter(|post| !post.is_optional || !post.telling().is_untouched()) {
        put_runtime(page, &post);
    }
}

fn put_runtime(page: &mut Page, post: &Post) {
    let (runtime, telling) = (post.name.as_str(), post.telling());
    let labels = &[("runtime", runtime)];
    let connected = page.family("atalaia_container_runtime_connected", "1 while the runtime is followed.", Kind::Gauge);
    page.sample(connected, labels, f64::from(u8::from(telling.connected)));
    let events =
        page.family("atalaia_container_runtime_events_total", "Events of the runtime that came in.", Kind::Counter);
    page.sample(events, labels, telling.events as f64);
    if let Some(version) = post.version() {
        let info = page.family("atalaia_container_runtime_info", "1 with the runtime's version.", Kind::Gauge);
        page.sample(info, &[("runtime", runtime), ("version", &version)], 1.0);
    }
    if let Some(last) = telling.last_event.and_then(|last| last.duration_since(UNIX_EPOCH).ok()) {
        let family = page.family(
            "atalaia_container_runtime_last_event_timestamp_seconds",
            "When the runtime's last event came in, seconds since 1970.",
            Kind::Gauge,
        );
        page.sample(family, labels, last.as_secs() as f64);
    }
    let failures = page.family(
        "atalaia_container_runtime_failures_total",
        "How often following the runtime failed, by reason.",
        Kind::Counter,
    );
    for failure in Failure::ALL {
        let count = telling.failures.get(&failure).copied().unwrap_or(0);
        page.sample(failures, &[("reason", failure.reason()), ("runtime", runtime)], count as f64);
    }
}

/// How measuring disk use goes.
pub(crate) fn put_disk(page: &mut Page, board: &DiskBoard) {
    let measured = page.family(
        "atalaia_container_disk_measured_total",
        "Layers and volumes measured: by a walk, by a project quota, or as a file system of their own.",
        Kind::Counter,
    );
    for (method, count) in board.measured.told() {
        page.sample(measured, &[("method", method)], count as f64);
    }
    let failures = page.family(
        "atalaia_container_disk_failures_total",
        "Layers, volumes, logs and file systems that were not measured, by reason.",
        Kind::Counter,
    );
    for (reason, count) in board.failures.told() {
        page.sample(failures, &[("reason", reason)], count as f64);
    }
    page.single(
        "atalaia_container_disk_stuck",
        "Threads that wait in a file system which does not answer.",
        Kind::Gauge,
        board.stuck.load(Ordering::Relaxed) as f64,
    );
}

/// What the background threads cost.
pub(crate) fn put_costs(page: &mut Page, boards: Boards<'_>) {
    let family = page.family(
        "atalaia_container_background_cpu_seconds_total",
        "CPU time of the threads that measure beside the scrapes.",
        Kind::Counter,
    );
    let costs = [
        ("disk", &boards.disk.cost),
        ("load", &boards.load.cost),
        ("perf", &boards.perf.board.cost),
        ("referenced", &boards.referenced.cost),
        ("tasks", &boards.tasks.cost),
    ];
    for (name, cost) in costs {
        let nanos = cost.load(Ordering::Relaxed);
        page.sample(family, &[("thread", name)], nanos as f64 / 1e9);
    }
}

/// How the counting of events fares.
pub(crate) fn put_perf(page: &mut Page, perf: &PerfBoard) {
    let relaxed = Ordering::Relaxed;
    page.single(
        "atalaia_container_perf_events_open",
        "Counters of events that are open, each of which is a file descriptor.",
        Kind::Gauge,
        perf.open.load(relaxed) as f64,
    );
    let family = page.family(
        "atalaia_container_perf_refused_total",
        "What could not be counted, by reason: cgroups for want of room (limit), groups of events on a CPU otherwise.",
        Kind::Counter,
    );
    for (reason, count) in perf.refused.told() {
        page.sample(family, &[("reason", reason)], count as f64);
    }
}

/// How the making of monitoring groups fares.
pub(crate) fn put_monitoring(page: &mut Page, monitoring: &MonitoringBoard) {
    page.single(
        "atalaia_container_resctrl_groups",
        "Monitoring groups that this agent made for containers.",
        Kind::Gauge,
        monitoring.groups.load(Ordering::Relaxed) as f64,
    );
    let family = page.family(
        "atalaia_container_resctrl_refused_total",
        "Containers for which no monitoring group could be made, by reason.",
        Kind::Counter,
    );
    for (reason, count) in monitoring.refused.told() {
        page.sample(family, &[("reason", reason)], count as f64);
    }
}
