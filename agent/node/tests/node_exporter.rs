//! The collectors beside a real node_exporter (Debian's 1.5.0), family by family: names, types, label sets, values.
//!
//! Over the fixture tree the values must be equal. On this machine, which does not stand still, ours are taken between
//! two of theirs and must lie between them; what moves up and down gets several rounds.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]

#[path = "harness/bus.rs"]
mod bus;
mod harness;
#[path = "harness/systemd.rs"]
mod systemd;

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpStream;

use agent_exposition::{Event, Format, Kind, Parser};
use agent_node::FlagKind;
use agent_node::collectors::COLLECTORS;
use agent_procfs::Root;
use harness::{CHOSEN, is_on_by_default, root_at, run_those};
use provisioning_parts::{Process, Start, eventually, free_port, get, program};

/// Differences that are meant: a family (a star at its end stands for the rest of the name), who alone has it, and why.
const MEANT: &[(&str, Who, &str)] = &[
    ("node_cpu_online", Who::Ours, "came after 1.5"),
    ("node_cpu_isolated", Who::Ours, "came after 1.5"),
    ("node_bcachefs_*", Who::Ours, "came after 1.5"),
    ("node_btrfs_commit*", Who::Ours, "came after 1.5"),
    ("node_btrfs_last_commit_seconds", Who::Ours, "came after 1.5"),
    ("node_btrfs_max_commit_seconds", Who::Ours, "came after 1.5"),
    ("node_cpu_frequency_avg_hertz", Who::Ours, "came after 1.5"),
    ("node_cpu_scaling_governor", Who::Ours, "came after 1.5"),
    ("node_cpu_vulnerabilities_info", Who::Ours, "came after 1.5"),
    ("node_dmmultipath_*", Who::Ours, "came after 1.5"),
    ("node_edac_channel_*", Who::Ours, "came after 1.5"),
    ("node_filesystem_mount_info", Who::Ours, "came after 1.5"),
    ("node_filesystem_purgeable_bytes", Who::Ours, "came after 1.5"),
    ("node_infiniband_duplicate_*", Who::Ours, "came after 1.5"),
    ("node_infiniband_implied_*", Who::Ours, "came after 1.5"),
    ("node_infiniband_lifespan_*", Who::Ours, "came after 1.5"),
    ("node_infiniband_local_ack_*", Who::Ours, "came after 1.5"),
    ("node_infiniband_np_*", Who::Ours, "came after 1.5"),
    ("node_infiniband_out_of_*", Who::Ours, "came after 1.5"),
    ("node_infiniband_packet_sequence_*", Who::Ours, "came after 1.5"),
    ("node_infiniband_req_*", Who::Ours, "came after 1.5"),
    ("node_infiniband_resp_*", Who::Ours, "came after 1.5"),
    ("node_infiniband_rnr_*", Who::Ours, "came after 1.5"),
    ("node_infiniband_roce_*", Who::Ours, "came after 1.5"),
    ("node_infiniband_rp_*", Who::Ours, "came after 1.5"),
    ("node_infiniband_rx_*", Who::Ours, "came after 1.5"),
    ("node_kernel_hung_tasks_total", Who::Ours, "came after 1.5"),
    ("node_ksmd_general_profit_bytes", Who::Ours, "came after 1.5"),
    ("node_mountstats_nfs_mountpoint_info", Who::Ours, "came after 1.5"),
    ("node_systemd_virtualization_info", Who::Ours, "came after 1.5"),
    ("node_lnstat_entries", Who::Ours, "they call it a counter, under a counter's name, alone"),
    ("node_swap_*", Who::Ours, "came after 1.5"),
    ("node_xfrm_*", Who::Ours, "came after 1.5"),
    ("node_softnet_*", Who::Ours, "came after 1.5"),
    ("node_md_degraded", Who::Ours, "came after 1.5"),
    ("node_md_raid_disks", Who::Ours, "came after 1.5"),
    ("node_network_receive_nohandler_total", Who::Ours, "came after 1.5"),
    ("node_nvme_namespace_*", Who::Ours, "came after 1.5"),
    ("node_pcidevice_*", Who::Ours, "came after 1.5"),
    ("node_os_support_end_timestamp_seconds", Who::Ours, "came after 1.5"),
    ("node_pressure_irq_stalled_seconds_total", Who::Ours, "came after 1.5"),
    ("node_softirqs_*", Who::Ours, "came after 1.5"),
    ("node_watchdog_*", Who::Ours, "came after 1.5"),
    ("node_zfs_arc_memory_available_bytes", Who::Ours, "1.5 takes numbers without a sign alone"),
    ("node_zfs_dbuf_*", Who::Ours, "1.5 looks for the file under an older name"),
    ("node_scrape_collector_*", Who::Theirs, "the agent adds them, not a collector"),
    ("node_exporter_build_info", Who::Theirs, "about themselves"),
    ("go_*", Who::Theirs, "about themselves"),
    ("process_*", Who::Theirs, "about themselves"),
    ("promhttp_*", Who::Theirs, "about themselves"),
];

