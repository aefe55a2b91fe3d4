//! Containers come and go while the agent is scraped each second, with all sets and most collectors on: it neither
//! fails nor keeps anything of them, and what stays has no gap.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod running;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use agent_exposition::Format;
use provisioning_parts::{Container, demo_image};
use running::{Agent, samples};

const FLAGS: &[&str] = &[
    "--docker=unix:///var/run/docker.sock",
    "--enable_metrics=cpu,cpuLoad,percpu,memory,memory_numa,hugetlb,cpuset,network,disk,diskIO,process,tcp,advtcp,udp,\
     sched,referenced_memory,cpu_topology,resctrl,oom_event,pressure",
    // Those that look at network devices, which come and go with containers, and at processes.
    "--collector.ethtool",
    "--collector.lnstat",
    "--collector.network_route",
    "--collector.processes",
    "--collector.qdisc",
    "--collector.tcpstat",
    "--collector.interrupts",
    "--collector.mountstats",
];
/// Families that threads beside the scrapes find, each in its own time.
const LATE: [&str; 4] = [
    "container_file_descriptors",
    "container_referenced_bytes",
    "container_cpu_schedstat_run_periods_total",
    "container_fs_usage_bytes",
];
/// How many make and remove containers side by side.
const WORKERS: usize = 4;
/// A wait for what the machine, busy with all this, does in its own time.
const PATIENCE: Duration = Duration::from_secs(90);
/// Connections to the engine and of scrapes that are just under way.
const CONNECTIONS: usize = 12;

/// What a process holds.
#[derive(Clone, Copy, Debug, Default)]
struct Footprint {
    descriptors: usize,
    /// Those of files that are not there any more.
    stale: usize,
    /// Those of no file: sockets, pipes and the like.
    nameless: usize,
    threads: usize,
    resident_kib: u64,
}

impl Footprint {
    fn of(pid: u32) -> Self {
        let entries = |what| std::fs::read_dir(format!("/proc/{pid}/{what}")).unwrap().flatten();
        let targets: Vec<_> = entries("fd").filter_map(|entry| std::fs::read_link(entry.path()).ok()).collect();
        let (files, nameless): (Vec<_>, Vec<_>) = targets.iter().partition(|target| target.is_absolute());
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        Self {
            descriptors: targets.len(),
            stale: files.iter().filter(|file| is_gone(file)).count(),
            nameless: nameless.len(),
            threads: entries("task").count(),
            resident_kib: resident.unwrap().parse().unwrap(),
        }
    }

    fn at_most(&mut self, other: Self) {
        self.descriptors = self.descriptors.max(other.descriptors);
        self.stale = self.stale.max(other.stale);
        self.nameless = self.nameless.max(other.nameless);
        self.threads = self.threads.max(other.threads);
        self.resident_kib = self.resident_kib.max(other.resident_kib);
    }
}

/// Whether a descriptor's file is not there any more. That it is called deleted does not say so: the kernel forgets
/// names in /proc now and then, and makes them anew.
fn is_gone(file: &Path) -> bool {
    let name = file.to_string_lossy();
    Path::new(name.strip_suffix(" (deleted)").unwrap_or(&name)).symlink_metadata().is_err()
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { descriptors, stale, nameless, threads, resident_kib } = self;
        write!(f, "{descriptors:>5} descriptors ({stale} stale, {nameless} sockets and pipes), {threads} threads, ")?;
        write!(f, "{resident_kib:>6} KiB resident")
    }
}

/// What was seen of the scrapes so far.
#[derive(Default)]
struct Seen {
    scrapes: usize,
    slowest: Duration,
    /// The collector that took the longest in the slowest scrape, and for how many seconds.
    culprit: (String, f64),
    peak: Footprint,
    most_containers: usize,
    faults: Vec<String>,
    counters: BTreeMap<String, f64>,
}

/// An agent, and containers that stay.
struct Churn {
    agent: Agent,
    stay: Vec<Container>,
    /// Series that every page must have.
    steady: BTreeSet<String>,
    seen: Mutex<Seen>,
}

