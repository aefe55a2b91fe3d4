//! The agent's own process, under client_golang's names. Always from the real /proc: `--path.procfs` is about the
//! machine that is watched.

use std::time::{SystemTime, UNIX_EPOCH};

use agent_exposition::{Kind, Page};
use rustix::process::{Resource, getrlimit};

/// The descriptors of this process, a link each.
const DESCRIPTORS: &str = "/proc/self/fd";

/// What of the process never changes.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    start_seconds: Option<f64>,
    ticks_per_second: f64,
    page_bytes: f64,
}

/// The fields of /proc/self/stat that are needed.
struct Stat {
    cpu_ticks: f64,
    /// Since boot.
    start_ticks: f64,
    virtual_bytes: f64,
    resident_pages: f64,
}

impl Process {
    /// Looks at the process once.
    pub fn new() -> Self {
        let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
        let start_seconds = read_stat().and_then(|stat| Some(boot_seconds()? + stat.start_ticks / ticks_per_second));
        Self { start_seconds, ticks_per_second, page_bytes: rustix::param::page_size() as f64 }
    }

    /// Adds `process_*`. What cannot be read is left out.
    pub fn add_to(&self, page: &mut Page) {
        use Kind::{Counter, Gauge};
        if let Some(stat) = read_stat() {
            let cpu_seconds = stat.cpu_ticks / self.ticks_per_second;
            page.single("process_cpu_seconds_total", "CPU time of the agent, user and system.", Counter, cpu_seconds);
            let resident = stat.resident_pages * self.page_bytes;
            page.single("process_resident_memory_bytes", "Memory of the agent that is in RAM.", Gauge, resident);
            page.single("process_virtual_memory_bytes", "Address space of the agent.", Gauge, stat.virtual_bytes);
        }
        if let Some(open) = open_descriptors() {
            page.single("process_open_fds", "File descriptors that the agent has open.", Gauge, open as f64);
        }
        // No limit is the largest number, as client_golang has it.
        let limit = |resource| getrlimit(resource).current.unwrap_or(u64::MAX) as f64;
        page.single("process_max_fds", "File descriptors that the agent may open.", Gauge, limit(Resource::Nofile));
        let name = "process_virtual_memory_max_bytes";
        page.single(name, "Address space that the agent may have.", Gauge, limit(Resource::As));
        if let Some(seconds) = self.start_seconds {
            page.single("process_start_time_seconds", "When the agent started, since 1970.", Gauge, seconds);
        }
    }
}

impl Default for Process {
    fn default() -> Self {
        Self::new()
    }
}

fn read_stat() -> Option<Stat> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold blanks; numbering starts with the third field after it (see proc(5)).
    let mut fields = text.rsplit_once(") ")?.1.split_ascii_whitespace().skip(11);
    let mut field = |skip: usize| fields.nth(skip)?.parse::<f64>().ok();
    Some(Stat {
        cpu_ticks: field(0)? + field(0)?,
        start_ticks: field(6)?,
        virtual_bytes: field(0)?,
        resident_pages: field(0)?,
    })
}

/// How many descriptors are open. With the files of 200 containers kept open there are thousands, and to list them takes
/// longer than to read them: from Linux 6.2 on the size of the folder is their number, before it is 0.
fn open_descriptors() -> Option<u64> {
    let size = rustix::fs::stat(DESCRIPTORS).ok().and_then(|stat| u64::try_from(stat.st_size).ok());
    size.filter(|open| *open > 0).or_else(listed_descriptors)
}

fn listed_descriptors() -> Option<u64> {
    let listed = std::fs::read_dir(DESCRIPTORS).ok()?.count();
    // One of them is the folder's own.
    u64::try_from(listed).ok()?.checked_sub(1)
}

/// When the machine booted, seconds since 1970: now less the time since boot.
fn boot_seconds() -> Option<f64> {
    let since_boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
    Some(now - since_boot.tv_sec as f64 - since_boot.tv_nsec as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_itself() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let process = Process::new();
        let start = process.start_seconds.unwrap();
        assert!((now - 3600.0..=now + 1.0).contains(&start), "{start} is not just before {now}");
        let stat = read_stat().unwrap();
        assert!(stat.virtual_bytes > stat.resident_pages * process.page_bytes);
        let mut page = Page::new();
        process.add_to(&mut page);
        assert_eq!(page.sample_count(), 7);
    }

    #[test]
    fn descriptors_are_counted_as_they_are_listed() {
        // Other tests open and close files meanwhile.
        let agree = (0..1000).any(|_| {
            let (counted, listed) = (open_descriptors().unwrap(), listed_descriptors().unwrap());
            counted == listed && open_descriptors() == Some(counted)
        });
        assert!(agree, "{:?} and {:?}", open_descriptors(), listed_descriptors());
        let before = open_descriptors().unwrap();
        let many: Vec<_> = (0..500).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        assert!(open_descriptors().unwrap() >= before + 400, "{} more files change nothing", many.len());
    }
}