/// Collectors that came after 1.5.
const NEW: &[&str] = &[
    "bcachefs",
    "cpu_vulnerabilities",
    "dmmultipath",
    "kernel_hung",
    "pcidevice",
    "softirqs",
    "swap",
    "watchdog",
    "xfrm",
];

/// Flags with a value that came after 1.5.
const NEW_FLAGS: &[&str] = &[
    "collector.filesystem.fs-types-include",
    "collector.filesystem.mount-points-include",
    "collector.hwmon.chip-exclude",
    "collector.hwmon.chip-include",
    "collector.hwmon.sensor-exclude",
    "collector.hwmon.sensor-include",
    "collector.infiniband.device-exclude",
    "collector.infiniband.device-include",
    "collector.interrupts.name-exclude",
    "collector.interrupts.name-include",
    "collector.qdisc.device-exclude",
    "collector.qdisc.device-include",
    "collector.slabinfo.slabs-exclude",
    "collector.slabinfo.slabs-include",
];

/// Switches that came after 1.5.
const NEW_SWITCHES: &[&str] = &["collector.arp.netlink"];

/// Series whose value is not compared on this machine: the family, a part of its labels, and why.
const OTHER_VALUES: &[(&str, &str, &str)] = &[(
    "node_tcp_connection_states",
    "tx_queued_bytes",
    "they add the most connections that may wait to be accepted, as if those were bytes",
)];

/// Families whose type is another, and why.
const OTHER_KINDS: &[(&str, &str)] =
    &[("node_systemd_socket_refused_connections_total", "it only grows, and they call it a gauge")];

/// Labels that are not compared: the beginning of the family's name, the label, and why.
const LABELS: &[(&str, &str, &str)] = &[
    ("node_disk_info", "rotational", "came after 1.5"),
    ("node_disk_info", "serial", "1.5 does not look at ID_SERIAL"),
    ("node_filesystem_", "device_error", "came after 1.5"),
    ("node_mountstats_nfs_transport_", "transport", "came after 1.5"),
    ("node_network_info", "adminstate", "came after 1.5"),
    ("node_nvme_info", "cntlid", "came after 1.5"),
];

/// Values of labels that we alone have: the family, the label, its value, and why.
const VALUES: &[(&str, &str, &str, &str)] = &[("node_zfs_zpool_state", "state", "suspended", "came after 1.5")];

/// Families whose values are theirs by mistake, and why.
const WRONG_THERE: &[(&str, &str)] =
    &[("node_bcache_btree_read_average_duration_seconds", "microseconds taken for nanoseconds")];

/// Whether a series of ours is meant to have no counterpart.
fn is_extra((name, labels): &Series) -> bool {
    let has = |label: &str, value: &str| labels.iter().any(|(l, v)| l == label && v == value);
    VALUES.iter().any(|(family, label, value, _)| name == family && has(label, value))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Ours,
    Theirs,
}

