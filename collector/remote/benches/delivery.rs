//! What delivery costs: CPU time for each sample from `forward` to the acknowledgement, memory, and bytes.
//!
//! `cargo bench -p collector-remote` runs it: 40,000 series of a usual length, scraped in batches of 2,000, at
//! 200,000 samples/s, to a receiver in a process of its own that answers 204 to everything.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::expect_used,
    missing_docs,
    reason = "a bench may"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use collector_model::{Clock, Forward, Labels, RefSample, SeriesRef};
use collector_remote::{DestinationConfig, Destinations, InfluxWriteConfig, Options, RemoteWriteConfig};
use prometheus_client::registry::Registry;

const SERIES: usize = 40_000;
const BATCH: usize = 2_000;
const ROUNDS: usize = 50;
const PACE: Duration = Duration::from_millis(10);

struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
    }
}

fn main() {
    if std::env::args().any(|arg| arg == "receive") {
        return receive();
    }
    let labels: Vec<Labels> = (0..SERIES).map(series).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let _guard = runtime.enter();
    println!("{:<44} {:>12} {:>12} {:>12} {:>10}", "", "µs CPU", "B on disk", "B on wire", "MiB");
    println!("{:<44} {:>12} {:>12} {:>12} {:>10}", "", "/sample", "/sample", "/sample", "more");
    let drop_all = "write_relabel_configs: [{source_labels: [__name__], regex: 'job_instance:.*', action: keep}]";
    measure(&labels, "remote write, all kept", |url| remote_write(url, ""), &Labels::empty());
    let external = Labels::from_pairs([("monitor", "docker-host-alpha")]);
    measure(&labels, "remote write, all kept, external label", |url| remote_write(url, ""), &external);
    measure(&labels, "remote write, all dropped by a rule", |url| remote_write(url, drop_all), &external);
    measure(&labels, "line protocol with gzip, all kept", |url| influxdb(url, "gzip: true"), &Labels::empty());
    measure(&labels, "line protocol, all kept", |url| influxdb(url, "gzip: false"), &Labels::empty());
}

fn series(number: usize) -> Labels {
    Labels::from_pairs([
        ("__name__", format!("container_network_receive_packets_dropped_total_{}", number % 200)),
        ("id", format!("/docker/4be9f1c3a7e64d0c9d5cb5bbf6b0f4f2d1{:06}", number / 200)),
        ("image", "registry.example:5000/team/service:1.4.2".to_owned()),
        ("instance", format!("10.0.0.{}:8080", number / 2_000)),
        ("interface", format!("eth{}", number % 3)),
        ("job", "cadvisor".to_owned()),
        ("name", format!("stack_service.{}", number / 200)),
    ])
}

fn remote_write(url: &str, more: &str) -> DestinationConfig {
    serde_yaml_ng::from_str::<RemoteWriteConfig>(&format!("{{url: '{url}', {more}}}")).unwrap().into()
}

fn influxdb(url: &str, more: &str) -> DestinationConfig {
    let yaml = format!("{{url: '{url}', bucket: b, version: 2, {more}}}");
    serde_yaml_ng::from_str::<InfluxWriteConfig>(&yaml).unwrap().into()
}

fn measure(labels: &[Labels], what: &str, config: impl Fn(&str) -> DestinationConfig, external: &Labels) {
    let mut receiver =
        Command::new(std::env::current_exe().unwrap()).arg("receive").stdout(Stdio::piped()).spawn().unwrap();
    let mut address = String::new();
    BufReader::new(receiver.stdout.as_mut().unwrap()).read_line(&mut address).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        directory: directory.path().to_owned(),
        user_agent: "bench".to_owned(),
        clock: Arc::new(SystemClock),
    };
    let memory = rss();
    let mut registry = Registry::default();
    let configs = [config(&format!("http://{}/write", address.trim()))];
    let destinations = Destinations::open(options, external, &configs, &mut registry).unwrap();
    let find = |handle: SeriesRef| labels.get(usize::try_from(handle.0).unwrap()).cloned();
    // Once to make the series known, and once more for the pace.
    let mut disk = 0;
    let round = |round: usize| {
        for first in (0..SERIES).step_by(BATCH) {
            let next = Instant::now() + PACE;
            let batch: Vec<RefSample> = (first..first + BATCH)
                .map(|number| RefSample {
                    series: SeriesRef(number as u64),
                    timestamp_ms: 1_700_000_000_000 + (round * 1_000 + first / BATCH * 7) as i64,
                    value: if number % 3 == 0 { number as f64 / 7.0 } else { (number * round) as f64 },
                })
                .collect();
            destinations.forward(&batch, &find);
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    };
    round(0);
    drained(&destinations);
    let warm = destinations.snapshot()[0].clone();
    let begun = cpu();
    for number in 1..=ROUNDS {
        round(number);
        disk = disk.max(destinations.snapshot()[0].disk_bytes);
    }
    drained(&destinations);
    let used = cpu() - begun;
    let status = destinations.snapshot()[0].clone();
    let samples = (SERIES * ROUNDS) as f64;
    let sent = (status.samples_sent - warm.samples_sent).max(1) as f64;
    println!(
        "{what:<44} {:>12.3} {:>12} {:>12.1} {:>10.1}",
        used.as_secs_f64() * 1e6 / samples,
        if disk == 0 { "0".to_owned() } else { format!("{:.1}", written_per_sample(labels)) },
        (status.bytes_sent - warm.bytes_sent) as f64 / sent,
        rss() - memory,
    );
    receiver.kill().unwrap();
    receiver.wait().unwrap();
}

/// Bytes that the queue takes for each sample when nothing is acknowledged: ten rounds, the labels among them.
fn written_per_sample(labels: &[Labels]) -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        directory: directory.path().to_owned(),
        user_agent: "bench".to_owned(),
        clock: Arc::new(SystemClock),
    };
    let config = remote_write("http://127.0.0.1:1/", "");
    let destinations = Destinations::open(options, &Labels::empty(), &[config], &mut Registry::default()).unwrap();
    for round in 0..10_usize {
        for first in (0..SERIES).step_by(BATCH) {
            let batch: Vec<RefSample> = (first..first + BATCH)
                .map(|number| RefSample {
                    series: SeriesRef(number as u64),
                    timestamp_ms: 1_700_000_000_000 + (round * 1_000) as i64,
                    value: if number % 3 == 0 { number as f64 / 7.0 } else { (number * round) as f64 },
                })
                .collect();
            destinations.forward(&batch, &|handle| labels.get(usize::try_from(handle.0).unwrap()).cloned());
        }
    }
    destinations.snapshot()[0].disk_bytes as f64 / (10 * SERIES) as f64
}

fn drained(destinations: &Destinations) {
    while destinations.snapshot()[0].pending_samples > 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// CPU time of this process, all threads.
fn cpu() -> Duration {
    let mut total = Duration::ZERO;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        total += Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap());
    }
    total
}

/// Resident memory, in MiB.
fn rss() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// Answers 204 to everything, until it is killed.
fn receive() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    std::io::stdout().flush().unwrap();
    for stream in listener.incoming() {
        std::thread::spawn(move || answer(stream.unwrap()));
    }
}

fn answer(stream: TcpStream) {
    let mut reader = BufReader::with_capacity(1 << 16, stream.try_clone().unwrap());
    let mut writer = stream;
    let mut body = Vec::new();
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        body.resize(length, 0);
        if reader.read_exact(&mut body).is_err() || writer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").is_err() {
            return;
        }
    }
}
