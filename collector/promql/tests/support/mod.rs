//! A real Prometheus over a fixed set of samples, and the same samples in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use collector_model::Labels;
use collector_promql::testing::MemoryStorage;

/// When the first sample lies, in seconds since the epoch.
pub const T0: i64 = 1_700_000_000;

const INSTALL: &str = "apt-get install -y prometheus (brings prometheus and promtool)";

/// Samples for both sides. No sample lies on a whole or half second, and so none on the edge of a window.
pub struct Data {
    pub memory: MemoryStorage,
    families: Vec<(String, Vec<String>)>,
}

impl Data {
    pub fn new() -> Self {
        let mut data = Self { memory: MemoryStorage::new(), families: Vec::new() };
        data.counters();
        data.gauges();
        data.histogram();
        data.sparse();
        data
    }

    /// One series with a sample every `every_ms`, as far as `value` gives one.
    fn series(&mut self, metric: &str, labels: &[(&str, &str)], every_ms: i64, value: impl Fn(i64) -> Option<f64>) {
        let salt = labels.iter().flat_map(|(_, v)| v.bytes()).map(i64::from).sum::<i64>() % 300;
        let mut lines = Vec::new();
        let pairs = labels.iter().map(|(n, v)| format!("{n}=\"{v}\"")).collect::<Vec<_>>().join(",");
        let all = Labels::from_pairs([("__name__", metric)].iter().chain(labels).map(|(n, v)| (*n, *v)));
        for i in 0..(4_200_000 / every_ms) {
            let Some(value) = value(i) else { continue };
            let at_ms = T0 * 1_000 + i * every_ms + 137 + salt;
            self.memory.push(all.clone(), at_ms, value);
            let seconds = format!("{}.{:03}", at_ms / 1_000, at_ms % 1_000);
            lines.push(
                format!("{metric}{{{pairs}}} {value:?} {seconds}")
                    .replace(" inf ", " +Inf ")
                    .replace(" -inf ", " -Inf "),
            );
        }
        match self.families.iter_mut().find(|(name, _)| name == metric) {
            Some((_, all)) => all.extend(lines),
            None => self.families.push((metric.to_owned(), lines)),
        }
    }

    fn counters(&mut self) {
        for (j, job) in ["api", "web", "db"].iter().enumerate() {
            for (n, instance) in ["a:80", "b:80"].iter().enumerate() {
                for (c, code) in ["200", "404", "500"].iter().enumerate() {
                    let pace = (1 + j * 5 + n * 2 + c) as f64 * 1.37;
                    let labels = [("job", *job), ("instance", *instance), ("code", *code)];
                    // The second instance restarts twice.
                    let reset = if n == 1 { 97 + c as i64 } else { i64::MAX };
                    self.series("http_requests_total", &labels, 15_000, |i| {
                        Some(1_000.0 + ((i % reset) as f64 * pace).round() + (i % 7) as f64)
                    });
                }
            }
        }
        self.series("late_total", &[("job", "api")], 15_000, |i| (i >= 100).then(|| (i - 100) as f64 * 3.0));
        self.series("flat_total", &[("job", "api")], 15_000, |_| Some(42.0));
    }

    fn gauges(&mut self) {
        for (r, room) in ["attic", "cellar", "hall", "roof"].iter().enumerate() {
            let labels = [("room", *room), ("floor", ["2", "0", "1", "3"][r])];
            self.series("temperature", &labels, 15_000, |i| {
                Some(((i as f64) * 0.11 + r as f64).sin() * 20.0 + r as f64 * 3.25)
            });
        }
        self.series("temperature", &[("room", "void"), ("floor", "9")], 15_000, |i| {
            Some(match i % 5 {
                0 => f64::NAN,
                _ => i as f64,
            })
        });
        self.series("limit", &[("room", "attic")], 15_000, |_| Some(5.0));
        self.series("limit", &[("room", "hall")], 15_000, |i| Some((i % 20) as f64));
        self.series("limit", &[("room", "moon")], 15_000, |_| Some(f64::INFINITY));
        for (instance, version) in [("a:80", "1.0"), ("b:80", "1.1")] {
            self.series("build_info", &[("instance", instance), ("version", version), ("os", "linux")], 15_000, |_| {
                Some(1.0)
            });
        }
        for (job, up) in [("api", 1), ("web", 0), ("db", 1)] {
            self.series("up", &[("job", job), ("instance", "a:80")], 15_000, |i| {
                Some(f64::from(u8::from(up == 1 && i % 40 != 39)))
            });
        }
        self.series("free_bytes", &[("disk", "sda")], 15_000, |i| Some(1e12 - i as f64 * 1.5e8));
        self.series("free_bytes", &[("disk", "sdb")], 15_000, |i| Some(5e9 + (i % 13) as f64 * 1e3));
        self.series("clock_seconds", &[], 15_000, |i| Some((T0 + i * 86_400 * 3) as f64));
        self.series("steps", &[("kind", "a")], 15_000, |i| Some((i / 10) as f64));
        self.series("steps", &[("kind", "b")], 15_000, |i| Some(-((i / 25) as f64)));
        self.series("with_text", &[("path", "/a/b-12"), ("empty_like", "x")], 15_000, |_| Some(1.0));
        self.series("with_text", &[("path", "/c/d-7"), ("empty_like", "y")], 15_000, |_| Some(2.0));
    }

