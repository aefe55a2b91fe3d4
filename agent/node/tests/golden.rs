//! Whole pages over the fixture tree, compared with `tests/golden`. `UPDATE_GOLDEN=1` writes them anew.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod harness;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use agent_exposition::{Event, Format, Kind, Parser};
use harness::{CHOSEN, Run, is_on_by_default, root_at, run, run_those};

const DIRECTORY: (&str, &str) = ("collector.textfile.directory", "tests/fixtures/textfile");
const NO_NETLINK: (&str, &str) = ("collector.netdev.netlink", "false");

/// Families whose value belongs to the machine and the moment.
const VOLATILE: &[&str] = &[
    "node_filesystem_avail_bytes",
    "node_filesystem_files",
    "node_filesystem_files_free",
    "node_filesystem_free_bytes",
    "node_filesystem_size_bytes",
    "node_sockstat_TCP_mem_bytes",
    "node_sockstat_UDP_mem_bytes",
    "node_textfile_mtime_seconds",
    "node_time_seconds",
];

/// Families whose labels do.
const OF_THE_MACHINE: &[&str] = &["node_uname_info", "node_time_zone_offset_seconds"];

/// Collectors off by default that ask the kernel, or a service, and read no file that a fixture could stand for.
const WITHOUT_FIXTURES: &[&str] = &["logind", "network_route", "qdisc", "systemd"];

fn page(runs: Vec<Run>) -> String {
    let mut out = String::new();
    for collector in runs {
        collector.result.unwrap_or_else(|error| panic!("{}: {error:?}", collector.name));
        for line in collector.text.lines() {
            let name = line.split(['{', ' ']).next().unwrap();
            if OF_THE_MACHINE.iter().any(|of| line.split_whitespace().any(|word| word == *of) || name == *of) {
                continue;
            }
            let value = line.rfind(' ').unwrap();
            let shown = if VOLATILE.contains(&name) { &line[..=value] } else { line };
            out.push_str(shown);
            out.push_str(if VOLATILE.contains(&name) { "0\n" } else { "\n" });
        }
    }
    out
}

#[track_caller]
fn check(name: &str, flags: &[(&str, &str)]) {
    compare(name, run(&root_at(Path::new("tests/fixtures")), flags));
}

#[track_caller]
fn compare(name: &str, runs: Vec<Run>) {
    let path = Path::new("tests/golden").join(name);
    let got = page(runs);
    lint(&got);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|on| on == "1") {
        std::fs::write(&path, &got).unwrap();
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    for (number, (got, want)) in got.lines().zip(want.lines()).enumerate() {
        assert_eq!(got, want, "{}, line {}; UPDATE_GOLDEN=1 takes the new page", path.display(), number + 1);
    }
    assert_eq!(got.lines().count(), want.lines().count(), "{}; UPDATE_GOLDEN=1 takes the new page", path.display());
}

/// What any page must keep to.
fn lint(page: &str) {
    let (mut helps, mut kinds, mut series) = (HashMap::new(), HashMap::new(), HashSet::new());
    for event in Parser::new(Format::Text004, page.as_bytes()) {
        match event.unwrap() {
            Event::Help { name, text } => {
                assert!(text.ends_with('.') || text.starts_with("Metric read from"), "help of {name}: {text}");
                helps.insert(name.into_owned(), text.into_owned());
            }
            Event::Type { name, kind } => drop(kinds.insert(name.into_owned(), kind)),
            Event::Sample(sample) => {
                assert!(series.insert(sample.series.to_owned()), "twice: {}", sample.series);
                let labels: Vec<_> = sample.labels().map(|(name, _)| name).filter(|name| name != "le").collect();
                assert!(labels.is_sorted(), "labels out of order: {}", sample.series);
            }
            Event::Comment | Event::Unit { .. } => {}
        }
    }
    assert_eq!(helps.len(), kinds.len());
    for (name, kind) in &kinds {
        assert!(helps.contains_key(name), "{name} has no help");
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{name}");
        assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name} is {kind:?}");
        for unit in ["_ms", "_milliseconds", "_us", "_kb", "_kB", "_percent"] {
            let base = name.strip_suffix("_total").unwrap_or(name);
            let is_node_exporters = name == "node_drm_gpu_busy_percent";
            assert!(is_node_exporters || !base.ends_with(unit), "{name} is not in a base unit");
        }
        if *kind == Kind::Untyped {
            let may_be = ["node_netstat_", "node_vmstat_", "node_sysctl_", "node_meta"];
            assert!(may_be.iter().any(|prefix| name.starts_with(prefix)), "{name} has no type");
        }
    }
}

#[test]
fn with_default_flags() {
    check("default.prom", &[DIRECTORY, NO_NETLINK]);
}

#[test]
fn with_every_switch_on() {
    check(
        "everything.prom",
        &[
            DIRECTORY,
            NO_NETLINK,
            ("collector.cpu.info.bugs-include", "^spectre"),
            ("collector.cpu.info.flags-include", "avx"),
            ("collector.diskstats.device-exclude", ""),
            ("collector.filesystem.mount-points-exclude", "^/(dev|sys)($|/)"),
            ("collector.filesystem.fs-types-include", "^(squashfs|vfat|ext4)$"),
            ("collector.netdev.enable-detailed-metrics", "true"),
            ("collector.netdev.label-ifalias", "true"),
            ("collector.netstat.fields", ""),
            ("collector.stat.softirq", "true"),
            ("collector.vmstat.fields", "."),
        ],
    );
}

#[test]
fn with_things_left_out() {
    check(
        "filtered.prom",
        &[
            NO_NETLINK,
            ("collector.cpu.guest", "false"),
            ("collector.diskstats.device-include", "^nvme"),
            ("collector.filesystem.ignored-mount-points", "^/(srv|run|proc|dev|sys)"),
            ("collector.filesystem.ignored-fs-types", "^(overlay|squashfs|nfs4)$"),
            ("collector.netdev.device-blacklist", "^(lo|veth.*)$"),
            ("collector.netstat.fields", "^Tcp_CurrEstab$"),
            ("collector.vmstat.fields", "^oom_kill$"),
        ],
    );
}

#[test]
fn with_what_is_off_by_default() {
    let flags = [CHOSEN, &[("collector.tcpstat.netlink", "false")]].concat();
    let wanted = |name: &str| !is_on_by_default(name) && !WITHOUT_FIXTURES.contains(&name);
    compare("off_by_default.prom", run_those(&root_at(Path::new("tests/fixtures")), &flags, wanted));
}
