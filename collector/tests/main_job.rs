//! The main job, end to end, on real parts: agent and collector, Docker containers with load, two InfluxDB; the
//! right series in the right database and nowhere else, with values that an independent reading confirms.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use provisioning_parts::{Collector, Container, Influx, configuration, eventually, get, prom_query};
use support::{CONTAINER_SERIES, VM_SERIES, collector};

/// Half of every tenth of a second busy, some memory in use, a little traffic to the gateway.
const LOAD: &str = r#"
b=/bin/busybox
gateway=$($b ip route | $b awk '/default/ {print $3}')
$b dd if=/dev/zero of=/tmp/file bs=64k count=64 2>/dev/null
$b ping -i 0.2 -s 1000 "$gateway" >/dev/null 2>&1 &
while :; do i=0; while [ $i -lt 3000 ]; do i=$((i + 1)); done; $b sleep 0.02; done"#;

#[test]
fn eight_series_reach_their_database_with_true_values() {
    let (vms, containers) = (Influx::start(), Influx::start());
    let busy = Container::script("busy", LOAD);
    let idle = Container::script("idle", "while :; do /bin/busybox sleep 1; done");
    let agent = support::agent();
    let before = Used::of(&busy);
    let collector = collector(&configuration(&agent, &vms, &containers, ""), &[]);

    for (influx, wanted) in [(&vms, &VM_SERIES), (&containers, &CONTAINER_SERIES)] {
        eventually(60, "all series arrive", || {
            let there = influx.measurements();
            match wanted.iter().find(|s| !there.iter().any(|t| t == *s)) {
                Some(missing) => Err(format!("{missing} is missing; there: {there:?}")),
                None => Ok(()),
            }
        });
    }
    assert!(vms.measurements().iter().all(|m| m.starts_with("job_instance:")), "{:?}", vms.measurements());
    assert!(containers.measurements().iter().all(|m| m.starts_with("job_container:")));

    no_series_twice(&collector);
    vm_values_are_true(&vms);
    container_values_are_true(&containers, &busy, &idle, &before);
    vm_rates_are_true(&vms, &busy);
    layout_is_prometheus_own(&vms, &containers, &busy);
    the_page_shows_it(&collector);
}

/// With node and container families on two listeners nothing may be scraped twice.
fn no_series_twice(collector: &Collector) {
    for query in ["count(node_cpu_seconds_total) by (cpu, mode, job)", "count(machine_memory_bytes) by (job)"] {
        let rows = prom_query(&collector.address, query).unwrap();
        assert!(!rows.is_empty(), "{query} is empty");
        let jobs: std::collections::BTreeSet<_> = rows.iter().map(|r| r["metric"]["job"].to_string()).collect();
        assert_eq!(jobs.len(), 1, "{query}: {jobs:?}");
        assert!(rows.iter().all(|r| r["value"][1] == "1"), "{query}: {rows:?}");
    }
}

fn meminfo_used() -> f64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let field = |name: &str| -> f64 {
        let line = text.lines().find(|l| l.starts_with(&format!("{name}:"))).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (field("MemTotal") - field("MemFree") - field("Cached")) * 1024.0
}

fn vm_values_are_true(vms: &Influx) {
    // Memory moves while other tests build and run: wait for a moment in which both readings agree.
    eventually(30, "memory agrees with /proc/meminfo", || {
        let before = meminfo_used();
        let (_, recorded) = *vms.points(VM_SERIES[1]).last().ok_or("no point")?;
        let off = (recorded - before).abs() / before;
        if off < 0.05 { Ok(()) } else { Err(format!("recorded {recorded}, /proc/meminfo {before}")) }
    });
    let (_, cpu) = *vms.points(VM_SERIES[0]).last().unwrap();
    assert!((0.0..=100.0).contains(&cpu) && cpu > 0.5, "CPU {cpu} %: a busy container runs, so it cannot be idle");
}

/// Work for the machine while it lives: all CPUs busy, and steady traffic of which much more is sent than received.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// A datagram to the container leaves over the bridge and its veth and is not answered; one over loopback is
    /// both sent and received.
    fn start(container: &str) -> Self {
        let mut load = Self { stop: Arc::default(), threads: Vec::new() };
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            load.spawn(std::hint::spin_loop);
        }
        let (socket, ear) = (UdpSocket::bind("0.0.0.0:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let (container, here) = (format!("{container}:9"), ear.local_addr().unwrap());
        load.spawn(move || {
            for _ in 0..10 {
                // Answers that the port is closed come back as errors of a later send.
                let _ = socket.send_to(&[0; 1400], &container);
            }
            let _ = socket.send_to(&[0; 1400], here);
            let _ = ear.recv(&mut [0; 1500]);
            std::thread::sleep(Duration::from_millis(10));
        });
        load
    }

    fn spawn(&mut self, mut step: impl FnMut() + Send + 'static) {
        let stop = Arc::clone(&self.stop);
        self.threads.push(std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                step();
            }
        }));
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// What the machine has done since it began, read by hand.
struct Machine {
    at: Instant,
    at_ms: i64,
    /// Of all CPUs together, as a share of one second of each.
    idle_seconds: f64,
    /// Of all devices, loopback among them.
    received: f64,
    sent: f64,
}