fn meant(name: &str, who: Who) -> bool {
    MEANT.iter().any(|(family, alone, _)| {
        *alone == who && family.strip_suffix('*').map_or(name == *family, |prefix| name.starts_with(prefix))
    })
}

#[derive(Debug, Default)]
struct Families {
    kinds: BTreeMap<String, Kind>,
    values: BTreeMap<Series, f64>,
}

/// Name and labels, sorted.
type Series = (String, Vec<(String, String)>);

fn parse(text: &str) -> Families {
    let mut families = Families::default();
    for event in Parser::new(Format::Text004, text.as_bytes()) {
        match event.expect("a legal page") {
            Event::Type { name, kind } => drop(families.kinds.insert(name.into_owned(), kind)),
            Event::Sample(sample) => {
                let name = sample.name().into_owned();
                // An empty label is as good as none.
                let is_left_out = |label: &str| LABELS.iter().any(|(f, l, _)| name.starts_with(f) && label == *l);
                let mut labels: Vec<_> = sample
                    .labels()
                    .filter(|(label, value)| !value.is_empty() && !is_left_out(label))
                    .map(|(label, value)| (label.into_owned(), value.into_owned()))
                    .collect();
                labels.sort_unstable();
                families.values.insert((name, labels), sample.value);
            }
            _ => {}
        }
    }
    families
}

/// A running node_exporter. It is ended when this is dropped.
struct Exporter {
    _process: Process,
    address: String,
}

impl Exporter {
    fn start(arguments: &[String]) -> Self {
        // Without a system, there is no bus.
        Self::start_on_bus("unix:path=/nowhere/bus", arguments)
    }

    fn start_on_bus(bus: &str, arguments: &[String]) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let process = Start::new(program("prometheus-node-exporter"))
            .env("DBUS_SYSTEM_BUS_ADDRESS", bus)
            .args([format!("--web.listen-address={address}")])
            .args(arguments)
            .spawn();
        eventually(20, "node_exporter answers", || get(&address, "/"));
        Self { _process: process, address }
    }

    fn page(&self) -> Families {
        parse(&get(&self.address, "/metrics").unwrap())
    }
}

/// Their command line: our collectors of those names, with our defaults where Debian has others.
fn arguments(wanted: impl Fn(&str) -> bool, flags: &[(&str, &str)]) -> Vec<String> {
    let mut arguments = vec!["--collector.disable-defaults".to_owned()];
    for spec in COLLECTORS.iter().filter(|spec| wanted(spec.name) && !NEW.contains(&spec.name)) {
        arguments.push(format!("--collector.{}", spec.name));
        for flag in spec.flags.iter().filter(|flag| !flag.hidden && flag.kind == FlagKind::Value) {
            if !NEW_FLAGS.contains(&flag.name) && !flags.iter().any(|(name, _)| *name == flag.name) {
                arguments.push(format!("--{}={}", flag.name, flag.default.unwrap_or_default()));
            }
        }
    }
    for (name, value) in flags.iter().filter(|(name, _)| !NEW_SWITCHES.contains(name)) {
        arguments.push(match *value {
            "true" => format!("--{name}"),
            "false" => format!("--no-{name}"),
            value => format!("--{name}={value}"),
        });
    }
    arguments
}

fn ours(root: &Root, wanted: impl Fn(&str) -> bool, flags: &[(&str, &str)]) -> Families {
    let mut text = String::new();
    for collector in run_those(root, flags, wanted) {
        collector.result.unwrap_or_else(|error| panic!("{}: {error:?}", collector.name));
        text.push_str(&collector.text);
    }
    parse(&text)
}