impl Churn {
    fn begin() -> Self {
        let scripts =
            ["sleep 10000", "while :; do sleep 0.2; done", "while :; do ping -c 1 -W 1 127.0.0.1; sleep 1; done"];
        let stay: Vec<_> = scripts.iter().map(|script| Container::script("churn-stays", script)).collect();
        let agent = Agent::start(FLAGS);
        let mut churn = Self { agent, stay, steady: BTreeSet::new(), seen: Mutex::default() };
        // Some have come and gone before anything is compared, so that all memory of the first time is there.
        come_and_go(WORKERS);
        churn.await_quiet("what is read of the containers that stay");
        let page = churn.page().into_iter().filter(|(series, value)| churn.is_steady(series, *value));
        churn.steady = page.map(|(series, _)| series).collect();
        assert!(churn.steady.len() > 300, "{} series that stay", churn.steady.len());
        churn
    }

    fn page(&self) -> Vec<(String, f64)> {
        // With time enough on a machine that is busy with everything else.
        let answer = self.agent.get_with("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "20")]);
        assert_eq!(answer.status, 200);
        samples(Format::Text004, &answer.body)
    }

    /// Whether a series is of what stays: the containers, the machine, the loopback device, the collectors that work.
    fn is_steady(&self, series: &str, value: f64) -> bool {
        if series.starts_with("node_scrape_collector_success{") && value != 1.0 {
            return false;
        }
        let is_of_ours = self.stay.iter().any(|container| series.contains(&format!("name=\"{}\"", container.name)));
        let starts = ["node_cpu_seconds_total{", "node_memory_", "node_load", "node_scrape_collector_", "machine_"];
        is_of_ours || starts.iter().any(|start| series.starts_with(start)) || series.contains("device=\"lo\"")
    }

    /// Waits until those that stay are on the page with all that is known of them, and no others of this test.
    #[track_caller]
    fn await_quiet(&self, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let page = self.page();
            let has = |family: &str, name: &str| {
                let name = format!("name=\"{name}\"");
                page.iter().any(|(series, _)| series.starts_with(family) && series.contains(&name))
            };
            let are_all = self.stay.iter().all(|container| LATE.iter().all(|family| has(family, &container.name)));
            if are_all && alive(&page) == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "waited in vain for: {what}");
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// One scrape, looked at.
    fn scrape(&self) {
        let begun = Instant::now();
        let page = self.page();
        let took = begun.elapsed();
        let footprint = Footprint::of(self.agent.process.pid());
        let mut seen = self.seen.lock().unwrap();
        seen.scrapes += 1;
        if took > seen.slowest {
            let durations =
                page.iter().filter(|(series, _)| series.starts_with("node_scrape_collector_duration_seconds"));
            seen.culprit = durations.max_by(|a, b| a.1.total_cmp(&b.1)).cloned().unwrap_or_default();
            seen.slowest = took;
        }
        seen.peak.at_most(footprint);
        seen.most_containers = seen.most_containers.max(alive(&page));
        let number = seen.scrapes;
        let names: HashSet<_> = page.iter().map(|(series, _)| series.as_str()).collect();
        let mut faults = Vec::new();
        if names.len() < page.len() {
            faults.push(format!("scrape {number}: {} series stand there twice", page.len() - names.len()));
        }
        faults.extend(
            self.steady
                .iter()
                .filter(|series| !names.contains(series.as_str()))
                .map(|series| format!("scrape {number}: gap in {series}")),
        );
        for (series, value) in page.iter().filter(|(series, _)| self.steady.contains(series)) {
            let is_counter = series.split('{').next().is_some_and(|name| name.ends_with("_total"));
            if is_counter && seen.counters.insert(series.clone(), *value).is_some_and(|before| before > *value) {
                faults.push(format!("scrape {number}: {series} falls to {value}"));
            }
            if series.starts_with("node_scrape_collector_success") && *value != 1.0 {
                faults.push(format!("scrape {number}: {series} is {value}"));
            }
        }
        seen.faults.extend(faults);
    }

    /// Scrapes each second while containers come and go.
    fn round(&self, containers: usize) {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let next = Instant::now() + Duration::from_secs(1);
                    self.scrape();
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                }
            });
            // A failure has to end the other thread too, before it is told.
            let result = std::panic::catch_unwind(|| come_and_go(containers));
            is_over.store(true, Ordering::Relaxed);
            result.unwrap();
        });
    }

    /// What the agent holds once it is at rest: nothing of what went, and no more connections than these.
    #[track_caller]
    fn rest(&self, most_nameless: usize) -> Footprint {
        self.await_quiet("the end of those that went");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let footprint = Footprint::of(self.agent.process.pid());
            if footprint.stale == 0 && footprint.nameless <= most_nameless {
                return footprint;
            }
            assert!(Instant::now() < deadline, "not at rest: {footprint}");
            std::thread::sleep(Duration::from_secs(1));
            self.page();
        }
    }

    /// Lets so many come and go in each round; gives what the agent held before, and at rest after each.
    #[track_caller]
    fn run(mut self, rounds: usize, containers: usize) -> Vec<Footprint> {
        let before = self.rest(usize::MAX);
        println!("before:          {before}");
        let mut rests = vec![before];
        for round in 1..=rounds {
            self.round(containers);
            let rest = self.rest(before.nameless + CONNECTIONS);
            println!("{:>4} have gone:   {rest}", round * containers);
            rests.push(rest);
        }
        let seen = self.seen.into_inner().unwrap();
        println!("at most:         {}", seen.peak);
        println!(
            "{} scrapes, the slowest in {:?} ({} {:.3} s); {} series had to be there each time; up to {} containers at once",
            seen.scrapes,
            seen.slowest,
            seen.culprit.0,
            seen.culprit.1,
            self.steady.len(),
            seen.most_containers,
        );
        let first: Vec<_> = seen.faults.iter().take(20).collect();
        assert!(first.is_empty(), "{} faults, the first of which are: {first:#?}", seen.faults.len());
        assert!(seen.most_containers > 3 && seen.peak.descriptors > before.descriptors, "nothing was seen to come");
        self.agent.process.terminate();
        let log = self.agent.process.log();
        assert!(!log.contains("panicked"), "{log}");
        rests
    }
}

