//! What the kernel says of this process, under the names that client libraries use (`process_*`).

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Kernel ticks a second in `/proc/PID/stat`: `USER_HZ`, 100 on every architecture Linux runs on today.
const TICKS_PER_SECOND: f64 = 100.0;

/// Bytes a page; x86-64's and what the kernels of the other supported machines are built with.
const PAGE_BYTES: f64 = 4096.0;

/// The name of this machine, or the empty string.
pub fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}

/// Reads `/proc/self` whenever the registry is encoded.
#[derive(Debug)]
pub struct ProcessCollector;

struct Reading {
    cpu_seconds: f64,
    virtual_bytes: f64,
    resident_bytes: f64,
    start_seconds: f64,
}

/// Reads `/proc/self/stat` (fields 14, 15, 22, 23, 24; see proc(5)) and the boot time of `/proc/stat`.
fn read() -> Option<Reading> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses and may hold anything; count from behind it.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<f64> = rest.split_whitespace().skip(1).map(|f| f.parse().unwrap_or(0.0)).collect();
    let field = |number: usize| fields.get(number.checked_sub(4)?).copied();
    let boot = std::fs::read_to_string("/proc/stat").ok()?;
    let boot: f64 = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(Reading {
        cpu_seconds: (field(14)? + field(15)?) / TICKS_PER_SECOND,
        start_seconds: boot + field(22)? / TICKS_PER_SECOND,
        virtual_bytes: field(23)?,
        resident_bytes: field(24)? * PAGE_BYTES,
    })
}

#[allow(clippy::cast_precision_loss, reason = "descriptors are few")]
fn descriptors() -> Option<(f64, f64)> {
    let open = std::fs::read_dir("/proc/self/fd").ok()?.count() as f64;
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    Some((open, line.split_whitespace().nth(3)?.parse().ok()?))
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        if let Some(reading) = read() {
            let cpu = ConstCounter::new(reading.cpu_seconds);
            let family = encoder.encode_descriptor(
                "process_cpu_seconds",
                "Processor time used, in user and kernel mode",
                None,
                cpu.metric_type(),
            )?;
            cpu.encode(family)?;
            for (name, help, value) in [
                ("process_resident_memory_bytes", "Resident memory", reading.resident_bytes),
                ("process_virtual_memory_bytes", "Virtual memory", reading.virtual_bytes),
                ("process_start_time_seconds", "When the process started, since the epoch", reading.start_seconds),
            ] {
                encode_gauge(&mut encoder, name, help, value)?;
            }
        }
        if let Some((open, limit)) = descriptors() {
            encode_gauge(&mut encoder, "process_open_fds", "Open file descriptors", open)?;
            encode_gauge(&mut encoder, "process_max_fds", "Limit on open file descriptors", limit)?;
        }
        Ok(())
    }
}

fn encode_gauge(encoder: &mut DescriptorEncoder, name: &str, help: &str, value: f64) -> Result<(), std::fmt::Error> {
    let gauge = ConstGauge::new(value);
    let family = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
    gauge.encode(family)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_itself() {
        let reading = read().unwrap();
        assert!(reading.resident_bytes > 1e5 && reading.virtual_bytes >= reading.resident_bytes);
        assert!(reading.start_seconds > 1.6e9);
        let (open, limit) = descriptors().unwrap();
        assert!(open >= 3.0 && limit >= open);
    }
}