fn compare_names(ours: &Families, theirs: &Families) {
    let mut wrong = BTreeSet::new();
    for (name, kind) in &theirs.kinds {
        match ours.kinds.get(name) {
            Some(own) if own == kind || OTHER_KINDS.iter().any(|(family, _)| family == name) => {}
            Some(own) => drop(wrong.insert(format!("{name} is {own:?} here and {kind:?} there"))),
            None if meant(name, Who::Theirs) => {}
            None => drop(wrong.insert(format!("{name} is only there"))),
        }
    }
    for name in ours.kinds.keys().filter(|name| !theirs.kinds.contains_key(*name)) {
        if !meant(name, Who::Ours) {
            wrong.insert(format!("{name} is only here"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_fixture_tree_gives_the_same_values() {
    // selinux, time, timex and uname ask the system itself, and 1.5 reads the list of mounts from another file.
    let left_out = ["filesystem", "selinux", "time", "timex", "uname"];
    let fixtures = std::env::current_dir().unwrap().join("tests/fixtures");
    let textfile = fixtures.join("textfile");
    let flags = [
        ("collector.bcache.priorityStats", "true"),
        ("collector.cpu.info", "true"),
        ("collector.cpu.info.bugs-include", "^spectre"),
        ("collector.cpu.info.flags-include", "avx"),
        ("collector.arp.netlink", "false"),
        ("collector.netdev.netlink", "false"),
        ("collector.stat.softirq", "true"),
        ("collector.textfile.directory", textfile.to_str().unwrap()),
    ];
    compare_over_fixtures(|name| is_on_by_default(name) && !left_out.contains(&name), &flags);
}

#[test]
fn the_fixture_tree_gives_the_same_values_where_off_by_default() {
    // What asks the kernel itself.
    let left_out = ["ethtool", "logind", "network_route", "perf", "qdisc", "systemd", "tcpstat"];
    compare_over_fixtures(|name| !is_on_by_default(name) && !left_out.contains(&name), CHOSEN);
}

#[test]
fn a_systemd_that_a_script_plays_gives_the_same_values() {
    let bus = bus::Bus::start(systemd::script(systemd::UNITS));
    let flags = [
        ("collector.systemd.enable-restarts-metrics", "true"),
        ("collector.systemd.enable-start-time-metrics", "true"),
        ("collector.systemd.enable-task-metrics", "true"),
        ("collector.systemd.unit-exclude", "never.*"),
    ];
    let wanted = |name: &str| name == "systemd";
    let theirs = Exporter::start_on_bus(&bus.address(), &arguments(wanted, &flags)).page();
    let address = bus.address();
    let flags = [flags.as_slice(), &[("collector.systemd.bus-address", address.as_str())]].concat();
    compare(&ours(&Root::default(), wanted, &flags), &theirs);
}

#[track_caller]
fn compare_over_fixtures(wanted: impl Fn(&str) -> bool, flags: &[(&str, &str)]) {
    let root = root_at(&std::env::current_dir().unwrap().join("tests/fixtures"));
    let paths = [
        ("path.procfs", root.procfs.to_str().unwrap()),
        ("path.sysfs", root.sysfs.to_str().unwrap()),
        ("path.rootfs", root.rootfs.to_str().unwrap()),
        ("path.udev.data", root.udev_data.to_str().unwrap()),
    ];
    let flags = [flags, &paths].concat();
    let theirs = Exporter::start(&arguments(&wanted, &flags)).page();
    compare(&ours(&root, &wanted, &flags), &theirs);
}

#[track_caller]
fn compare(ours: &Families, theirs: &Families) {
    compare_names(ours, theirs);
    let common = |series: &Series| theirs.kinds.contains_key(&series.0) && !is_extra(series);
    for (series, value) in ours.values.iter().filter(|(series, _)| common(series)) {
        let theirs = theirs.values.get(series).unwrap_or_else(|| panic!("{series:?} is only here"));
        let is_wrong_there = WRONG_THERE.iter().any(|(name, _)| series.0 == *name);
        assert!(is_wrong_there || is_close(*value, *theirs), "{series:?} is {value} here and {theirs} there");
    }
    let missing: Vec<_> =
        theirs.values.keys().filter(|s| !meant(&s.0, Who::Theirs) && !ours.values.contains_key(*s)).collect();
    assert!(missing.is_empty(), "only there: {missing:#?}");
}

/// The same number but for its last digits: sums and units are worked out in another order.
fn is_close(a: f64, b: f64) -> bool {
    (a - b).abs() <= a.abs().max(b.abs()) * 1e-12
}

#[test]
fn this_machine_gives_the_same_values() {
    compare_on_this_machine(is_on_by_default, &[]);
}

#[test]
fn this_machine_gives_the_same_values_where_off_by_default() {
    // There need not be a bus, and then they fail; and each counts from when it began to.
    let left_out = ["logind", "perf", "systemd"];
    compare_on_this_machine(|name| !is_on_by_default(name) && !left_out.contains(&name), CHOSEN);
}

#[test]
fn this_machine_gives_the_same_values_with_more_switches_on() {
    let textfile = std::env::current_dir().unwrap().join("tests/fixtures/textfile");
    let flags = [
        ("collector.cpu.info", "true"),
        ("collector.netdev.address-info", "true"),
        ("collector.netdev.enable-detailed-metrics", "true"),
        ("collector.netstat.fields", "."),
        ("collector.textfile.directory", textfile.to_str().unwrap()),
        ("collector.vmstat.fields", "."),
    ];
    compare_on_this_machine(is_on_by_default, &flags);
}

#[track_caller]
fn compare_on_this_machine(wanted: impl Fn(&str) -> bool, flags: &[(&str, &str)]) {
    let exporter = Exporter::start(&arguments(&wanted, flags));
    let root = Root::default();
    compare_names(&ours(&root, &wanted, flags), &exporter.page());

    let mut open: Option<BTreeMap<Series, String>> = None;
    for _ in 0..40 {
        let before = exporter.page();
        // They count the sockets of the connection that asks them; so must ours.
        let held = TcpStream::connect(&exporter.address).unwrap();
        let own = ours(&root, &wanted, flags);
        drop(held);
        let after = exporter.page();
        let both = before.values.keys().filter(|s| after.values.contains_key(*s) && !meant(&s.0, Who::Theirs));
        let both = both.filter(|series| !has_another_value(series));
        let mut differing = BTreeMap::new();
        for series in both {
            let (first, second) = (before.values[series], after.values[series]);
            match own.values.get(series) {
                None => drop(differing.insert(series.clone(), "only there".to_owned())),
                Some(value) if is_between(*value, first, second, slack(&series.0)) => {}
                Some(value) => drop(differing.insert(series.clone(), format!("{value}, not {first} to {second}"))),
            }
        }
        let theirs = |series: &Series| {
            before.values.contains_key(series) || after.values.contains_key(series) || is_extra(series)
        };
        for series in own.values.keys().filter(|s| before.kinds.contains_key(&s.0) && !theirs(s)) {
            differing.insert(series.clone(), "only here".to_owned());
        }
        // A series that was once right is right.
        open = Some(match open {
            None => differing,
            Some(open) => open.into_iter().filter(|(series, _)| differing.contains_key(series)).collect(),
        });
        if open.as_ref().is_some_and(BTreeMap::is_empty) {
            return;
        }
    }
    panic!("never the same: {open:#?}");
}

fn has_another_value((name, labels): &Series) -> bool {
    OTHER_VALUES.iter().any(|(family, part, _)| name == family && labels.iter().any(|(_, value)| value == part))
}

/// How far off a series may be. The kernel counts open files per CPU and adds up in batches of some dozens, and our
/// own collectors hold files open, and with them objects in the kernel's caches, while they read.
fn slack(name: &str) -> f64 {
    match name {
        "node_filefd_allocated" => 200.0,
        "node_slabinfo_active_objects" | "node_slabinfo_objects" => 1000.0,
        _ => 0.0,
    }
}

fn is_between(value: f64, first: f64, second: f64, slack: f64) -> bool {
    let (low, high) = (first.min(second), first.max(second));
    let slack = slack + high.abs().max(low.abs()) * 1e-12;
    value >= low - slack && value <= high + slack
}