/// How many containers of this test that came a page shows as running.
fn alive(page: &[(String, f64)]) -> usize {
    let is_alive = |series: &str| series.starts_with("container_last_seen{") && series.contains(&own("churn-comes"));
    page.iter().filter(|(series, _)| is_alive(series)).count()
}

/// How the names of this test's containers begin.
fn own(purpose: &str) -> String {
    format!("name=\"atalaia-test-{purpose}-{}-", std::process::id())
}

/// Makes containers and removes them, some that run and some that have ended; a few of each at a time.
fn come_and_go(count: usize) {
    let image = demo_image();
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                for batch in 0..count.div_ceil(WORKERS * 5) {
                    let size = (count / WORKERS - batch * 5).min(5);
                    let run = |number: usize| {
                        let script = if number % 3 == 2 { "exit 3" } else { "sleep 10000" };
                        Container::run("churn-comes", &["--memory=32m"], image, &[script])
                    };
                    drop((0..size).map(run).collect::<Vec<_>>());
                }
            });
        }
    });
}

#[test]
fn forty_containers_come_and_go() {
    let rests = Churn::begin().run(1, 40);
    let grown = rests[1].resident_kib.saturating_sub(rests[0].resident_kib);
    assert!(grown < 8 << 10, "{grown} KiB more after forty containers");
}

#[test]
#[ignore = "takes minutes: `make churn` runs it"]
fn three_hundred_containers_come_and_go() {
    let rests = Churn::begin().run(3, 100);
    // The last two hundred that stopped are remembered for a while: from there on nothing may grow.
    let grown = rests[3].resident_kib.saturating_sub(rests[2].resident_kib);
    assert!(grown < 2 << 10, "{grown} KiB more for the third hundred");
}
