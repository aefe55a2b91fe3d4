//! Measures what a known sample costs: scrapes a page of 2,000 series over real HTTP again and again, into a window
//! that takes everything, and prints the CPU time of the scraping thread per sample.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use collector_model::{Append, AppendError, Appended, Clock, Labels, RefSample, SeriesRef, TimestampMs};
use collector_scrape::{GlobalConfig, Options, ScrapeConfig, ScrapeManager};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;

const SERIES: usize = 2_000;
const WARM_UP: u64 = 20;
const SCRAPES: u64 = 500;

fn main() {
    let mut page = String::new();
    for family in 0..SERIES / 20 {
        page.push_str(&format!("# HELP node_something_{family}_total What family {family} counts, in its unit.\n"));
        page.push_str(&format!("# TYPE node_something_{family}_total counter\n"));
        for series in 0..20 {
            let value = (family * 7919 + series * 104_729) as f64 * 1.37;
            page.push_str(&format!(
                "node_something_{family}_total{{cpu=\"{series}\",device=\"/dev/mapper/vg-{series}\",mode=\"system\"}} {value}\n"
            ));
        }
    }
    println!("page of {SERIES} series, {} bytes", page.len());
    measure("identity", page.as_bytes().to_vec());
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(page.as_bytes()).unwrap();
    measure("gzip", encoder.finish().unwrap());
}

fn measure(encoding: &'static str, body: Vec<u8>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || serve(&listener, encoding, &body));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let clock = Arc::new(LeapingClock::default());
        let window = Arc::new(Window { clock: Arc::clone(&clock), ..Window::default() });
        let options = Options { user_agent: "Atalaia".to_owned(), host_name: "here".to_owned() };
        let append: Arc<dyn Append> = Arc::<Window>::clone(&window);
        let manager = ScrapeManager::new(append, clock, options, &mut Registry::default());
        let yaml = format!("{{job_name: bench, scrape_interval: 1s, static_configs: [{{targets: ['{address}']}}]}}");
        let config: ScrapeConfig = serde_yaml_ng::from_str(&yaml).unwrap();
        let job = config.resolve(&GlobalConfig::default(), std::path::Path::new("/")).unwrap();
        manager.apply(vec![job], &Labels::empty()).unwrap();
        window.wait_for(WARM_UP).await;
        let before = cpu_ns();
        let from = window.appends.load(Ordering::SeqCst);
        window.wait_for(from + SCRAPES).await;
        let spent = cpu_ns() - before;
        let scrapes = window.appends.load(Ordering::SeqCst) - from;
        let per_scrape = spent as f64 / scrapes as f64;
        println!(
            "{encoding}: {:.0} µs a scrape, {:.3} µs a sample",
            per_scrape / 1e3,
            per_scrape / 1e3 / SERIES as f64
        );
        manager.stop().await;
    });
}

/// CPU time of this thread in nanoseconds, from /proc/thread-self/schedstat.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

fn serve(listener: &std::net::TcpListener, encoding: &str, body: &[u8]) {
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-encoding: {encoding}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        while let Some(Ok(line)) = lines.next() {
            if line.is_empty() && (stream.write_all(head.as_bytes()).is_err() || stream.write_all(body).is_err()) {
                break;
            }
        }
    }
}

/// Takes everything.
#[derive(Default)]
struct Window {
    known: Mutex<HashMap<Labels, SeriesRef>>,
    appends: AtomicU64,
    clock: Arc<LeapingClock>,
    bell: tokio::sync::Notify,
}

impl Window {
    async fn wait_for(&self, appends: u64) {
        while self.appends.load(Ordering::SeqCst) < appends {
            self.bell.notified().await;
        }
    }
}

impl Append for Window {
    fn resolve(&self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        let mut known = self.known.lock();
        let next = SeriesRef(known.len() as u64);
        Ok(*known.entry(labels.clone()).or_insert(next))
    }

    fn append(&self, batch: &[RefSample]) -> Result<Appended, AppendError> {
        assert_eq!(batch.len(), SERIES + 5, "a scrape failed");
        self.clock.leap(batch.last().map_or(0, |s| s.timestamp_ms));
        self.appends.fetch_add(1, Ordering::SeqCst);
        self.bell.notify_one();
        Ok(Appended { accepted: batch.len(), rejected: Vec::new() })
    }
}

/// Leaps to just before the next scrape once one is stored.
#[derive(Default)]
struct LeapingClock(AtomicI64);

impl LeapingClock {
    fn leap(&self, stored_ms: TimestampMs) {
        self.0.store(stored_ms + 995 - system_ms(), Ordering::SeqCst);
    }
}

impl Clock for LeapingClock {
    fn now_ms(&self) -> TimestampMs {
        system_ms() + self.0.load(Ordering::SeqCst)
    }
}

fn system_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}
