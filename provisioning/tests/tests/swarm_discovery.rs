//! `dockerswarm_sd_configs` on a real swarm of one machine, beside a real Prometheus that is given the same
//! configuration: every target has the same labels in both.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may")]

mod support;

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use provisioning_parts::{Collector, Prometheus, binary, demo_image, docker, eventually, free_port, get};
use serde_json::Value;
use support::swarm::Swarm;

/// Services and a network of the test's own; gone when it lets go of them.
struct Services {
    /// The value of the label by which they are known, and what their names begin with.
    name: String,
}

impl Services {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { name: format!("atalaia-test-sd-{}-{number}", std::process::id()) }
    }

    fn network(&self) -> String {
        let network = format!("{}-net", self.name);
        docker(&["network", "create", "--driver", "overlay", "--label", "com.example/tier=back", &network]);
        network
    }

    /// A service that does nothing, and its tasks at it.
    #[track_caller]
    fn create(&self, name: &str, options: &[&str]) {
        let (name, label) = (format!("{}-{name}", self.name), format!("atalaia.test={}", self.name));
        let own = ["service", "create", "-d", "--no-resolve-image", "--stop-grace-period", "1s", "--name", &name];
        let rest = ["--label", &label, demo_image(), "while :; do /bin/busybox sleep 1; done"];
        docker(&[&own, options, &rest].concat());
        eventually(60, &format!("{name} runs"), || {
            let shown = docker(&["service", "ls", "--filter", &format!("name={name}"), "--format", "{{.Replicas}}"]);
            let (have, want) = shown.split_once('/').unwrap();
            if have == want { Ok(()) } else { Err(shown) }
        });
    }

    /// One job a role, for the collector and for Prometheus.
    fn configuration(&self, interval: &str) -> String {
        let job = |role: &str, keys: &str| {
            format!(
                "  - job_name: {role}\n    scrape_interval: 1h\n    dockerswarm_sd_configs:\n      - {{host: \
                 'unix:///var/run/docker.sock', role: {role}, refresh_interval: {interval}, {keys}}}\n"
            )
        };
        let services = format!("filters: [{{name: label, values: ['atalaia.test={}']}}]", self.name);
        // Tasks can be filtered by the name of their service, or a part of it.
        let tasks = format!("filters: [{{name: name, values: [{}]}}], port: 9100", self.name);
        let jobs = [job("services", &services), job("tasks", &tasks), job("nodes", "port: 9323")];
        format!("scrape_configs:\n{}", jobs.concat())
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        let engine = |args: &[&str]| {
            let output = Command::new("docker").args(args).output();
            output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default()
        };
        let filter = format!("label=atalaia.test={}", self.name);
        for service in engine(&["service", "ls", "-q", "--filter", &filter]).lines() {
            engine(&["service", "rm", service]);
        }
        // In their own time: first the containers go, and then the network can.
        let (containers, network) = (format!("name={}", self.name), format!("{}-net", self.name));
        for _ in 0..150 {
            if engine(&["ps", "-aq", "--filter", &containers]).is_empty() {
                engine(&["network", "rm", &network]);
                if engine(&["network", "ls", "-q", "--filter", &format!("name={network}")]).is_empty() {
                    break;
                }
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// The discovered labels of all targets of a job.
fn discovered(address: &str, job: &str) -> Result<BTreeSet<String>, String> {
    let answer: Value = serde_json::from_str(&get(address, "/api/v1/targets?state=active")?).unwrap();
    let all = answer["data"]["activeTargets"].as_array().unwrap().iter();
    let of_job = all.map(|target| &target["discoveredLabels"]).filter(|labels| labels["job"] == job);
    Ok(of_job.map(Value::to_string).collect())
}

fn failures(collector: &Collector) -> String {
    let page = get(&collector.address, "/metrics").unwrap();
    let line = page.lines().find(|line| line.starts_with("prometheus_sd_refresh_failures_total"));
    line.unwrap_or_default().to_owned()
}

/// How often the collector has asked the engine.
fn reads(collector: &Collector) -> u64 {
    let page = get(&collector.address, "/metrics").unwrap();
    let mut lines = page.lines();
    let count = lines.find_map(|line| line.strip_prefix("prometheus_sd_refresh_duration_seconds_count{"));
    count.and_then(|rest| rest.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

const NO_FAILURES: &str = "prometheus_sd_refresh_failures_total{mechanism=\"dockerswarm\"} 0";

#[test]
fn targets_have_the_labels_that_prometheus_gives_them() {
    let _swarm = Swarm::init();
    let services = Services::new();
    let network = services.network();
    let (ingress, host) = (free_port().to_string(), free_port().to_string());
    let published = format!("published={ingress},target=80");
    let udp = format!("published={ingress},target=53,protocol=udp");
    let labels = ["--label", "com.example/role=front end", "--container-label", "c.label=é"];
    let options = ["--network", &network, "--replicas", "2", "--publish", &published, "--publish", &udp];
    services.create("vip", &[&labels[..], &options, &["--hostname", "h-{{.Task.Slot}}"]].concat());
    let on_host = format!("mode=host,published={host},target=80");
    services.create("global", &["--mode", "global", "--network", &network, "--publish", &on_host]);
    services.create("dnsrr", &["--network", &network, "--endpoint-mode", "dnsrr"]);
    services.create("lonely", &[]);

    let configuration = services.configuration("1s");
    let prometheus = Prometheus::start(&configuration, &[]);
    let collector = Collector::start(binary("atalaia-collector"), &configuration, &[]);
    // Two addresses of `vip` and one of `global`; two tasks in two networks each, one on the machine and in a network,
    // one in a network; one machine.
    for (job, count) in [("services", 3), ("tasks", 4 + 2 + 1), ("nodes", 1)] {
        eventually(30, &format!("the targets of {job} are the same"), || {
            let (ours, theirs) = (discovered(&collector.address, job)?, discovered(&prometheus.address, job)?);
            let differ: Vec<_> = ours.symmetric_difference(&theirs).collect();
            if differ.is_empty() && ours.len() == count { Ok(()) } else { Err(format!("{}: {differ:#?}", ours.len())) }
        });
    }

    // On the machine's own network a service has no address. Prometheus 2.42 gives all services up for it.
    let before = discovered(&collector.address, "services").unwrap();
    services.create("host", &["--network", "host"]);
    let read = reads(&collector);
    eventually(30, "everything is read again", || {
        let now = reads(&collector);
        if now >= read + 6 { Ok(()) } else { Err(format!("{now} reads, {read} before")) }
    });
    assert_eq!(discovered(&collector.address, "services").unwrap(), before);
    assert_eq!(failures(&collector), NO_FAILURES);
}

/// Long before the interval is over.
#[test]
fn the_engine_tells_what_happens() {
    let _swarm = Swarm::init();
    let services = Services::new();
    let network = services.network();
    let collector = Collector::start(binary("atalaia-collector"), &services.configuration("1h"), &[]);
    eventually(20, "the machine is a target", || {
        if discovered(&collector.address, "nodes")?.len() == 1 { Ok(()) } else { Err(String::new()) }
    });
    services.create("late", &["--network", &network]);
    let state = |want: &str| {
        let tasks = discovered(&collector.address, "tasks")?;
        let found = tasks.iter().any(|task| task.contains(&format!("\"__meta_dockerswarm_task_state\":\"{want}\"")));
        if found { Ok(()) } else { Err(format!("{tasks:?}")) }
    };
    eventually(20, "the task is known to run", || state("running"));
    docker(&["service", "rm", &format!("{}-late", services.name)]);
    eventually(20, "nothing is left of it", || {
        let (tasks, left) = (discovered(&collector.address, "tasks")?, discovered(&collector.address, "services")?);
        if tasks.is_empty() && left.is_empty() { Ok(()) } else { Err(format!("{tasks:?} {left:?}")) }
    });
    assert_eq!(failures(&collector), NO_FAILURES);
}
