//! The real thing: containers with load in them on a real engine, against independent readings.
//!
//! Needs root and an engine on the default socket, and for the test of restarts `dockerd` for an engine of its own.
//! `make test` brings both; where they are missing the tests fail and say so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use agent_container::{Config, Containers, InfoError, PerfEvents, Sets};
use rustix::process::{Pid, Signal, kill_process};
use support::{busybox_tar, eventually, no_runtimes, run_with_input, scrape, sum, values};

const DEFAULT: &str = "unix:///var/run/docker.sock";
const IMAGE: &str = "atalaia-test/busybox:1";

/// An engine and what the test made on it; all of that is removed in the end.
struct Engine {
    host: String,
    made: Vec<String>,
}

impl Engine {
    /// The one on the default socket, with the image that the tests use.
    fn on(host: &str) -> Self {
        let engine = Self { host: host.to_owned(), made: Vec::new() };
        let version = engine.command(&["version", "--format", "{{.Server.Version}}"]).output();
        assert!(
            version.is_ok_and(|output| output.status.success()),
            "no Docker engine answers on {host}: run `make setup`, then provisioning/local/docker-engine.sh start"
        );
        engine.import();
        engine
    }

    /// An image of Debian's static busybox and links to it.
    fn import(&self) {
        run_with_input(&mut self.command(&["import", "-", IMAGE]), &busybox_tar());
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", &self.host).args(arguments);
        command
    }

    #[track_caller]
    fn docker(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Runs a script in a container of that name, prefixed so that it is the test's own. Gives its id.
    #[track_caller]
    fn run(&mut self, name: &str, options: &[&str], script: &str) -> String {
        let name = own(name);
        let _ = self.command(&["rm", "-f", &name]).output();
        self.made.push(name.clone());
        let mut arguments = vec!["run", "-d", "--name", &name];
        arguments.extend(options);
        arguments.extend([IMAGE, "sh", "-c", script]);
        self.docker(&arguments)
    }

    #[track_caller]
    fn inspect(&self, name: &str, format: &str) -> String {
        self.docker(&["inspect", "-f", format, &own(name)])
    }

    fn pid(&self, name: &str) -> u32 {
        self.inspect(name, "{{.State.Pid}}").parse().unwrap()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if !self.made.is_empty() {
            let _ = self.command(&["rm", "-f"]).args(&self.made).output();
        }
    }
}

/// Names of different runs do not meet.
fn own(name: &str) -> String {
    format!("atalaia-test-{}-{name}", std::process::id())
}

fn label(name: &str) -> String {
    format!("name=\"{}\"", own(name))
}

fn watch(host: &str) -> Containers {
    let config = Config { docker: Some(host.to_owned()), ..no_runtimes() };
    let containers = Containers::new(config).unwrap();
    containers.start().unwrap();
    containers
}

/// A cgroup that somebody made, in the hierarchies that count.
struct Made(Vec<PathBuf>);

impl Made {
    fn new(path: &str) -> Self {
        let base = Path::new("/sys/fs/cgroup");
        let hierarchies = match base.join("cgroup.controllers").exists() {
            true => vec![base.to_owned()],
            false => ["memory", "cpuacct", "pids"].map(|controller| base.join(controller)).into(),
        };
        let made: Vec<_> = hierarchies.iter().map(|hierarchy| hierarchy.join(path)).collect();
        made.iter().for_each(|folder| fs::create_dir_all(folder).unwrap());
        Self(made)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for folder in &self.0 {
            let _ = fs::remove_dir(folder).and_then(|()| fs::remove_dir(folder.parent().unwrap()));
        }
    }
}

/// A file of the container's cgroup, found through its process and the mounts, as nothing in the agent does it.
fn cgroup_file(pid: u32, controller: &str, v1: &str, v2: &str) -> String {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let of_v1 = groups.lines().find(|line| line.split(':').nth(1).unwrap().split(',').any(|c| c == controller));
    let (line, file) = match of_v1 {
        Some(line) => (line, v1),
        None => (groups.lines().find(|line| line.starts_with("0::")).unwrap(), v2),
    };
    let mount = mounts
        .lines()
        .find(|mount| match of_v1 {
            Some(_) => mount.contains(" - cgroup ") && mount.rsplit([' ', ',']).any(|option| option == controller),
            None => mount.contains(" - cgroup2 "),
        })
        .unwrap();
    let path = PathBuf::from(mount.split(' ').nth(4).unwrap())
        .join(line.splitn(3, ':').nth(2).unwrap().trim_start_matches('/'));
    fs::read_to_string(path.join(file)).unwrap()
}

fn key_of(text: &str, key: &str) -> f64 {
    text.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().parse().unwrap()
}

/// CPU seconds by the kernel.
fn cpu_seconds(pid: u32) -> f64 {
    let text = cgroup_file(pid, "cpuacct", "cpuacct.usage", "cpu.stat");
    match text.lines().find_map(|line| line.strip_prefix("usage_usec ")) {
        Some(micros) => micros.parse::<f64>().unwrap() / 1e6,
        None => text.trim().parse::<f64>().unwrap() / 1e9,
    }
}

fn memory_bytes(pid: u32) -> f64 {
    cgroup_file(pid, "memory", "memory.usage_in_bytes", "memory.current").trim().parse().unwrap()
}

/// Bytes received and sent over an interface.
fn network_bytes(pid: u32, interface: &str) -> (f64, f64) {
    let text = fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix(&format!("{interface}:"))).unwrap().to_owned();
    let numbers: Vec<f64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
    (numbers[0], numbers[8])
}

