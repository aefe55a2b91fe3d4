//! Measures the window on this machine: appends a second, bytes a sample, memory a series, start-up, queries.
//!
//! `cargo run --release -p collector-tsdb --example measure [SERIES [ROUNDS [INTERVAL_MS]]]`
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use collector_model::{Append, Clock, Labels, Matcher, NoForward, RefSample, Select, Selection, SeriesRef, Unbounded};
use collector_tsdb::{Options, Window};
use prometheus_client::registry::Registry;
use rustix::time::{ClockId, clock_gettime};

struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Ten labels of about a hundred bytes, as a scraped container metric has them.
fn labels(target: usize, metric: usize) -> Labels {
    Labels::from_pairs([
        ("__name__", format!("container_metric_{metric:03}")),
        ("instance", format!("10.0.0.{target}:9100")),
        ("job", "node".to_owned()),
        ("cpu", format!("cpu{}", metric % 16)),
        ("mode", "idle".to_owned()),
        ("device", format!("sda{}", metric % 5)),
        ("id", format!("/docker/{:x}", metric / 10)),
        ("image", "redis:7".to_owned()),
        ("name", format!("c{}", metric / 20)),
        ("region", "eu".to_owned()),
    ])
}

/// Values as exporters give them: constants, counters of whole numbers, gauges with a fraction.
fn value(series: u64, round: u64) -> f64 {
    let noise = (series.wrapping_mul(0x9e37_79b9).wrapping_add(round.wrapping_mul(0x85eb_ca6b)) >> 7) % 1_000;
    match series % 10 {
        0..=3 => (series % 97) as f64,
        4..=7 => (series * 1_000 + round * 137 + noise % (1 + series % 50)) as f64,
        8 => {
            if noise < 950 {
                1.0
            } else {
                0.0
            }
        }
        _ => noise as f64 / 1_000.0,
    }
}

/// Processor time of this process in nanoseconds: what neighbours on the machine do not change.
fn cpu() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
}

fn open(options: &Options, clock: &Arc<SetClock>) -> Arc<Window> {
    let clock: Arc<SetClock> = Arc::clone(clock);
    Window::open(options.clone(), clock, Arc::new(NoForward), &mut Registry::default()).unwrap()
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<usize>().unwrap());
    let series = arguments.next().unwrap_or(40_000);
    let rounds = arguments.next().unwrap_or(720);
    let interval_ms = arguments.next().unwrap_or(5_000) as i64;
    let dir = tempfile::tempdir().unwrap();
    let options = Options::new(dir.path());
    let clock = Arc::new(SetClock(AtomicI64::new(1_700_000_000_000)));
    let window = open(&options, &clock);
    let before = resident_bytes();

    let began = (Instant::now(), cpu());
    let targets = series / 2_000;
    let refs: Vec<Vec<SeriesRef>> =
        (0..targets).map(|t| (0..2_000).map(|m| window.resolve(&labels(t, m)).unwrap()).collect()).collect();
    println!("resolve:   {:.0} ns/series", (cpu() - began.1) / series as f64);

    let mut batch = Vec::with_capacity(2_000);
    let (mut appending, mut upkeep, mut slowest) = (0.0, 0.0, 0);
    let mut samples = 0_u64;
    for round in 0..rounds {
        clock.0.fetch_add(interval_ms, Ordering::Relaxed);
        for (target, refs) in refs.iter().enumerate() {
            batch.clear();
            let timestamp_ms = clock.now_ms() - target as i64 * 7;
            batch.extend(refs.iter().enumerate().map(|(metric, series)| RefSample {
                series: *series,
                timestamp_ms,
                value: value((target * 2_000 + metric) as u64, round as u64),
            }));
            let began = (Instant::now(), cpu());
            samples += window.append(&batch).unwrap().accepted as u64;
            appending += cpu() - began.1;
            slowest = slowest.max(began.0.elapsed().as_nanos());
        }
        let began = (Instant::now(), cpu());
        window.maintain();
        upkeep += cpu() - began.1;
    }
    let status = window.status(0);
    println!(
        "append:    {:.1} ns/sample, slowest append of 2,000: {:.2} ms",
        appending / samples as f64,
        slowest as f64 / 1e6
    );
    println!("maintain:  {:.1} ns/sample", upkeep / samples as f64);
    println!(
        "disk:      {:.2} B/sample in chunk files, log {} MiB",
        status.chunk_file_bytes as f64 / samples as f64,
        status.wal_bytes >> 20
    );
    println!(
        "memory:    {} B/series resident, {} B/series reckoned, {} chunks",
        (resident_bytes() - before) / series as u64,
        status.memory_bytes / series as u64,
        status.chunks
    );

    let newest_ms = clock.now_ms();
    for (what, min_ms, matchers) in [
        (
            "one series, all time",
            0,
            vec![Matcher::equal("__name__", "container_metric_007"), Matcher::equal("instance", "10.0.0.1:9100")],
        ),
        ("one target, 5 min", newest_ms - 300_000, vec![Matcher::equal("instance", "10.0.0.1:9100")]),
        ("all series, 5 min", newest_ms - 300_000, vec![Matcher::equal("job", "node")]),
        ("one metric, all time", 0, vec![Matcher::equal("__name__", "container_metric_007")]),
    ] {
        let began = (Instant::now(), cpu());
        let found = window.select(&Selection { min_ms, max_ms: newest_ms, matchers }, &Unbounded).unwrap();
        let samples: usize = found.iter().map(|s| s.samples.len()).sum();
        println!("select:    {what}: {} series, {samples} samples in {:.2} ms", found.len(), (cpu() - began.1) / 1e6);
    }

    drop(window);
    let began = (Instant::now(), cpu());
    let window = open(&options, &clock);
    println!("start:     {:.0} ms after a crash", (cpu() - began.1) / 1e6);
    let began = (Instant::now(), cpu());
    window.close();
    println!("close:     {:.0} ms", (cpu() - began.1) / 1e6);
    drop(window);
    let began = (Instant::now(), cpu());
    drop(open(&options, &clock));
    println!("start:     {:.0} ms after a clean end", (cpu() - began.1) / 1e6);
}
