//! The collector beside Prometheus and vmagent: the same targets, the same receiver, one run.
//!
//! `make bench`, or `cargo bench -p atalaia-collector --bench peers -- [targets] [series per target] [seconds]
//! [contender…]`.
//! Every contender scrapes the same synthetic pages each second and remote-writes all of it to one receiver here,
//! which acknowledges and counts. Reported are CPU seconds per million samples delivered, resident memory at the
//! end, bytes on the wire per sample, and what it all is relative to the best peer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use collector_remote::prompb::WriteRequest;
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

struct Load {
    targets: usize,
    series: usize,
    seconds: u64,
}

/// What the receiver has seen.
#[derive(Default)]
struct Received {
    samples: AtomicU64,
    bytes: AtomicU64,
}

struct Contender {
    name: &'static str,
    program: PathBuf,
    args: Vec<String>,
}

struct Measured {
    name: &'static str,
    cpu_per_million: f64,
    resident_mib: f64,
    bytes_per_sample: f64,
    delivered_ratio: f64,
}

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let number = |i: usize, default: u64| numbers.get(i).copied().unwrap_or(default);
    let load = Load { targets: number(0, 20) as usize, series: number(1, 2_000) as usize, seconds: number(2, 60) };
    println!(
        "load: {} targets x {} series each second, everything remote-written, {} s each after 15 s of warming up",
        load.targets, load.series, load.seconds
    );
    let exporter = serve_pages(&load);
    let received = Arc::new(Received::default());
    let receiver = serve_receiver(Arc::clone(&received));
    let dir = tempfile::tempdir().unwrap();
    let named: Vec<String> = std::env::args().skip(1).filter(|a| a.starts_with(char::is_alphabetic)).collect();
    let results: Vec<Measured> = contenders(dir.path(), &load, exporter, receiver)
        .into_iter()
        .filter(|contender| named.is_empty() || named.iter().any(|name| name == contender.name))
        .map(|contender| measure(&contender, &load, &received))
        .collect();
    report(&results);
}

fn contenders(dir: &Path, load: &Load, exporter: u16, receiver: u16) -> Vec<Contender> {
    let mut config = String::from("global: { scrape_interval: 1s, scrape_timeout: 1s }\nscrape_configs:\n");
    for target in 0..load.targets {
        write!(
            config,
            "  - job_name: load{target}\n    metrics_path: /metrics/{target}\n    static_configs: [{{ targets: ['127.0.0.1:{exporter}'] }}]\n"
        )
        .unwrap();
    }
    let scrape_only = dir.join("scrape.yml");
    std::fs::write(&scrape_only, &config).unwrap();
    let write_url = format!("http://127.0.0.1:{receiver}/api/v1/write");
    writeln!(config, "remote_write: [{{ url: '{write_url}' }}]").unwrap();
    let full = dir.join("prometheus.yml");
    std::fs::write(&full, &config).unwrap();
    let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    vec![
        Contender {
            name: "prometheus",
            program: "/usr/bin/prometheus".into(),
            args: vec![
                format!("--config.file={}", full.display()),
                format!("--storage.tsdb.path={}", dir.join("prometheus").display()),
                format!("--web.listen-address=127.0.0.1:{}", port()),
            ],
        },
        Contender {
            name: "vmagent",
            program: "/usr/bin/vmagent".into(),
            args: vec![
                format!("-promscrape.config={}", scrape_only.display()),
                format!("-remoteWrite.url={write_url}"),
                format!("-remoteWrite.tmpDataPath={}", dir.join("vmagent").display()),
                format!("-httpListenAddr=127.0.0.1:{}", port()),
            ],
        },
        Contender {
            name: "atalaia",
            program: env!("CARGO_BIN_EXE_atalaia-collector").into(),
            args: vec![
                format!("--config.file={}", full.display()),
                format!("--storage.tsdb.path={}", dir.join("atalaia").display()),
                "--web.listen-address=127.0.0.1:0".into(),
            ],
        },
    ]
}

fn measure(contender: &Contender, load: &Load, received: &Received) -> Measured {
    let mut child = Command::new(&contender.program)
        .args(&contender.args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("{}: {e}; make setup-test installs it", contender.program.display()));
    std::thread::sleep(Duration::from_secs(15));
    let pid = child.id();
    let (cpu, samples, bytes) = snapshot(pid, received);
    let began = Instant::now();
    std::thread::sleep(Duration::from_secs(load.seconds));
    let (cpu_end, samples_end, bytes_end) = snapshot(pid, received);
    let elapsed = began.elapsed().as_secs_f64();
    let resident = resident_mib(pid);
    stop(&mut child);
    let delivered = (samples_end - samples) as f64;
    // Pages carry the series; each scrape adds the report series, which all contenders deliver too.
    let expected = load.targets as f64 * load.series as f64 * elapsed;
    let result = Measured {
        name: contender.name,
        cpu_per_million: (cpu_end - cpu) / delivered * 1e6,
        resident_mib: resident,
        bytes_per_sample: (bytes_end - bytes) as f64 / delivered,
        delivered_ratio: delivered / expected,
    };
    println!("{}: {:.0} samples/s delivered", result.name, delivered / elapsed);
    result
}

