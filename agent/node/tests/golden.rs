//! Whole pages over the fixture tree, compared with `tests/golden`. `UPDATE_GOLDEN=1` writes them anew.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod harness;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use agent_exposition::{Event, Format, Kind, Parser};
use harness::{CHOSEN, Run, is_on_by_default, root_at, run, run_those};

const DIRECTORY: (&str, &str) = ("collector.textfile.directory", "tests/fixtures/textfile");
const NO_NETLINK: [(&str, &str); 2] = [("collector.arp.netlink", "false"), ("collector.netdev.netlink", "false")];

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
    "node_timex_*",
];

/// Whether the value of a family is none of the fixtures'; a star stands for the rest of the name.
fn is_volatile(name: &str) -> bool {
    VOLATILE.iter().any(|known| known.strip_suffix('*').map_or(name == *known, |prefix| name.starts_with(prefix)))
}

/// Families whose labels do.
const OF_THE_MACHINE: &[&str] = &["node_uname_info", "node_time_zone_offset_seconds"];

/// Collectors off by default that ask the kernel, or a service, and read no file that a fixture could stand for.
const WITHOUT_FIXTURES: &[&str] = &["ethtool", "logind", "network_route", "perf", "qdisc", "systemd", "wifi"];

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
            let is_volatile = is_volatile(name) && !line.starts_with('#');
            out.push_str(if is_volatile { &line[..=value] } else { line });
            out.push_str(if is_volatile { "0\n" } else { "\n" });
        }
    }
    out
}

#[track_caller]
fn check(name: &str, flags: &[(&str, &str)]) {
    let flags = [&NO_NETLINK, flags].concat();
    compare(name, run(&root_at(Path::new("tests/fixtures")), &flags));
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
            // node_exporter names these so.
            let is_theirs =
                name == "node_drm_gpu_busy_percent" || unit == "_percent" && name.starts_with("node_bcache_");
            assert!(!base.ends_with(unit) || is_theirs, "{name} is not in a base unit");
        }
        if *kind == Kind::Untyped {
            let may_be = ["node_netstat_", "node_vmstat_", "node_sysctl_", "node_zfs_", "node_meta"];
            assert!(may_be.iter().any(|prefix| name.starts_with(prefix)), "{name} has no type");
        }
    }
}

#[test]
fn with_default_flags() {
    check("default.prom", &[DIRECTORY]);
}

#[test]
fn with_every_switch_on() {
    check(
        "everything.prom",
        &[
            DIRECTORY,
            ("collector.bcache.priorityStats", "true"),
            ("collector.cpu.info.bugs-include", "^spectre"),
            ("collector.cpu.info.flags-include", "avx"),
            ("collector.diskstats.device-exclude", ""),
            ("collector.filesystem.mount-points-exclude", "^/(dev|sys)($|/)"),
            ("collector.filesystem.fs-types-include", "^(squashfs|vfat|ext4)$"),
            ("collector.ipvs.backend-labels", "proto,local_port"),
            ("collector.netclass.ignore-invalid-speed", "true"),
            ("collector.netdev.enable-detailed-metrics", "true"),
            ("collector.netdev.label-ifalias", "true"),
            ("collector.netstat.fields", ""),
            ("collector.rapl.enable-zone-label", "true"),
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
            ("collector.arp.device-include", "^eth"),
            ("collector.cpu.guest", "false"),
            ("collector.diskstats.device-include", "^nvme"),
            ("collector.filesystem.ignored-mount-points", "^/(srv|run|proc|dev|sys)"),
            ("collector.filesystem.ignored-fs-types", "^(overlay|squashfs|nfs4)$"),
            ("collector.hwmon.chip-include", "coretemp|nct6775"),
            ("collector.hwmon.sensor-exclude", ";(pwm1|temp2)$"),
            ("collector.infiniband.device-exclude", "^mlx4"),
            ("collector.netclass.ignored-devices", "^(bond|wg)"),
            ("collector.netdev.device-blacklist", "^(lo|veth.*)$"),
            ("collector.netstat.fields", "^Tcp_CurrEstab$"),
            ("collector.powersupply.ignored-supplies", "^BAT"),
            ("collector.tapestats.ignored-devices", "^st0$"),
            ("collector.vmstat.fields", "^oom_kill$"),
        ],
    );
}

#[test]
fn with_what_is_off_by_default() {
    let more = [("collector.pcidevice.names", "true"), ("collector.tcpstat.netlink", "false")];
    let flags = [CHOSEN, &more].concat();
    let wanted = |name: &str| !is_on_by_default(name) && !WITHOUT_FIXTURES.contains(&name);
    compare("off_by_default.prom", run_those(&root_at(Path::new("tests/fixtures")), &flags, wanted));
}
