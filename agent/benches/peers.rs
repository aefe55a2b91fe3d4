//! The agent beside Debian's node_exporter, in one run on one machine: CPU per scrape, memory, latency, page size.
//!
//! Each is started on a port of its own, warmed up, and scraped one request after another over one connection with
//! the headers that Prometheus sends. CPU time is the kernel's, from schedstat of all threads, nanoseconds. Figures
//! depend on the machine; the ratios at the end are what to compare.
//!
//! `cargo bench -p atalaia-agent --bench peers`. Needs `apt-get install prometheus-node-exporter`, and Docker for the
//! second part, which is left out where no engine answers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Scrapes that count, and those before that do not.
const SCRAPES: usize = 300;
const WARM_UP: usize = 30;
/// Runs of each peer, taking turns; the run with the median CPU time is shown.
const RUNS: usize = 3;
const CONTAINERS: usize = 20;
const LABEL: &str = "atalaia-bench";
const IMAGE: &str = "atalaia/demo:local";

/// What Prometheus 2.42 asks for.
const ACCEPT: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                      text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

struct Peer {
    name: &'static str,
    program: &'static str,
    flags: &'static [&'static str],
}

const AGENT: &str = env!("CARGO_BIN_EXE_atalaia-agent");

const PEERS: &[Peer] = &[
    Peer { name: "node_exporter", program: "prometheus-node-exporter", flags: &[] },
    Peer {
        name: "node_exporter, our collectors",
        program: "prometheus-node-exporter",
        flags: &[
            "--collector.disable-defaults",
            "--collector.cpu",
            "--collector.diskstats",
            "--collector.filefd",
            "--collector.filesystem",
            "--collector.loadavg",
            "--collector.meminfo",
            "--collector.netdev",
            "--collector.netstat",
            "--collector.os",
            "--collector.pressure",
            "--collector.sockstat",
            "--collector.stat",
            "--collector.textfile",
            "--collector.time",
            "--collector.uname",
            "--collector.vmstat",
        ],
    },
    Peer { name: "agent, node only", program: AGENT, flags: &["--no-collector.container"] },
    Peer { name: "agent, node and containers", program: AGENT, flags: &[] },
];

fn main() {
    println!("\n{SCRAPES} scrapes one after another, gzip, keep-alive; median of {RUNS} runs");
    compare("this machine");
    match Containers::start() {
        Some(_containers) => compare(&format!("this machine with {CONTAINERS} containers")),
        None => println!("no Docker engine answers: the part with {CONTAINERS} containers is left out"),
    }
}

fn compare(title: &str) {
    let mut runs: Vec<Vec<Figures>> = PEERS.iter().map(|_| Vec::new()).collect();
    for _ in 0..RUNS {
        for (peer, figures) in PEERS.iter().zip(&mut runs) {
            figures.push(measure(peer));
        }
    }
    println!("\n{title}");
    println!(
        "{:32} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "", "CPU ms", "RSS MiB", "p50 ms", "p99 ms", "gzip kB", "plain kB", "samples"
    );
    let medians: Vec<_> = runs
        .into_iter()
        .map(|mut figures| {
            figures.sort_by(|a, b| a.cpu_ms.total_cmp(&b.cpu_ms));
            figures.swap_remove(figures.len() / 2)
        })
        .collect();
    for (peer, f) in PEERS.iter().zip(&medians) {
        println!(
            "{:32} {:>8.2} {:>9.1} {:>9.2} {:>9.2} {:>9.1} {:>9.1} {:>9}",
            peer.name, f.cpu_ms, f.rss_mib, f.p50_ms, f.p99_ms, f.gzip_kb, f.plain_kb, f.samples
        );
    }
    let best = &medians[0];
    for (peer, f) in PEERS.iter().zip(&medians).skip(2) {
        println!(
            "{}: {:.2} of node_exporter's CPU, {:.2} of its memory, {:.2} of its latency",
            peer.name,
            f.cpu_ms / best.cpu_ms,
            f.rss_mib / best.rss_mib,
            f.p50_ms / best.p50_ms
        );
    }
}

struct Figures {
    cpu_ms: f64,
    rss_mib: f64,
    p50_ms: f64,
    p99_ms: f64,
    gzip_kb: f64,
    plain_kb: f64,
    samples: usize,
}

