//! Kernel files that are missing, empty, torn, garbage or unreadable cost the collectors that read them, and no other.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod harness;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use agent_exposition::{Event, Format, Parser};
use agent_node::Outcome;
use harness::readers::readers;
use harness::{Built, CHOSEN, Run, build, root_at};

/// A copy of the fixtures that can be spoilt.
struct Copy {
    directory: tempfile::TempDir,
}

impl Copy {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for file in files() {
            let to = directory.path().join(&file);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(Path::new("tests/fixtures").join(&file), to).unwrap();
        }
        for link in links() {
            let to = directory.path().join(&link);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(fs::read_link(Path::new("tests/fixtures").join(&link)).unwrap(), to).unwrap();
        }
        Self { directory }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    fn build(&self, wanted: impl Fn(&str) -> bool) -> Vec<Built> {
        let textfile = self.path("textfile");
        let flags = [
            ("collector.cpu.info", "true"),
            ("collector.arp.netlink", "false"),
            ("collector.netdev.label-ifalias", "true"),
            ("collector.netdev.netlink", "false"),
            ("collector.logind.bus-address", "unix:path=/nowhere/bus"),
            ("collector.systemd.bus-address", "unix:path=/nowhere/bus"),
            ("collector.pcidevice.names", "true"),
            ("collector.tcpstat.netlink", "false"),
            ("collector.textfile.directory", textfile.to_str().unwrap()),
        ];
        build(&root_at(self.directory.path()), &[flags.as_slice(), CHOSEN].concat(), wanted)
    }

    /// Puts a file back as it was.
    fn restore(&self, file: &str) {
        let path = self.path(file);
        if path.is_dir() {
            fs::remove_dir(&path).unwrap();
        }
        fs::copy(Path::new("tests/fixtures").join(file), path).unwrap();
    }
}

/// All fixtures, relative to their directory.
fn files() -> Vec<String> {
    entries(|kind| kind.is_file())
}

/// All symbolic links among them.
fn links() -> Vec<String> {
    entries(|kind| kind.is_symlink())
}