/// Bytes written by device, `major:minor value`, sorted.
fn written_bytes(pid: u32) -> Vec<(String, f64)> {
    let text = cgroup_file(pid, "blkio", "blkio.throttle.io_service_bytes_recursive", "io.stat");
    let mut written: Vec<_> = text
        .lines()
        .filter_map(|line| {
            let (device, rest) = line.split_once(' ')?;
            let value = match rest.strip_prefix("Write ") {
                Some(value) => value,
                None => rest.split(' ').find_map(|word| word.strip_prefix("wbytes="))?,
            };
            Some((device.to_owned(), value.parse().ok()?))
        })
        .collect();
    written.sort_by(|a, b| a.0.cmp(&b.0));
    written
}

#[track_caller]
fn between(low: f64, value: f64, high: f64, what: &str) {
    assert!(low <= value && value <= high, "{what}: {low} <= {value} <= {high}");
}

#[track_caller]
fn one(page: &str, family: &str, pieces: &[&str]) -> f64 {
    let found = values(page, family, pieces);
    assert_eq!(found.len(), 1, "{family} {pieces:?}");
    found[0]
}

/// The whole disk under a path, as the kernel names it; nothing where there is none, as on an overlay.
fn disk_under(path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let device = fs::metadata(path).unwrap().dev();
    let sys = format!("/sys/dev/block/{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let whole = if Path::new(&sys).join("partition").exists() { format!("{sys}/..") } else { sys };
    let uevent = fs::read_to_string(Path::new(&whole).join("uevent")).ok()?;
    uevent.lines().find_map(|line| line.strip_prefix("DEVNAME=")).map(|name| format!("/dev/{name}"))
}

/// Sockets of a process's network namespace in a state, as the kernel lists them.
fn sockets(pid: u32, file: &str, state: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/net/{file}")).unwrap();
    text.lines().skip(1).filter(|line| line.split_whitespace().nth(3) == Some(state)).count() as f64
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_processes_and_tasks() {
    let mut engine = Engine::on(DEFAULT);
    // One that listens, and a pair that is connected. What listens does so over IPv6, and takes IPv4 too.
    let script = "nc -l -p 7001 < /dev/null & nc -l -p 7000 -e sleep 1000 & sleep 1; \
                  while :; do sleep 1000 | nc 127.0.0.1 7000; sleep 1; done & sleep 1000";
    engine.run("sockets", &["--ulimit", "nofile=333:444"], script);
    engine.run("beside", &["--network", &format!("container:{}", own("sockets"))], "sleep 1000");
    engine.run("onhost", &["--network", "host"], "sleep 1000");
    let sets = Sets::from_flags("", "process,sched,tcp,udp,advtcp,referenced_memory,memory_numa,cpuset").unwrap();
    // Without the root, under which all processes of the machine would be looked at.
    let config =
        Config { docker: Some(DEFAULT.to_owned()), docker_only: true, disable_root: true, sets, ..no_runtimes() };
    let containers = Containers::new(config).unwrap();
    containers.start().unwrap();
    let (of_sockets, tcp, tcp6) =
        (label("sockets"), "container_network_tcp_usage_total", "container_network_tcp6_usage_total");
    let pid = engine.pid("sockets");
    let kernels = || [("tcp", "01"), ("tcp6", "01"), ("tcp6", "0A")].map(|(file, state)| sockets(pid, file, state));
    eventually("the connection", || (kernels() == [1.0, 1.0, 1.0]).then_some(()));
    let page = eventually("all names, and all processes", || {
        let page = scrape(&containers);
        let names = ["sockets", "beside", "onhost"].map(label);
        let are_there = |family: &str| names.iter().all(|name| !values(&page, family, &[name]).is_empty());
        (are_there("container_ulimits_soft") && are_there("container_start_time_seconds")).then_some(page)
    });
    let shown = [(tcp, "established"), (tcp6, "established"), (tcp6, "listen"), (tcp, "listen")]
        .map(|(family, state)| one(&page, family, &[&of_sockets, &format!("tcp_state=\"{state}\"")]));
    assert_eq!((shown, kernels()), ([1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0]));
    assert_eq!(values(&page, tcp, &[&of_sockets]).len(), 11);
    assert_eq!(one(&page, "container_network_udp_usage_total", &[&of_sockets, "udp_state=\"listen\""]), 0.0);
    let opened = one(&page, "container_network_advance_tcp_stats_total", &[&of_sockets, "tcp_state=\"activeopens\""]);
    assert!(opened >= 1.0);
    for other in ["beside", "onhost"] {
        assert!(values(&page, tcp, &[&label(other)]).is_empty(), "the namespace of {other} is counted elsewhere");
    }
    assert_eq!(one(&page, "container_ulimits_soft", &[&of_sockets, "ulimit=\"max_open_files\""]), 333.0);

    let page = eventually("what the threads find", || {
        let page = scrape(&containers);
        let families =
            ["container_file_descriptors", "container_referenced_bytes", "container_cpu_schedstat_run_periods_total"];
        families.iter().all(|family| !values(&page, family, &[&label("beside")]).is_empty()).then_some(page)
    });
    // The only process of this one sleeps, with what it was given.
    let beside = engine.pid("beside");
    let open = fs::read_dir(format!("/proc/{beside}/fd")).unwrap().count() as f64;
    assert_eq!(one(&page, "container_file_descriptors", &[&label("beside")]), open);
    assert_eq!(one(&page, "container_sockets", &[&label("beside")]), 0.0);
    assert!(one(&page, "container_sockets", &[&of_sockets]) >= 3.0);
    let schedstat = fs::read_to_string(format!("/proc/{beside}/schedstat")).unwrap();
    let periods: f64 = schedstat.split_whitespace().nth(2).unwrap().parse().unwrap();
    between(1.0, one(&page, "container_cpu_schedstat_run_periods_total", &[&label("beside")]), periods, "periods");
    assert!(one(&page, "container_referenced_bytes", &[&label("beside")]) > 0.0);
    assert!(!values(&page, "container_memory_numa_pages", &[&of_sockets, "type=\"anon\""]).is_empty());
    assert!(!page.contains("container_fs_") && !page.contains("container_pressure"));
}

/// Whoever has a part of the tree to himself can make one.
#[tokio::test(flavor = "multi_thread")]
async fn a_cgroup_with_the_id_of_another_container_does_not_get_its_name() {
    let mut engine = Engine::on(DEFAULT);
    let id = engine.run("true", &[], "sleep 1000");
    let folder = own("impostor");
    let _made = Made::new(&format!("{folder}/{id}"));
    let containers = watch(DEFAULT);
    let named = |page: &str| values(page, "container_start_time_seconds", &[&label("true")]).len();
    let page = eventually("the name", || Some(scrape(&containers)).filter(|page| named(page) > 0));
    assert_eq!(named(&page), 1);
    let theirs = format!("id=\"/{folder}/{id}\"");
    assert_eq!(values(&page, "container_start_time_seconds", &[&theirs]).len(), 1, "it has its figures nonetheless");
    assert!(values(&page, "container_start_time_seconds", &[&theirs, "name="]).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_agree_with_the_kernel_and_the_engine() {
    let mut engine = Engine::on(DEFAULT);
    let id = engine.run(
        "burn",
        &["--label", "com.example.tier=back", "--cpus", "0.1", "--memory", "64m"],
        "dd if=/dev/zero of=/dev/shm/held bs=1M count=20; while :; do :; done",
    );
    engine.run("net", &[], "ping -i 0.2 172.17.0.1 || while :; do ping -c 1 -W 1 172.17.0.1; done");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let volume = format!("{}:/volume", folder.path().display());
    let mut options = vec!["-v", &volume];
    // Newer kernels of version 1 count block I/O only on disks for which some limit was ever set.
    let limit = disk_under(folder.path()).map(|disk| format!("{disk}:1gb"));
    if let Some(limit) = &limit {
        options.extend(["--device-write-bps", limit]);
    }
    let writer = "dd if=/dev/zero of=/volume/x bs=1M count=4 conv=fsync; echo > /layer; dd if=/dev/zero of=/big bs=1M count=3; sync; echo > /volume/done; sleep 1000";
    engine.run("disk", &options, writer);
    engine.run("host", &["--network", "host"], "sleep 1000");
    engine.run("shared", &["--network", &format!("container:{}", own("net"))], "sleep 1000");

    let containers = watch(DEFAULT);
    let (burn, net, disk) = (label("burn"), label("net"), label("disk"));
    eventually("all names, and when all started", || {
        let page = scrape(&containers);
        let names = ["burn", "net", "disk", "host", "shared"];
        names
            .iter()
            .all(|name| !values(&page, "container_start_time_seconds", &[&label(name)]).is_empty())
            .then_some(())
    });
    let (burn_pid, net_pid, disk_pid) = (engine.pid("burn"), engine.pid("net"), engine.pid("disk"));

    eventually("the load of a container that does nothing but run", || {
        values(&scrape(&containers), "container_cpu_load_average_10s", &[&burn])
            .first()
            .copied()
            .filter(|load| *load > 0.1)
    });
    eventually("the CPU limit at work", || {
        sum(&scrape(&containers), "container_cpu_cfs_throttled_periods_total", &[&burn])
            .filter(|periods| *periods > 0.0)
    });
    eventually("echo requests, and as many answers", || {
        let page = scrape(&containers);
        sum(&page, "container_network_receive_packets_total", &[&net]).filter(|packets| *packets > 5.0)
    });
    eventually("the layer's three megabytes", || {
        values(&scrape(&containers), "container_fs_usage_bytes", &[&disk]).first().copied().filter(|used| *used >= 3e6)
    });
    eventually("the end of the writing", || folder.path().join("done").exists().then_some(()));

    let cpu_before = cpu_seconds(burn_pid);
    let network_before = network_bytes(net_pid, "eth0");
    let page = scrape(&containers);
    let network_after = network_bytes(net_pid, "eth0");
    let cpu_after = cpu_seconds(burn_pid);

    // Held back by its limit it may not have run meanwhile, and the sum over CPUs is rounded otherwise than the total.
    let used = sum(&page, "container_cpu_usage_seconds_total", &[&burn]).unwrap();
    between(cpu_before - 1e-6, used, cpu_after + 1e-6, "CPU time");
    let received = one(&page, "container_network_receive_bytes_total", &[&net, "interface=\"eth0\""]);
    between(network_before.0, received, network_after.0, "bytes received");
    let sent = one(&page, "container_network_transmit_bytes_total", &[&net, "interface=\"eth0\""]);
    between(network_before.1, sent, network_after.1, "bytes sent");
    let memory = one(&page, "container_memory_usage_bytes", &[&disk]);
    between(memory - 1e6, memory_bytes(disk_pid), memory + 1e6, "memory of a sleeping container");
    between(20e6, one(&page, "container_memory_cache", &[&burn]), 64e6, "what it holds in memory");
    assert_eq!(one(&page, "container_spec_memory_limit_bytes", &[&burn]), 67_108_864.0);
    assert_eq!(one(&page, "container_spec_cpu_quota", &[&burn]), 10_000.0);
    let throttled: f64 = key_of(&cgroup_file(burn_pid, "cpu", "cpu.stat", "cpu.stat"), "nr_throttled");
    let shown = one(&page, "container_cpu_cfs_throttled_periods_total", &[&burn]);
    between(1.0, shown, throttled, "throttled periods");
    assert_eq!(one(&page, "container_processes", &[&burn]), 1.0);

    let written: Vec<_> = written_bytes(disk_pid).into_iter().map(|(_, bytes)| bytes).collect();
    let mut shown = values(&page, "container_fs_writes_bytes_total", &[&disk]);
    shown.sort_by(f64::total_cmp);
    let mut expected = written.clone();
    expected.sort_by(f64::total_cmp);
    assert_eq!(shown, expected, "block I/O as the kernel counts it");
    if limit.is_some() {
        assert!(written.iter().any(|bytes| *bytes >= 4e6), "{written:?}");
    }

    let started = engine.inspect("burn", "{{.State.StartedAt}}");
    let output = Command::new("date").args(["-d", &started, "+%s"]).output().unwrap();
    let started: f64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    assert_eq!(one(&page, "container_start_time_seconds", &[&burn]), started);
    let identity = [&*burn, "image=\"atalaia-test/busybox:1\"", "container_label_com_example_tier=\"back\"", &id];
    assert_eq!(values(&page, "container_last_seen", &identity).len(), 1, "one series with all labels");

    for family in ["container_network_receive_bytes_total", "container_network_transmit_bytes_total"] {
        assert_eq!(values(&page, family, &[&label("host")]).len(), 0, "the host's network is the host's");
        assert_eq!(values(&page, family, &[&label("shared")]).len(), 0, "a shared network is counted once");
    }
    check_info(&containers, &engine, &id);

    let young = engine.run("young", &[], "sleep 600");
    assert_eq!(containers.info(&young).unwrap().name, own("young"), "asked for before the engine has told of it");

    let usage = engine.docker(&["stats", "--no-stream", "--format", "{{.MemUsage}}", &own("burn")]);
    let told = usage.split("MiB").next().unwrap().parse::<f64>().expect("megabytes") * 1_048_576.0;
    let set = one(&scrape(&containers), "container_memory_working_set_bytes", &[&burn]);
    between(told - 3e6, set, told + 3e6, "working set beside docker stats");

    engine.docker(&["kill", &own("burn")]);
    assert_eq!(
        values(&scrape(&containers), "container_last_seen", &[&burn]).len(),
        0,
        "killed: gone at the next scrape"
    );
    engine.docker(&["start", &own("burn")]);
    eventually("the restarted container with its new start", || {
        let page = scrape(&containers);
        let start = values(&page, "container_start_time_seconds", &[&burn]);
        let usage = sum(&page, "container_cpu_usage_seconds_total", &[&burn]);
        (start.first().is_some_and(|start| *start > started) && usage.is_some_and(|usage| usage < cpu_after))
            .then_some(())
    });
    engine.docker(&["rm", "-f", &own("net")]);
    let page = scrape(&containers);
    assert_eq!(values(&page, "container_last_seen", &[&net]).len(), 0, "removed: gone at the next scrape");
    assert_eq!(one(&page, "container_scrape_error", &[]), 0.0);
}

/// By name, by a prefix of the id, and what is not there.
#[track_caller]
fn check_info(containers: &Containers, engine: &Engine, id: &str) {
    // A tenth of one CPU, as a share of all. A busy machine may give it none at all for the tenth of a second that is
    // looked at.
    let share = 0.1 / std::thread::available_parallelism().unwrap().get() as f64;
    let info = eventually("its share of the machine's time", || {
        let info = containers.info(&own("burn")).unwrap();
        (share * 0.1..=share * 2.5).contains(&info.cpu_usage).then_some(info)
    });
    assert_eq!((info.id.as_str(), info.name.as_str(), info.image.as_str()), (id, &*own("burn"), IMAGE));
    between(20.0, info.memory_usage, 64.0, "MiB");
    assert_eq!(containers.info(&id[..20]).unwrap().id, id);
    assert!(matches!(containers.info("no-such-container"), Err(InfoError::NotFound { .. })));
    assert!(info.timestamp.ends_with('Z') && info.timestamp.contains('T'), "{}", info.timestamp);
    assert_eq!(engine.inspect("burn", "{{.Id}}"), id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_for_want_of_memory_is_seen() {
    let mut engine = Engine::on(DEFAULT);
    engine.run("keep", &["--memory", "16m"], "sleep 1000");
    let containers = watch(DEFAULT);
    let keep = label("keep");
    eventually("the count at zero", || {
        (values(&scrape(&containers), "container_oom_events_total", &[&keep]) == [0.0]).then_some(())
    });
    // Sixty megabytes do not fit. The one that asks for them is killed, the container's own process is not.
    let eaten =
        engine.command(&["exec", &own("keep"), "dd", "if=/dev/zero", "of=/dev/null", "bs=60M", "count=1"]).output();
    assert!(!eaten.unwrap().status.success());
    eventually("the kill", || {
        values(&scrape(&containers), "container_oom_events_total", &[&keep])
            .first()
            .copied()
            .filter(|kills| *kills >= 1.0)
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_container_is_told_of() {
    let mut engine = Engine::on(DEFAULT);
    let before = own("before");
    engine.run("before", &[], "exit 3");
    eventually("its end", || (engine.inspect("before", "{{.State.Status}}") == "exited").then_some(()));
    let containers = watch(DEFAULT);
    let told = |family: &str, name: &str| values(&scrape(&containers), family, &[&label(name)]).first().copied();
    eventually("the end of one that stopped before", || {
        told("container_last_exit_code", "before").filter(|code| *code == 3.0)
    });

    // Its first process asks for more than it may have, and the engine removes the container at once.
    engine.run(
        "hog",
        &["--memory", "16m", "--rm"],
        "read x < /dev/null; sleep 1; exec dd if=/dev/zero of=/dev/null bs=60M count=1",
    );
    eventually("the first state", || {
        let page = scrape(&containers);
        values(&page, "container_state", &[&label("hog"), "state=\"running\""]).first().copied()
    });
    eventually("its exit code", || told("container_last_exit_code", "hog").filter(|code| *code == 137.0));
    eventually("the kill", || told("container_oom_events_total", "hog").filter(|kills| *kills >= 1.0));
    eventually("the removal", || {
        values(&scrape(&containers), "container_state", &[&label("hog"), "state=\"removed\""]).first().copied()
    });
    assert!(told("container_memory_usage_bytes", "hog").is_none());

    engine.run("again", &["--restart", "on-failure:2"], "sleep 1; exit 7");
    eventually("two restarts", || told("container_restarts_total", "again").filter(|count| *count == 2.0));
    let page = eventually("the last end", || {
        let page = scrape(&containers);
        let exited = [&*label("again"), "state=\"exited\""];
        let is_answered = !values(&page, "container_last_oom_killed", &exited[..1]).is_empty();
        (is_answered && values(&page, "container_state", &exited) == [1.0]).then_some(page)
    });
    assert_eq!(one(&page, "container_last_exit_code", &[&label("again")]), 7.0);
    assert_eq!(one(&page, "container_last_oom_killed", &[&label("again")]), 0.0);
    let ran = one(&page, "container_last_finish_time_seconds", &[&label("again")])
        - one(&page, "container_last_start_time_seconds", &[&label("again")]);
    between(0.9, ran, 20.0, "seconds of the last run");
    assert_eq!(engine.inspect("before", "{{.Name}}"), format!("/{before}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_result_of_a_health_check_is_told() {
    let mut engine = Engine::on(DEFAULT);
    let check = ["--health-cmd", "cat /ok", "--health-interval", "1s", "--health-retries", "1"];
    engine.run("checked", &check, "sleep 1000");
    let containers = watch(DEFAULT);
    let is = |state: &str| {
        let state = format!("state=\"{state}\"");
        let found = values(&scrape(&containers), "container_health_status", &[&label("checked"), &state]);
        (found == [1.0]).then_some(())
    };
    eventually("a failed check", || is("unhealthy"));
    engine.docker(&["exec", &own("checked"), "sh", "-c", "echo > /ok"]);
    eventually("a good check", || is("healthy"));
}

/// Docker's containers are containerd's too, in a namespace that it may be told to look into. It is only read.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_of_two_runtimes_is_told_once() {
    // Debian's, the engine's own, and that of provisioning/local/docker-engine.sh.
    let sockets = [
        "/run/containerd/containerd.sock",
        "/var/run/docker/containerd/containerd.sock",
        "/run/atalaia-docker/containerd/containerd.sock",
    ];
    let socket =
        sockets.into_iter().find(|socket| Path::new(socket).exists()).expect("no socket of the engine's containerd");
    let mut engine = Engine::on(DEFAULT);
    let id = engine.run("both", &[], "sleep 1000");
    let containerd =
        Config { containerd: Some(socket.to_owned()), containerd_namespaces: vec!["moby".to_owned()], ..no_runtimes() };
    let alone = Containers::new(containerd.clone()).unwrap();
    alone.start().unwrap();
    let by_id = format!("name=\"{id}\"");
    eventually("containerd's name", || {
        (values(&scrape(&alone), "container_memory_usage_bytes", &[&by_id]).len() == 1).then_some(())
    });
    let both = Containers::new(Config { docker: Some(DEFAULT.to_owned()), ..containerd }).unwrap();
    both.start().unwrap();
    eventually("both runtimes", || {
        (values(&scrape(&both), "atalaia_container_runtime_connected", &[]) == [1.0, 1.0]).then_some(())
    });
    let page = scrape(&both);
    assert_eq!(values(&page, "container_memory_usage_bytes", &[&id]).len(), 1, "once");
    assert_eq!(values(&page, "container_memory_usage_bytes", &[&id, &label("both")]).len(), 1, "by Docker's name");
}

/// An engine of the test's own that lets containers run on without it, on a socket in a folder.
struct PrivateEngine {
    folder: tempfile::TempDir,
    process: Option<Child>,
}

impl PrivateEngine {
    fn new() -> Self {
        let mut engine = Self { folder: tempfile::tempdir().unwrap(), process: None };
        engine.start();
        engine
    }

    fn host(&self) -> String {
        format!("unix://{}/d.sock", self.folder.path().display())
    }

    fn start(&mut self) {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        // In a network namespace of its own: on the machine's it would take away the bridge of the other engine.
        let process = Command::new("unshare")
            .args([
                "--net",
                "--",
                "dockerd",
                "--host",
                &self.host(),
                "--data-root",
                &path("data"),
                "--exec-root",
                &path("x"),
            ])
            .args(["--pidfile", &path("pid"), "--bridge", "none", "--iptables=false", "--ip6tables=false"])
            .args(["--live-restore", "--group", "root"])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("dockerd is missing: run `make setup`");
        self.process = Some(process);
        eventually("an engine of the test's own", || {
            let answer = Command::new("docker").env("DOCKER_HOST", self.host()).arg("version").output().ok()?;
            answer.status.success().then_some(())
        });
    }

    fn stop(&mut self) {
        self.end(Signal::TERM);
    }

    fn end(&mut self, signal: Signal) {
        let Some(mut process) = self.process.take() else { return };
        kill_process(Pid::from_child(&process), signal).unwrap();
        process.wait().unwrap();
    }

    /// Ends it without a moment to say good-bye, and its containerd with it, whose number somebody else may get.
    fn kill(&mut self) {
        self.end(Signal::KILL);
        let number = self.folder.path().join("x/containerd/containerd.pid");
        let containerd = fs::read_to_string(&number).unwrap().trim().parse().ok().and_then(Pid::from_raw).unwrap();
        let _ = kill_process(containerd, Signal::KILL);
        fs::remove_file(number).unwrap();
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        self.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_survive_the_end_of_the_engine_and_its_death() {
    let mut private = PrivateEngine::new();
    let mut engine = Engine::on(&private.host());
    engine.run("live", &["--network", "none"], "sleep 1000");
    let containers = watch(&private.host());
    let live = label("live");
    let is_there = |page: &str| !values(page, "container_memory_usage_bytes", &[&live]).is_empty();
    eventually("the name", || is_there(&scrape(&containers)).then_some(()));

    private.stop();
    eventually("the loss of the engine", || {
        (values(&scrape(&containers), "atalaia_container_runtime_connected", &[]) == [0.0]).then_some(())
    });
    assert!(is_there(&scrape(&containers)), "the container runs on, and so does its name");

    private.start();
    eventually("the engine again", || {
        (values(&scrape(&containers), "atalaia_container_runtime_connected", &[]) == [1.0]).then_some(())
    });
    assert!(is_there(&scrape(&containers)));
    engine.run("second", &["--network", "none"], "sleep 1000");
    eventually("a container that came after the restart", || {
        (!values(&scrape(&containers), "container_memory_usage_bytes", &[&label("second")]).is_empty()).then_some(())
    });
    private.kill();
    eventually("the loss of the killed engine", || {
        (values(&scrape(&containers), "atalaia_container_runtime_connected", &[]) == [0.0]).then_some(())
    });
    assert!(is_there(&scrape(&containers)), "the container runs on, and so does its name");
    private.start();
    eventually("the engine after it was killed", || {
        (values(&scrape(&containers), "atalaia_container_runtime_connected", &[]) == [1.0]).then_some(())
    });
    engine.docker(&["rm", "-f", &own("live")]);
    assert!(!is_there(&scrape(&containers)));
}

/// Switches of a container's tasks, as the kernel counts them for its cgroup, while it is there.
#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_container_are_counted() {
    let mut engine = Engine::on(DEFAULT);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("perf.json");
    fs::write(&file, r#"{"core": {"events": ["context-switches", ["cpu-clock", "page-faults"]]}}"#).unwrap();
    let perf_events = PerfEvents::load(&file, &no_runtimes().root).unwrap();
    let sets = Sets::from_flags("", "perf_event").unwrap();
    let config = Config { sets, docker_only: true, perf_events: perf_events.into(), ..no_runtimes() };
    let containers = Containers::new(Config { docker: Some(DEFAULT.to_owned()), ..config }).unwrap();
    containers.start().unwrap();
    engine.run("counted", &["--network", "none"], "while :; do sleep 0.01; done");
    let counted = label("counted");
    let total = |page: &str, event: &str| {
        let event = format!("event=\"{event}\"");
        values(page, "container_perf_events_total", &[&counted, &event]).first().copied()
    };
    let first = eventually("the container's counters", || {
        let page = scrape(&containers);
        total(&page, "context-switches").filter(|switches| *switches > 0.0).map(|switches| (page, switches))
    });
    eventually("more switches", || {
        let page = scrape(&containers);
        let clock = total(&page, "cpu-clock")?;
        (total(&page, "context-switches")? >= first.1 + 50.0 && clock > 1e6).then_some(())
    });
    assert!(total(&first.0, "page-faults").is_some());
    assert_eq!(values(&first.0, "container_perf_events_scaling_ratio", &[&counted]), [1.0; 3], "none takes turns");
    assert_eq!(sum(&first.0, "atalaia_container_perf_refused_total", &[]), Some(0.0));
    let open = |page: &str| sum(page, "atalaia_container_perf_events_open", &[]).unwrap();
    assert!(open(&first.0) >= 6.0, "of the container and of the root");
    engine.docker(&["rm", "-f", &own("counted")]);
    assert_eq!(values(&scrape(&containers), "container_perf_events_total", &[&counted]).len(), 0);
}