fn measure(peer: &Peer) -> Figures {
    let running = Running::start(peer);
    let mut connection = Connection::open(&running.address);
    let mut body = Vec::new();
    for _ in 0..WARM_UP {
        body = connection.scrape();
    }
    let mut latencies = Vec::with_capacity(SCRAPES);
    let before = running.cpu();
    for _ in 0..SCRAPES {
        let started = Instant::now();
        body = connection.scrape();
        latencies.push(started.elapsed());
    }
    let cpu = running.cpu() - before;
    latencies.sort();
    let mut plain = String::new();
    flate2::read::GzDecoder::new(body.as_slice()).read_to_string(&mut plain).unwrap();
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    Figures {
        cpu_ms: ms(cpu) / SCRAPES as f64,
        rss_mib: running.rss_kib() / 1024.0,
        p50_ms: ms(latencies[SCRAPES / 2]),
        p99_ms: ms(latencies[SCRAPES * 99 / 100]),
        gzip_kb: body.len() as f64 / 1e3,
        plain_kb: plain.len() as f64 / 1e3,
        samples: plain.lines().filter(|line| !line.starts_with('#')).count(),
    }
}

/// A peer that listens. It is killed when dropped.
struct Running {
    process: Child,
    address: String,
}

impl Running {
    fn start(peer: &Peer) -> Self {
        let mut process = Command::new(peer.program)
            .arg("--web.listen-address=127.0.0.1:0")
            .args(peer.flags)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|_| panic!("no {}: apt-get install prometheus-node-exporter", peer.program));
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let line = log.find(|line| line.to_lowercase().contains("listening") && line.contains("address=127.0.0.1:"));
        let line = line.unwrap_or_else(|| panic!("{} did not say where it listens", peer.name));
        let address = line.split("address=").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        // A full pipe would stop it.
        std::thread::spawn(move || log.for_each(drop));
        Self { process, address }
    }

    fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap().flatten();
        let nanoseconds = tasks
            .filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok())
            .filter_map(|stat| stat.split(' ').next()?.parse::<u64>().ok());
        Duration::from_nanos(nanoseconds.sum())
    }

    fn rss_kib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connection that is used for one scrape after another.
struct Connection {
    stream: BufReader<TcpStream>,
    request: String,
}

impl Connection {
    fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let request = format!(
            "GET /metrics HTTP/1.1\r\nHost: {address}\r\nAccept: {ACCEPT}\r\nAccept-Encoding: gzip\r\n\
             User-Agent: Prometheus/2.42.0\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n"
        );
        Self { stream: BufReader::new(stream), request }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// The body as sent, compressed.
    fn scrape(&mut self) -> Vec<u8> {
        self.stream.get_mut().write_all(self.request.as_bytes()).unwrap();
        let status = self.line();
        assert!(status.starts_with("HTTP/1.1 200"), "{status}");
        let mut length = None;
        loop {
            let header = self.line().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            length = header.strip_prefix("content-length: ").map(|n| n.parse().unwrap()).or(length);
        }
        if let Some(length) = length {
            return self.take(length);
        }
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.line(), 16).unwrap();
            body.extend(self.take(size));
            self.line();
            if size == 0 {
                return body;
            }
        }
    }
}

/// Containers that do nothing, with an interface each. They are removed when dropped.
struct Containers;

impl Containers {
    fn start() -> Option<Self> {
        if !docker(&["version", "--format", "{{.Server.Version}}"]) {
            return None;
        }
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let image = Command::new("provisioning/local/demo-container.sh").arg("image").current_dir(root).status();
        assert!(image.is_ok_and(|status| status.success()), "the image {IMAGE} cannot be built");
        let containers = Self;
        for _ in 0..CONTAINERS {
            let flags = ["run", "-d", "--label", LABEL, IMAGE, "exec /bin/busybox sleep 3600"];
            assert!(docker(&flags), "a container cannot be started");
        }
        Some(containers)
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        let list = Command::new("docker").args(["ps", "-aq", "--filter", &format!("label={LABEL}")]).output();
        let ids = list.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let mut flags = vec!["rm", "-f"];
        flags.extend(ids.split_whitespace());
        if flags.len() > 2 {
            docker(&flags);
        }
    }
}

fn docker(flags: &[&str]) -> bool {
    let status = Command::new("docker").args(flags).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