impl Machine {
    fn read() -> Self {
        let stat = std::fs::read_to_string("/proc/stat").unwrap();
        let cpus: Vec<&str> = stat.lines().filter(|l| l.starts_with("cpu") && !l.starts_with("cpu ")).collect();
        let idle_ticks: f64 = cpus.iter().map(|l| l.split_whitespace().nth(4).unwrap().parse::<f64>().unwrap()).sum();
        let devices = std::fs::read_to_string("/proc/net/dev").unwrap();
        let column = |position: usize| -> f64 {
            let rest = devices.lines().filter_map(|line| line.split_once(':')).map(|(_, rest)| rest);
            rest.map(|rest| rest.split_whitespace().nth(position).unwrap().parse::<f64>().unwrap()).sum()
        };
        Self {
            at: Instant::now(),
            at_ms: SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64,
            // The kernel counts in hundredths of a second for everybody (USER_HZ).
            idle_seconds: idle_ticks / 100.0 / cpus.len() as f64,
            received: column(0),
            sent: column(8),
        }
    }
}

/// Scrapes are a second apart, so that the mean of the recorded rates of ten seconds is what happened in them.
fn vm_rates_are_true(vms: &Influx, busy: &Container) {
    let _load = Load::start(&busy.inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"));
    eventually(120, "ten seconds in which CPU and traffic agree with /proc", || {
        // Both scrapes of the first rate should be later than the beginning.
        std::thread::sleep(Duration::from_secs(3));
        let first = Machine::read();
        std::thread::sleep(Duration::from_secs(10));
        let last = Machine::read();
        let seconds = (last.at - first.at).as_secs_f64();
        let mean = |series: &str| {
            let points = vms.points(series);
            let inside = points.iter().filter(|(at_ms, _)| (first.at_ms..last.at_ms).contains(at_ms));
            let values: Vec<f64> = inside.map(|(_, value)| *value).collect();
            values.iter().sum::<f64>() / values.len() as f64
        };
        let cpu = 100.0 - (last.idle_seconds - first.idle_seconds) / seconds * 100.0;
        let (received, sent) = ((last.received - first.received) / seconds, (last.sent - first.sent) / seconds);
        // Else a mistaken sign, or the one taken for the other, would agree as well.
        if cpu < 65.0 || sent < 2.0 * received || received < 10_000.0 {
            return Err(format!("not the load that was asked for: {cpu} %, {received} and {sent} B/s"));
        }
        for (series, own) in [(VM_SERIES[0], cpu), (VM_SERIES[2], received), (VM_SERIES[3], sent)] {
            let recorded = mean(series);
            if !(0.8..1.25).contains(&(recorded / own)) {
                return Err(format!("{series}: recorded {recorded}, /proc {own}"));
            }
        }
        Ok(())
    });
}

/// Seconds of CPU that a container has used, from its cgroup, on either version.
fn cgroup_cpu_seconds(id: &str) -> f64 {
    let v1 = format!("/sys/fs/cgroup/cpuacct/docker/{id}/cpuacct.usage");
    let v1_joined = format!("/sys/fs/cgroup/cpu,cpuacct/docker/{id}/cpuacct.usage");
    for path in [v1, v1_joined] {
        if let Ok(text) = std::fs::read_to_string(&path) {
            return text.trim().parse::<f64>().unwrap() / 1e9;
        }
    }
    for path in [
        format!("/sys/fs/cgroup/system.slice/docker-{id}.scope/cpu.stat"),
        format!("/sys/fs/cgroup/docker/{id}/cpu.stat"),
    ] {
        if let Ok(text) = std::fs::read_to_string(&path) {
            let line = text.lines().find(|l| l.starts_with("usage_usec")).unwrap();
            return line.split(' ').nth(1).unwrap().parse::<f64>().unwrap() / 1e6;
        }
    }
    panic!("no cgroup of container {id} found");
}

fn cgroup_memory_bytes(id: &str) -> f64 {
    let paths = [
        format!("/sys/fs/cgroup/memory/docker/{id}/memory.usage_in_bytes"),
        format!("/sys/fs/cgroup/system.slice/docker-{id}.scope/memory.current"),
        format!("/sys/fs/cgroup/docker/{id}/memory.current"),
    ];
    let text = paths.iter().find_map(|p| std::fs::read_to_string(p).ok()).expect("no memory cgroup");
    text.trim().parse().unwrap()
}

/// Received bytes of all interfaces but loopback in the network namespace of a process.
fn received_bytes(pid: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap();
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| name.trim() != "lo")
        .map(|(_, rest)| rest.split_whitespace().next().unwrap().parse::<f64>().unwrap())
        .sum()
}

