//! What a scrape of this machine costs by collector: `cargo run --release -p agent-node --example cost`.

#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_exposition::{Format, Page};
use agent_node::collectors::COLLECTORS;
use agent_node::{BuildError, Context, Flags, Scrape};
use agent_procfs::Root;

const ROUNDS: u32 = 500;

fn main() -> Result<(), BuildError> {
    let context = Context::new(Root::default(), Arc::new(Flags::default()));
    let mut collectors = Vec::new();
    for spec in COLLECTORS.iter().filter(|spec| spec.default_on) {
        collectors.push((spec.name, (spec.build)(&context)?, Duration::ZERO));
    }
    let (mut page, mut text, mut protobuf) = (Page::new(), String::new(), Vec::new());
    // Of the text format, OpenMetrics and protobuf: time, and bytes of the last page.
    let mut writing =
        [("text", Duration::ZERO, 0), ("openmetrics", Duration::ZERO, 0), ("protobuf", Duration::ZERO, 0)];
    let before = cpu_time();
    for round in 0..ROUNDS {
        page.clear();
        for (_, collector, spent) in &mut collectors {
            let started = Instant::now();
            collector.begin(Scrape { number: round.into(), deadline: started + Duration::from_secs(10) });
            let _ = collector.collect(&mut page);
            *spent += started.elapsed();
        }
        for (format, spent, bytes) in &mut writing {
            text.clear();
            protobuf.clear();
            let started = Instant::now();
            match *format {
                "text" => page.write(Format::Text004, &mut text),
                "openmetrics" => page.write(Format::OpenMetrics100, &mut text),
                _ => page.write_protobuf(&mut protobuf),
            }
            *spent += started.elapsed();
            *bytes = text.len() + protobuf.len();
        }
    }
    let cpu = cpu_time().saturating_sub(before);
    let per_round = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(ROUNDS);
    for (name, _, spent) in &collectors {
        println!("{name:<14}{:>8.1} µs", per_round(*spent));
    }
    println!("{} samples are written as", page.sample_count());
    for (format, spent, bytes) in writing {
        println!("  {format:<12}{:>8.1} µs, {bytes} bytes", per_round(spent));
    }
    println!("{:<14}{:>8.1} µs of CPU per scrape, all threads", "together", per_round(cpu));
    Ok(())
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
