//! What a scrape of this machine costs by collector: `cargo run --release -p agent-node --example cost`.

#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_exposition::{Format, Page};
use agent_node::collectors::COLLECTORS;
use agent_node::{BuildError, Context, Flags, Scrape};
use agent_procfs::Root;

const ROUNDS: u32 = 1000;

/// What one step of a scrape costs: the least and the usual time of all rounds. A busy machine hardly changes the least.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn print(&mut self, name: &str, what: &str) {
        self.0.sort_unstable();
        let micros = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1e6);
        let (least, usual) = (micros(self.0.first()), micros(self.0.get(self.0.len() / 2)));
        println!("{name:<20}{least:>8.1}{usual:>9.1} {what}");
    }
}

fn main() -> Result<(), BuildError> {
    let context = Context::new(Root::default(), Arc::new(Flags::default()));
    let mut collectors = Vec::new();
    for spec in COLLECTORS.iter().filter(|spec| spec.default_on) {
        collectors.push((spec.name, (spec.build)(&context)?, Times::default()));
    }
    let (mut page, mut text, mut protobuf) = (Page::new(), String::new(), Vec::new());
    // Of the text format, OpenMetrics and protobuf: time, and bytes of the last page.
    let mut writing = ["text", "openmetrics", "protobuf"].map(|format| (format, Times::default(), 0));
    let mut together = Times::default();
    for round in 0..ROUNDS {
        page.clear();
        let before = cpu_time();
        for (_, collector, times) in &mut collectors {
            let started = Instant::now();
            collector.begin(Scrape { number: round.into(), deadline: started + Duration::from_secs(10) });
            let _ = collector.collect(&mut page);
            times.0.push(started.elapsed());
        }
        for (format, times, bytes) in &mut writing {
            text.clear();
            protobuf.clear();
            let started = Instant::now();
            match *format {
                "text" => page.write(Format::Text004, &mut text),
                "openmetrics" => page.write(Format::OpenMetrics100, &mut text),
                _ => page.write_protobuf(&mut protobuf),
            }
            times.0.push(started.elapsed());
            *bytes = text.len() + protobuf.len();
            if *format == "text" {
                together.0.push(cpu_time().saturating_sub(before));
            }
        }
    }
    println!("µs                     least   median");
    for (name, _, times) in &mut collectors {
        times.print(name, "");
    }
    println!("{} samples are written as", page.sample_count());
    for (format, times, bytes) in &mut writing {
        times.print(format, &format!("{bytes} bytes"));
    }
    together.print("together", "of CPU time, all threads, with the text");
    Ok(())
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
