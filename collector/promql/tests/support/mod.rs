//! A real Prometheus over a fixed set of samples, and the same samples in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write as _;

use collector_model::Labels;
use collector_promql::testing::MemoryStorage;
use provisioning_parts::{Process, Prometheus, form, program, send};

/// When the first sample lies, in seconds since the epoch.
pub const T0: i64 = 1_700_000_000;

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

/// A Prometheus over these samples.
pub fn prometheus(data: &Data) -> Prometheus {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(path("data.om"), data.open_metrics()).unwrap();
    let create = ["tsdb", "create-blocks-from", "openmetrics", &path("data.om"), &path("data")];
    let mut promtool = Process::start(program("promtool"), &create);
    assert!(promtool.await_exit().success(), "{}", promtool.log());
    let features = "--enable-feature=promql-at-modifier,promql-negative-offset";
    Prometheus::over(dir, "global: {}", &["--storage.tsdb.retention.time=100y", features])
}

/// Answers an API request with its JSON.
pub fn api(prometheus: &Prometheus, path: &str, params: &[(&str, &str)]) -> serde_json::Value {
    let path = format!("/api/v1/{path}?{}", form(params));
    send("GET", &prometheus.address, &path, &[], b"").unwrap().json()
}