fn newest_of(influx: &Influx, measurement: &str, name: &str) -> Option<f64> {
    let q = format!("SELECT last(value) FROM \"{measurement}\" WHERE \"name\" = '{name}'");
    influx.query(&q).ok()?.first()?["values"][0][1].as_f64()
}

/// What a container has used since it began, read by hand.
struct Used {
    cpu_seconds: f64,
    received_bytes: f64,
}

impl Used {
    fn of(container: &Container) -> Self {
        Self {
            cpu_seconds: cgroup_cpu_seconds(&container.inspect("{{.Id}}")),
            received_bytes: received_bytes(&container.inspect("{{.State.Pid}}")),
        }
    }
}

/// The window of the recorded rates, in seconds. A rate is what was added in it, divided by all of it.
const RATE_WINDOW: f64 = 300.0;

fn container_values_are_true(containers: &Influx, busy: &Container, idle: &Container, before: &Used) {
    let id = busy.inspect("{{.Id}}");
    eventually(20, "container memory agrees with its cgroup", || {
        let own = cgroup_memory_bytes(&id);
        let recorded = newest_of(containers, CONTAINER_SERIES[1], &busy.name).ok_or("no point")?;
        let off = (recorded - own).abs() / own;
        if off < 0.1 { Ok(()) } else { Err(format!("recorded {recorded}, cgroup {own}")) }
    });

    // The collector runs for less than the window of the rates, so what they say was added must be what was added
    // since it began: the first and last second apart, which a scrape may miss or the rate may fill in.
    std::thread::sleep(Duration::from_secs(15));
    let now = Used::of(busy);
    let recorded_cpu = newest_of(containers, CONTAINER_SERIES[0], &busy.name).unwrap();
    let recorded_rx = newest_of(containers, CONTAINER_SERIES[2], &busy.name).unwrap();
    let cpu_ratio = recorded_cpu * RATE_WINDOW / (now.cpu_seconds - before.cpu_seconds);
    let rx_ratio = recorded_rx * RATE_WINDOW / (now.received_bytes - before.received_bytes);
    assert!((0.75..1.25).contains(&cpu_ratio), "CPU: recorded {recorded_cpu}, {cpu_ratio} of what was read by hand");
    assert!((0.75..1.25).contains(&rx_ratio), "received: recorded {recorded_rx}, {rx_ratio} of what was read by hand");

    let idle_cpu = newest_of(containers, CONTAINER_SERIES[0], &idle.name).unwrap();
    assert!(idle_cpu < recorded_cpu / 4.0, "the idle container uses {idle_cpu}, the busy one {recorded_cpu}");
}

/// Measurement = metric name, labels = tags with the external ones among them, field `value`.
fn layout_is_prometheus_own(vms: &Influx, containers: &Influx, busy: &Container) {
    let tags = |influx: &Influx, measurement: &str| -> Vec<String> {
        let series = influx.query(&format!("SHOW TAG KEYS FROM \"{measurement}\"")).unwrap();
        let rows = series[0]["values"].as_array().unwrap().clone();
        rows.iter().map(|row| row[0].as_str().unwrap().to_owned()).collect()
    };
    let vm = tags(vms, VM_SERIES[0]);
    assert!(["__name__", "instance", "monitor"].iter().all(|t| vm.contains(&(*t).to_owned())), "{vm:?}");
    let container = tags(containers, CONTAINER_SERIES[1]);
    assert!(["id", "name", "image", "monitor"].iter().all(|t| container.contains(&(*t).to_owned())), "{container:?}");
    assert!(newest_of(containers, CONTAINER_SERIES[3], &busy.name).is_some());
}

fn the_page_shows_it(collector: &Collector) {
    let page = get(&collector.address, "/").unwrap();
    for wanted in ["nodeexporter", "cadvisor", VM_SERIES[0], CONTAINER_SERIES[0], "/api/v1/prom/write"] {
        assert!(page.contains(wanted), "the page does not name {wanted}");
    }
    assert!(!page.contains("http://cdn") && !page.contains("https://"), "the page must not lean on the internet");
}