fn snapshot(pid: u32, received: &Received) -> (f64, u64, u64) {
    (cpu_seconds(pid), received.samples.load(Ordering::Relaxed), received.bytes.load(Ordering::Relaxed))
}

/// CPU time of all threads, from the scheduler's own nanosecond counters.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the contender ended early");
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

fn stop(child: &mut Child) {
    let _ = Command::new("kill").arg(child.id().to_string()).status();
    let deadline = Instant::now() + Duration::from_secs(20);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn report(results: &[Measured]) {
    let peers = || results.iter().filter(|r| r.name != "atalaia");
    let best = |of: fn(&Measured) -> f64| peers().map(of).fold(f64::INFINITY, f64::min);
    println!("\n{:<12} {:>18} {:>12} {:>14} {:>10}", "", "CPU-s per million", "RSS MiB", "wire B/sample", "delivered");
    for r in results {
        println!(
            "{:<12} {:>18.2} {:>12.1} {:>14.1} {:>9.1}%",
            r.name,
            r.cpu_per_million,
            r.resident_mib,
            r.bytes_per_sample,
            r.delivered_ratio * 100.0
        );
    }
    let Some(ours) = results.iter().find(|r| r.name == "atalaia").filter(|_| results.len() > 1) else { return };
    println!(
        "\nrelative to the best peer: CPU {:.2}, RSS {:.2}, wire {:.2}",
        ours.cpu_per_million / best(|r| r.cpu_per_million),
        ours.resident_mib / best(|r| r.resident_mib),
        ours.bytes_per_sample / best(|r| r.bytes_per_sample)
    );
}

/// Serves `/metrics/N`: counters and gauges with labels as exporters have them, gzip when asked for.
fn serve_pages(load: &Load) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let series = load.series;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve_connection(stream, |path, _body| page_response(path, series)));
        }
    });
    port
}

fn page_response(path: &str, series: usize) -> Vec<u8> {
    let target: usize = path.rsplit('/').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    let mut page = String::with_capacity(series * 110);
    for family in 0..series / 20 {
        let kind = if family % 3 == 0 { "gauge" } else { "counter" };
        let suffix = if kind == "gauge" { "bytes" } else { "total" };
        writeln!(page, "# HELP load_family_{family}_{suffix} A synthetic family.").unwrap();
        writeln!(page, "# TYPE load_family_{family}_{suffix} {kind}").unwrap();
        for member in 0..20 {
            let steady = (target * 7919 + family * 104_729 + member * 31) as u64;
            write!(
                page,
                "load_family_{family}_{suffix}{{cpu=\"{}\",device=\"disk{}\",mode=\"mode{member}\",zone=\"europe-{}\"}} ",
                member % 4,
                member % 7,
                family % 5
            )
            .unwrap();
            let value = match kind {
                "gauge" => ((now / 97 * (steady % 13 + 1)) % 1_000_003).to_string(),
                _ if member % 4 == 0 => format!("{:.2}", (now % 10_000_000) as f64 / 1000.0 * (steady % 9) as f64),
                _ => (now / 1000 * (steady % 17) + steady).to_string(),
            };
            writeln!(page, "{value}").unwrap();
        }
    }
    let mut gzip = GzEncoder::new(Vec::new(), Compression::new(3));
    gzip.write_all(page.as_bytes()).unwrap();
    let body = gzip.finish().unwrap();
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(&body);
    answer
}

/// Takes remote writes, counts samples and bytes, and acknowledges.
fn serve_receiver(received: Arc<Received>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let received = Arc::clone(&received);
            std::thread::spawn(move || {
                serve_connection(stream, |_path, body| {
                    received.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
                    if let Ok(plain) = snap::raw::Decoder::new().decompress_vec(body)
                        && let Ok(request) = WriteRequest::decode(plain.as_slice())
                    {
                        let samples = request.timeseries.iter().map(|s| s.samples.len() as u64).sum();
                        received.samples.fetch_add(samples, Ordering::Relaxed);
                    }
                    b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()
                });
            });
        }
    });
    port
}

/// Speaks as much HTTP/1.1 with keep-alive as the contenders need.
fn serve_connection(mut stream: TcpStream, mut answer: impl FnMut(&str, &[u8]) -> Vec<u8>) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::new();
    let mut chunk = vec![0_u8; 64 << 10];
    loop {
        let head_end = loop {
            if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at;
            }
            match stream.read(&mut chunk) {
                Ok(n) if n > 0 => buffer.extend_from_slice(&chunk[..n]),
                _ => return,
            }
        };
        let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
        let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
        let length = head
            .lines()
            .find_map(|l| {
                l.to_ascii_lowercase().strip_prefix("content-length:").map(|v| v.trim().parse::<usize>().unwrap())
            })
            .unwrap_or(0);
        let total = head_end + 4 + length;
        while buffer.len() < total {
            match stream.read(&mut chunk) {
                Ok(n) if n > 0 => buffer.extend_from_slice(&chunk[..n]),
                _ => return,
            }
        }
        let reply = answer(&path, &buffer[head_end + 4..total]);
        buffer.drain(..total);
        if stream.write_all(&reply).is_err() {
            return;
        }
    }
}