fn entries(wanted: fn(&fs::FileType) -> bool) -> Vec<String> {
    fn walk(directory: &Path, wanted: fn(&fs::FileType) -> bool, found: &mut Vec<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() {
                walk(&path, wanted, found);
            } else if wanted(&kind) {
                found.push(path.strip_prefix("tests/fixtures").unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new("tests/fixtures"), wanted, &mut found);
    found.sort_unstable();
    found
}

/// What may happen to a file, and how.
type Spoil = (&'static str, fn(&Path));

const SPOILS: &[Spoil] = &[
    ("missing", |path| fs::remove_file(path).unwrap()),
    ("empty", |path| fs::write(path, "").unwrap()),
    ("torn", |path| {
        let content = fs::read(path).unwrap();
        fs::write(path, &content[..content.len() / 2]).unwrap();
    }),
    ("garbage", |path| fs::write(path, b"\xff\xfe\0 = : \"x\n{}\n-1 -1 -1\n").unwrap()),
    ("endless", |path| fs::write(path, b"9".repeat(100_000)).unwrap()),
    ("unreadable", |path| {
        // Root may read any file, but nobody can read a directory as one.
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    }),
];

#[test]
fn a_bad_file_costs_its_readers_alone() {
    let copy = Copy::new();
    // These read none of the fixtures: the machine's devices come and go, and not everyone may count.
    let mut all = copy.build(|name| !["ethtool", "perf"].contains(&name));
    let whole: BTreeMap<_, _> = all.iter_mut().map(|built| (built.name, comparable(&built.run(0)))).collect();
    let (mut scrape, mut directory) = (0, String::new());
    for file in files() {
        let (parent, _) = file.rsplit_once('/').unwrap();
        let is_first = !file.starts_with("sys/") || parent != directory;
        directory = parent.to_owned();
        for (how, spoil) in SPOILS {
            scrape += 1;
            spoil(&copy.path(&file));
            // Those that read it are built anew, so that one case does not colour the next.
            let mut affected = copy.build(|name| readers(&file).contains(&name));
            // Who does not read the file cannot tell what happens to it, and who reads one attribute of a device reads
            // most of them: one way and one attribute will do.
            let may_tell = *how == "garbage" && is_first;
            let others = all.iter_mut().filter(|built| may_tell && !readers(&file).contains(&built.name));
            for built in affected.iter_mut().chain(others) {
                let run = built.run(scrape);
                let what = format!("{file} is {how}, {}", run.name);
                legal(&run.text, &what);
                if !readers(&file).contains(&run.name) {
                    assert!(run.result.is_ok(), "{what}: {:?}", run.result);
                    assert_eq!(comparable(&run), whole[run.name], "{what}");
                }
            }
            copy.restore(&file);
        }
    }
}

/// The page without what differs from run to run anyway.
fn comparable(run: &Run) -> Vec<String> {
    // The machine's own clock, disks, queues and routes do not stand still.
    const VOLATILE: &[&str] =
        &["node_time_", "node_timex_", "node_textfile_mtime", "node_filesystem_", "node_qdisc_", "node_network_route"];
    let is_stable = |line: &&str| !VOLATILE.iter().any(|prefix| line.starts_with(prefix));
    let without_directory = |line: &str| line.split("/textfile/").last().unwrap().to_owned();
    run.text.lines().filter(is_stable).map(without_directory).collect()
}

fn legal(text: &str, what: &str) {
    let mut seen = HashSet::new();
    for event in Parser::new(Format::Text004, text.as_bytes()) {
        if let Event::Sample(sample) = event.unwrap_or_else(|error| panic!("{what}: {error}")) {
            assert!(seen.insert(sample.series), "{what}: {} twice", sample.series);
        }
    }
}

#[test]
fn what_each_loss_means() {
    let copy = Copy::new();
    let check = |file: &str, how: &str, collector: &str, want: Result<Outcome, &str>| {
        SPOILS.iter().find(|(name, _)| *name == how).unwrap().1(&copy.path(file));
        let run = copy.build(|name| name == collector)[0].run(1);
        copy.restore(file);
        let got = run.result.map_err(|error| error.to_string());
        let want = want.map_err(|text| text.replace('$', copy.directory.path().to_str().unwrap()));
        assert_eq!(got, want, "{file} is {how}");
    };
    check("proc/stat", "missing", "cpu", Err("cannot read $/proc/stat"));
    check("proc/stat", "empty", "stat", Err("cannot understand $/proc/stat, line 1: expected CPU lines"));
    check("proc/stat", "unreadable", "stat", Err("cannot read $/proc/stat"));
    check(
        "proc/loadavg",
        "empty",
        "loadavg",
        Err("cannot understand $/proc/loadavg, line 1: expected three load averages"),
    );
    check("proc/meminfo", "empty", "meminfo", Err("cannot understand $/proc/meminfo, line 1: expected memory fields"));
    check("proc/meminfo", "torn", "meminfo", Ok(Outcome::Collected));
    check("proc/diskstats", "empty", "diskstats", Ok(Outcome::Nothing));
    check("proc/1/mountinfo", "empty", "filesystem", Ok(Outcome::Nothing));
    check("proc/1/mountinfo", "missing", "filesystem", Err("cannot read $/proc/self/mountinfo"));
    check("proc/net/snmp6", "missing", "netstat", Ok(Outcome::Collected));
    check("proc/net/snmp", "missing", "netstat", Err("cannot read $/proc/net/snmp"));
    check("proc/net/sockstat6", "missing", "sockstat", Ok(Outcome::Collected));
    check("proc/pressure/irq", "missing", "pressure", Ok(Outcome::Collected));
    check(
        "proc/pressure/cpu",
        "garbage",
        "pressure",
        Err("cannot understand $/proc/pressure/cpu, line 1: expected \"some\" or \"full\""),
    );
    check("rootfs/etc/os-release", "missing", "os", Ok(Outcome::Nothing));
    check("rootfs/etc/os-release", "garbage", "os", Ok(Outcome::Collected));
    check("sys/devices/system/cpu/online", "missing", "cpu", Ok(Outcome::Collected));
    check("sys/devices/system/cpu/isolated", "garbage", "cpu", Ok(Outcome::Collected));
    check("udev/b8:0", "missing", "diskstats", Ok(Outcome::Collected));
    check("textfile/meta.prom", "garbage", "textfile", Ok(Outcome::Collected));
    check("proc/mdstat", "missing", "mdadm", Ok(Outcome::Nothing));
    check("proc/mdstat", "unreadable", "mdadm", Err("cannot read $/proc/mdstat"));
    check("proc/net/arp", "missing", "arp", Err("cannot read $/proc/net/arp"));
    check("proc/net/ip_vs_stats", "missing", "ipvs", Ok(Outcome::Nothing));
    check("proc/net/ip_vs", "missing", "ipvs", Err("cannot read $/proc/net/ip_vs"));
    check("proc/net/rpc/nfs", "missing", "nfs", Ok(Outcome::Nothing));
    check("proc/spl/kstat/zfs/arcstats", "missing", "zfs", Ok(Outcome::Collected));
    check("sys/class/net/eth0/ifindex", "missing", "netclass", Ok(Outcome::Collected));
    check("sys/class/net/bonding_masters", "missing", "bonding", Ok(Outcome::Nothing));
    check("sys/devices/platform/coretemp.0/hwmon/hwmon0/temp1_input", "garbage", "hwmon", Ok(Outcome::Collected));
    check("sys/fs/selinux/enforce", "missing", "selinux", Ok(Outcome::Collected));
    let not_a_number = "cannot understand $/sys/fs/selinux/enforce, line 1: expected a number";
    check("sys/fs/selinux/enforce", "garbage", "selinux", Err(not_a_number));
    check("sys/kernel/mm/ksm/run", "missing", "ksmd", Ok(Outcome::Collected));
    check("sys/kernel/mm/ksm/run", "unreadable", "ksmd", Err("cannot read $/sys/kernel/mm/ksm/run"));
    check("sys/fs/xfs/sda1/stats/stats", "unreadable", "xfs", Ok(Outcome::Collected));
}

#[test]
fn nothing_at_all_is_survived() {
    let empty = tempfile::tempdir().unwrap();
    let flags = [
        ("collector.arp.netlink", "false"),
        ("collector.logind.bus-address", "unix:path=/nowhere/bus"),
        ("collector.netdev.netlink", "false"),
        ("collector.systemd.bus-address", "unix:path=/nowhere/bus"),
        ("collector.tcpstat.netlink", "false"),
    ];
    for mut built in build(&root_at(empty.path()), &flags, |_| true) {
        let run = built.run(1);
        const MAY_BE_MISSING: &[&str] = &[
            "bcache",
            "bcachefs",
            "bonding",
            "btrfs",
            "cgroups",
            "conntrack",
            "cpu_vulnerabilities",
            "cpufreq",
            "dmi",
            "dmmultipath",
            "drm",
            "edac",
            "ethtool",
            "fibrechannel",
            "hwmon",
            "infiniband",
            "ipvs",
            "kernel_hung",
            "ksmd",
            "lnstat",
            "logind",
            "mdadm",
            "meminfo_numa",
            "netclass",
            "network_route",
            "nfs",
            "nfsd",
            "nvidia",
            "nvme",
            "os",
            "pcidevice",
            "powersupplyclass",
            "pressure",
            "qdisc",
            "rapl",
            "schedstat",
            "selinux",
            "sockstat",
            "swap",
            "sysctl",
            "systemd",
            "tapestats",
            "tcpstat",
            "textfile",
            "thermal_zone",
            "time",
            "timex",
            "udp_queues",
            "uname",
            "watchdog",
            "wifi",
            "xfrm",
            "xfs",
            "zfs",
        ];
        let may_work = MAY_BE_MISSING.contains(&run.name);
        assert_eq!(run.result.is_ok(), may_work, "{}: {:?}", run.name, run.result);
    }
}

#[test]
fn wrong_flags_are_refused() {
    #[track_caller]
    fn check(collector: &str, flags: &[(&str, &str)], want: &str) {
        let mut given = agent_node::Flags::default();
        flags.iter().for_each(|(name, value)| given.push(*name, *value));
        let context = agent_node::Context::new(agent_procfs::Root::default(), std::sync::Arc::new(given));
        let spec = agent_node::collectors::COLLECTORS.iter().find(|spec| spec.name == collector).unwrap();
        let error = (spec.build)(&context).err().unwrap_or_else(|| panic!("{flags:?} is accepted"));
        assert!(error.to_string().contains(want), "{error}");
    }
    check("cpu", &[("collector.cpu.info.flags-include", "(")], "not a regular expression");
    check("vmstat", &[("collector.vmstat.fields", "[")], "--collector.vmstat.fields=[: not a regular expression");
    check("ipvs", &[("collector.ipvs.backend-labels", "proto,port")], "port is none of local_address, local_mark");
    check(
        "pcidevice",
        &[("collector.pcidevice.names", "true"), ("collector.pcidevice.idsfile", "/no")],
        "cannot read it",
    );
    check("perf", &[("collector.perf.cpus", "0-")], "expected CPUs such as 0,2-4 or 0-9:3");
    check("perf", &[("collector.perf.tracepoint", "sched")], "expected a subsystem and an event");
    check("perf", &[("collector.perf.software-profilers", "Faults")], "expected one of PageFault, ContextSwitch");
    check("filesystem", &[("collector.filesystem.mount-timeout", "5")], "expected a time such as 5s");
    check("filesystem", &[("collector.filesystem.stat-workers", "0")], "expected a number from 1 to 64");
    let both = [("collector.netdev.device-include", "a"), ("collector.netdev.device-exclude", "b")];
    check("netdev", &both, "cannot be given beside --collector.netdev.device-exclude");
    let both = [("collector.filesystem.fs-types-include", "a"), ("collector.filesystem.ignored-fs-types", "b")];
    check("filesystem", &both, "cannot be given beside --collector.filesystem.ignored-fs-types");
}
