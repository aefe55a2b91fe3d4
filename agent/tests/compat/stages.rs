//! What is compared with what: collectors, flags, and the trees that both read.

use std::path::Path;

use agent_node::FlagKind;
use agent_node::collectors::COLLECTORS;
use provisioning_parts::{Start, eventually, free_port, get, program};

use super::compare::Round;
use super::pages::Page;

/// Collectors that came after 1.5.
const NEW: &[&str] = &[
    "bcachefs",
    "cpu_vulnerabilities",
    "dmmultipath",
    "kernel_hung",
    "nvidia",
    "pcidevice",
    "softirqs",
    "swap",
    "watchdog",
    "xfrm",
];

/// Flags that came after 1.5.
const NEW_FLAGS: &[&str] = &[
    "collector.arp.netlink",
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
    "collector.perf.cache-profilers",
    "collector.perf.hardware-profilers",
    "collector.qdisc.device-exclude",
    "collector.qdisc.device-include",
    "collector.slabinfo.slabs-exclude",
    "collector.slabinfo.slabs-include",
];

/// The fixture trees of agent-node.
pub fn fixtures() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/node/tests/fixtures").to_owned()
}

type Flag = (&'static str, String);

/// One comparison.
pub struct Stage {
    pub title: &'static str,
    collectors: Vec<&'static str>,
    flags: Vec<Flag>,
    /// Where the system's bus is. Without a system, there is none.
    bus: String,
}

impl Stage {
    fn of(title: &'static str, wanted: impl Fn(&str) -> bool, flags: &[(&'static str, &str)]) -> Self {
        let collectors = COLLECTORS.iter().map(|spec| spec.name).filter(|name| wanted(name)).collect();
        let flags = flags.iter().map(|(flag, value)| (*flag, (*value).to_owned())).collect();
        Self { title, collectors, flags, bus: "unix:path=/nowhere/bus".to_owned() }
    }

    /// Over the fixture trees instead of this machine.
    fn over_fixtures(mut self) -> Self {
        let trees =
            [("path.procfs", "proc"), ("path.sysfs", "sys"), ("path.rootfs", "rootfs"), ("path.udev.data", "udev")];
        self.flags.extend(trees.map(|(flag, tree)| (flag, format!("{}/{tree}", fixtures()))));
        self
    }

    /// A systemd that somebody plays on a bus.
    pub fn of_systemd(bus: &str) -> Self {
        let flags = [
            ("collector.systemd.enable-restarts-metrics", "true"),
            ("collector.systemd.enable-start-time-metrics", "true"),
            ("collector.systemd.enable-task-metrics", "true"),
            ("collector.systemd.unit-exclude", "never.*"),
        ];
        let stage = Self::of("a systemd that a script plays", |name| name == "systemd", &flags);
        Self { bus: bus.to_owned(), ..stage }
    }

    /// Both command lines: theirs, and ours with what came after.
    fn arguments(&self) -> (Vec<String>, Vec<String>) {
        let mut theirs = vec!["--collector.disable-defaults".to_owned()];
        for spec in COLLECTORS.iter().filter(|spec| self.collectors.contains(&spec.name) && !NEW.contains(&spec.name)) {
            theirs.push(format!("--collector.{}", spec.name));
            // Debian has other defaults.
            for flag in spec.flags.iter().filter(|flag| !flag.hidden && flag.kind == FlagKind::Value) {
                if !NEW_FLAGS.contains(&flag.name) && !self.flags.iter().any(|(name, _)| *name == flag.name) {
                    theirs.push(format!("--{}={}", flag.name, flag.default.unwrap_or_default()));
                }
            }
        }
        let typed = |(name, value): &Flag| match value.as_str() {
            "true" => format!("--{name}"),
            "false" => format!("--no-{name}"),
            value => format!("--{name}={value}"),
        };
        let (new, known): (Vec<_>, Vec<_>) = self.flags.iter().partition(|(name, _)| NEW_FLAGS.contains(name));
        theirs.extend(known.into_iter().map(typed));
        let mut ours = theirs.clone();
        ours.extend(new.into_iter().map(typed));
        let new = self.collectors.iter().filter(|name| NEW.contains(name));
        ours.extend(new.map(|name| format!("--collector.{name}")));
        for service in ["logind", "systemd"].iter().filter(|name| self.collectors.contains(name)) {
            ours.push(format!("--collector.{service}.bus-address={}", self.bus));
        }
        (theirs, ours)
    }

    /// Starts both, and compares pages of the same moment for as long as it is asked to.
    pub fn rounds(&self, agent: &Path) -> impl Iterator<Item = Round> {
        const MOST: usize = 40;
        let (theirs, ours) = self.arguments();
        let address = format!("127.0.0.1:{}", free_port());
        let their_process = Start::new(program("prometheus-node-exporter"))
            .env("DBUS_SYSTEM_BUS_ADDRESS", &self.bus)
            .args([format!("--web.listen-address={address}")])
            .args(theirs)
            .spawn();
        eventually(20, "node_exporter answers", || get(&address, "/"));
        // The container families are another page's.
        let listen = ["--web.listen-address=127.0.0.1:0", "--web.container-listen-address=127.0.0.1:0", "--docker="];
        let mut our_process = Start::new(agent).args(listen).args(ours).spawn();
        let own_address = our_process.await_addresses(2).remove(0);
        let page = |address: &str| Page::parse(&get(address, "/metrics").expect("a page"));
        (0..MOST).map(move |_| {
            let _ = (&their_process, &our_process);
            Round { before: page(&address), ours: page(&own_address), after: page(&address) }
        })
    }
}

