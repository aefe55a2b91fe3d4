//! An exporter that gives everybody the same samples: each client walks through the same history, one step a
//! scrape, with the times of the history.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

/// Steps of the history.
pub const STEPS: i64 = 40;

/// Milliseconds between two steps.
pub const STEP_MS: i64 = 15_000;

/// A running exporter; its thread ends with the test's process.
pub struct Exporter {
    /// Where it listens.
    pub address: String,
    /// The time of step 0, in milliseconds since the epoch: odd, so that no sample sits on a window's edge.
    pub base_ms: i64,
}

impl Exporter {
    /// Starts one whose history ends now.
    pub fn start() -> Self {
        Self::start_at(-STEPS * STEP_MS / 1000)
    }

    /// Starts one whose history begins in a few seconds.
    pub fn start_ahead() -> Self {
        Self::start_at(5)
    }

    fn start_at(seconds_from_now: i64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let base_ms = (i64::try_from(now.as_secs()).unwrap() + seconds_from_now) * 1000 + 137;
        let steps: Arc<Mutex<HashMap<String, i64>>> = Arc::default();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let steps = Arc::clone(&steps);
                std::thread::spawn(move || serve(&stream, &steps, base_ms));
            }
        });
        Self { address, base_ms }
    }

    /// The time of a step and some milliseconds, as the API takes it.
    pub fn at(&self, step: i64, plus_ms: i64) -> String {
        let ms = self.base_ms + step * STEP_MS + plus_ms;
        format!("{}.{:03}", ms / 1000, ms % 1000)
    }
}

/// Serves requests of one connection until it closes.
fn serve(stream: &TcpStream, steps: &Mutex<HashMap<String, i64>>, base_ms: i64) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let mut client = String::new();
        loop {
            let mut line = String::new();
            if !matches!(reader.read_line(&mut line), Ok(read) if read > 0) {
                return;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("user-agent")
            {
                value.trim().clone_into(&mut client);
            }
            if line == "\r\n" {
                break;
            }
        }
        let step = {
            let mut steps = steps.lock().unwrap();
            let next = steps.entry(client).or_insert(0);
            let step = (*next).min(STEPS - 1);
            *next += 1;
            step
        };
        let body = page(step, base_ms + step * STEP_MS);
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length:";
        if write!(writer, "{head} {}\r\n\r\n{body}", body.len()).is_err() {
            return;
        }
    }
}

/// The page of one step.
#[allow(clippy::cast_precision_loss, reason = "the numbers are small")]
fn page(step: i64, at_ms: i64) -> String {
    let mut out = String::new();
    let n = step as f64;
    out.push_str("# HELP api_requests_total Requests, by \\\"code\\\".\n# TYPE api_requests_total counter\n");
    for (code, path, value) in [
        ("200", "/", n * 10.0),
        ("200", "/b", n * 7.5),
        ("404", "/", n),
        // A restart in the middle.
        ("500", "/", if step < 20 { n } else { n - 20.0 }),
    ] {
        let _ = writeln!(out, "api_requests_total{{code=\"{code}\",path=\"{path}\"}} {value} {at_ms}");
    }
    out.push_str("# HELP api_temperature_celsius How warm.\n# TYPE api_temperature_celsius gauge\n");
    for (room, value) in [
        ("north", (n * 0.7).sin() * 20.0),
        ("south", 0.1 + 0.2 + n),
        ("tiny", 1.25e-7 * (n + 1.0)),
        ("huge", 1e20 * (n + 1.0)),
        ("negative", -(n + 1.0) / 3.0),
    ] {
        let _ = writeln!(out, "api_temperature_celsius{{room=\"{room}\"}} {value:?} {at_ms}");
    }
    out.push_str("# HELP api_odd Numbers that JSON does not have.\n# TYPE api_odd gauge\n");
    for (kind, value) in [("nan", "NaN"), ("inf", "+Inf"), ("minus_inf", "-Inf"), ("minus_zero", "-0")] {
        let _ = writeln!(out, "api_odd{{kind=\"{kind}\"}} {value} {at_ms}");
    }
    out.push_str("# HELP api_latency_seconds How long.\n# TYPE api_latency_seconds histogram\n");
    for (le, share) in [("0.1", 0.5), ("0.5", 0.8), ("2.5", 0.95), ("+Inf", 1.0)] {
        let _ = writeln!(out, "api_latency_seconds_bucket{{le=\"{le}\"}} {} {at_ms}", (n * 20.0 * share).floor());
    }
    let _ = writeln!(out, "api_latency_seconds_sum {} {at_ms}", n * 3.25);
    let _ = writeln!(out, "api_latency_seconds_count {} {at_ms}", n * 20.0);
    out.push_str("# HELP api_size_bytes How big.\n# TYPE api_size_bytes summary\n");
    let _ = writeln!(out, "api_size_bytes{{quantile=\"0.5\"}} {} {at_ms}", 100.0 + n);
    let _ = writeln!(out, "api_size_bytes_sum {} {at_ms}", n * 1000.0);
    let _ = writeln!(out, "api_size_bytes_count {} {at_ms}", n * 10.0);
    if step < 10 {
        let _ = writeln!(out, "api_gone{{why=\"left early\"}} {n} {at_ms}");
    }
    let _ = writeln!(out, "api_text{{text=\"a\\\"b\\\\c\\nd <&> é 漢 \u{1}\"}} 1 {at_ms}");
    out
}
