//! Scrapes this machine's containers again and again, prints the last page and what a scrape costs.
//!
//! `cargo run --release -p agent-container --example scrape [SCRAPES]`
#![allow(clippy::expect_used)]

use std::time::{Duration, Instant};

use agent_container::{Config, Containers};
use agent_exposition::Page;

#[tokio::main]
async fn main() {
    let scrapes: u32 = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(3);
    let containers = Containers::new(Config::default()).expect("a default configuration is valid");
    containers.start().expect("inside a runtime");
    let mut page = Page::new();
    containers.collect(&mut page);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let (mut best, mut total) = (Duration::MAX, Duration::ZERO);
    let begun = Instant::now();
    for _ in 0..scrapes {
        page.clear();
        let before = cpu();
        containers.collect(&mut page);
        let cost = cpu() - before;
        best = best.min(cost);
        total += cost;
    }
    let wall = begun.elapsed() / scrapes.max(1);
    let mut text = String::new();
    page.write_text(&mut text);
    println!("{text}");
    let samples = page.sample_count();
    eprintln!("{samples} samples; CPU per scrape {:?} (best {best:?}), wall {wall:?}", total / scrapes.max(1));
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