    fn histogram(&mut self) {
        let bounds = ["0.1", "0.25", "0.5", "1.0", "2.5", "+Inf"];
        for (j, job) in ["api", "web"].iter().enumerate() {
            for (b, le) in bounds.iter().enumerate() {
                let share = [0.1, 0.35, 0.6, 0.8, 0.95, 1.0][b] - j as f64 * 0.02 * (5 - b) as f64;
                self.series("latency_seconds_bucket", &[("job", job), ("le", le)], 15_000, |i| {
                    Some(((i + 1) as f64 * 100.0 * share).floor())
                });
            }
            self.series("latency_seconds_count", &[("job", job)], 15_000, |i| Some((i + 1) as f64 * 100.0));
            self.series("latency_seconds_sum", &[("job", job)], 15_000, |i| Some((i + 1) as f64 * 51.7));
        }
    }

    fn sparse(&mut self) {
        // Gaps longer than the lookback, an early end and a late begin.
        self.series("sparse", &[("kind", "gaps")], 15_000, |i| ((i / 30) % 2 == 0).then_some(i as f64));
        self.series("sparse", &[("kind", "ends")], 15_000, |i| (i < 90).then_some(i as f64));
        self.series("sparse", &[("kind", "begins")], 15_000, |i| (i > 150).then_some(i as f64));
        self.series("slow", &[("kind", "minute")], 60_000, |i| Some(i as f64 * 2.0));
    }

    fn open_metrics(&self) -> String {
        let mut text = String::new();
        for (name, lines) in &self.families {
            writeln!(text, "# TYPE {name} unknown").unwrap();
            lines.iter().for_each(|line| writeln!(text, "{line}").unwrap());
        }
        text + "# EOF\n"
    }
}

/// A Prometheus process over a directory of blocks; ends with its value.
pub struct Prometheus {
    process: Child,
    address: String,
    _directory: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself; either way it must not be left behind.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Prometheus {
    pub fn start(data: &Data) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (input, storage) = (directory.path().join("data.om"), directory.path().join("data"));
        std::fs::write(&input, data.open_metrics()).unwrap();
        std::fs::write(directory.path().join("prometheus.yml"), "global: {}\n").unwrap();
        let made = Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .args([&input, &storage])
            .output()
            .unwrap_or_else(|e| panic!("cannot run promtool ({e}): {INSTALL}"));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut process = spawn(directory.path(), &storage);
        let address = listening_address(&mut process);
        let this = Self { process, address, _directory: directory };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !this.get("/-/ready").contains("200 OK") {
            assert!(Instant::now() < deadline, "prometheus does not get ready");
            std::thread::sleep(Duration::from_millis(50));
        }
        this
    }

    /// Answers an API request with its JSON.
    pub fn api(&self, path: &str, params: &[(&str, &str)]) -> serde_json::Value {
        let query: Vec<String> = params.iter().map(|(n, v)| format!("{n}={}", percent_encoded(v))).collect();
        let answer = self.get(&format!("/api/v1/{path}?{}", query.join("&")));
        let (_, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
        serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {body}"))
    }

    fn get(&self, target: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // HTTP/1.0, so that the body comes in one piece and ends with the connection.
        write!(stream, "GET {target} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }
}

fn spawn(directory: &Path, storage: &Path) -> Child {
    Command::new("prometheus")
        .arg(format!("--config.file={}", directory.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", storage.display()))
        .args(["--storage.tsdb.retention.time=100y", "--web.listen-address=127.0.0.1:0"])
        .args(["--enable-feature=promql-at-modifier,promql-negative-offset", "--log.level=info"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("cannot run prometheus ({e}): {INSTALL}"))
}

/// Reads the log until it names the port that the system chose; goes on draining the log after that.
fn listening_address(process: &mut Child) -> String {
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let mut seen = String::new();
    for line in lines.by_ref() {
        let line = line.unwrap();
        let port = line.split_once("address=127.0.0.1:").and_then(|(_, rest)| {
            rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|p| p.parse::<u16>().ok()).filter(|p| *p > 0)
        });
        if let Some(port) = port {
            std::thread::spawn(move || lines.for_each(drop));
            return format!("127.0.0.1:{port}");
        }
        seen.push_str(&line);
        seen.push('\n');
    }
    panic!("prometheus ended: {seen}");
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => out.push(char::from(byte)),
            byte => write!(out, "%{byte:02X}").unwrap(),
        }
        out
    })
}