fn is_on_by_default(name: &str) -> bool {
    COLLECTORS.iter().any(|spec| spec.name == name && spec.default_on)
}

/// Every comparison but that of systemd, which needs a bus.
pub fn stages() -> Vec<Stage> {
    let textfile = format!("{}/textfile", fixtures());
    let switches = [
        ("collector.cpu.info", "true"),
        ("collector.netdev.address-info", "true"),
        ("collector.netdev.enable-detailed-metrics", "true"),
        ("collector.netstat.fields", "."),
        ("collector.textfile.directory", textfile.as_str()),
        ("collector.vmstat.fields", "."),
    ];
    let fixture_switches = [
        ("collector.bcache.priorityStats", "true"),
        ("collector.cpu.info", "true"),
        ("collector.cpu.info.bugs-include", "^spectre"),
        ("collector.cpu.info.flags-include", "avx"),
        ("collector.arp.netlink", "false"),
        ("collector.netdev.netlink", "false"),
        ("collector.stat.softirq", "true"),
        ("collector.textfile.directory", textfile.as_str()),
    ];
    // What 1.5 counts of CPUs and caches.
    let counters = ["CpuCycles", "CpuInstr", "CacheRef", "CacheMisses", "BranchInstr", "BranchMisses", "RefCpuCycles"];
    let caches = ["L1DataReadHit", "L1DataReadMiss", "L1DataWriteHit", "L1InstrReadMiss", "InstrTLBReadHit"];
    let caches = caches.into_iter().chain(["InstrTLBReadMiss", "LLReadHit", "LLReadMiss", "LLWriteHit", "LLWriteMiss"]);
    let caches = caches.chain(["BPUReadHit", "BPUReadMiss"]);
    let mut opted = CHOSEN.to_vec();
    opted.extend(counters.map(|counter| ("collector.perf.hardware-profilers", counter)));
    opted.extend(caches.map(|counter| ("collector.perf.cache-profilers", counter)));
    // There need not be a bus, and then they fail.
    let of_a_bus = ["logind", "systemd"];
    // What asks the system itself whatever the paths are, and filesystem, which reads another file in 1.5.
    let asking = ["filesystem", "selinux", "time", "timex", "uname"];
    let asking_too = ["ethtool", "logind", "network_route", "perf", "qdisc", "systemd", "tcpstat", "wifi"];
    vec![
        Stage::of("this machine, what is on by default", is_on_by_default, &[]),
        Stage::of("this machine, with more switches on", is_on_by_default, &switches),
        Stage::of(
            "this machine, what is off by default",
            |name| !is_on_by_default(name) && !of_a_bus.contains(&name),
            &opted,
        ),
        Stage::of(
            "fixture trees, what is on by default",
            |name| is_on_by_default(name) && !asking.contains(&name),
            &fixture_switches,
        )
        .over_fixtures(),
        Stage::of(
            "fixture trees, what is off by default",
            |name| !is_on_by_default(name) && !asking_too.contains(&name),
            CHOSEN,
        )
        .over_fixtures(),
    ]
}

/// What collectors that are off by default need to be told, or else they find nothing.
const CHOSEN: &[(&str, &str)] = &[
    ("collector.sysctl.include", "kernel.pid_max"),
    ("collector.sysctl.include", "net.ipv4.tcp_rmem"),
    ("collector.sysctl.include", "net.ipv4.ip_local_port_range:low,high"),
    ("collector.sysctl.include-info", "kernel.ostype"),
    ("collector.sysctl.include-info", "net.ipv4.tcp_allowed_congestion_control"),
];

/// Names in the lists above that no collector and no flag has any more.
pub fn outlived() -> Vec<&'static str> {
    let is_collector = |name: &&str| COLLECTORS.iter().any(|spec| spec.name == *name);
    let is_flag = |name: &&str| COLLECTORS.iter().any(|spec| spec.flags.iter().any(|flag| flag.name == *name));
    let collectors = NEW.iter().copied().filter(|name| !is_collector(name));
    collectors.chain(NEW_FLAGS.iter().copied().filter(|name| !is_flag(name))).collect()
}
