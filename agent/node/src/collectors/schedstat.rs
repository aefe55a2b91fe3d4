//! How long CPUs ran tasks and how long tasks waited for them, from `/proc/schedstat`.

use agent_exposition::{Kind, Page};
use agent_procfs::schedstat;

use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "schedstat",
    help: "How long CPUs ran tasks, and how long tasks waited.",
    default_on: true,
    flags: &[],
    build: |context| Ok(Box::new(Schedstat { file: Source::new(context.root.proc("schedstat")) })),
};

struct Schedstat {
    file: Source,
}

impl Collector for Schedstat {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let cpus = match self.file.parse_lossy(|bytes| Ok(schedstat::parse(bytes))) {
            Ok(cpus) => cpus,
            // A kernel without CONFIG_SCHEDSTATS does not have the file.
            Err(error) if error.is_not_found() => return Ok(Outcome::Nothing),
            Err(error) => return Err(error.into()),
        };
        let mut family = |name, help| page.family(name, help, Kind::Counter);
        let running = family("node_schedstat_running_seconds_total", "Time that a CPU ran tasks.");
        let slices = family("node_schedstat_timeslices_total", "Slices of time that a CPU gave to tasks.");
        let waiting = family("node_schedstat_waiting_seconds_total", "Time that tasks waited for a CPU.");
        for cpu in &cpus {
            let label = [("cpu", cpu.cpu)];
            page.sample(running, &label, cpu.running_ns as f64 / 1e9);
            page.sample(slices, &label, cpu.timeslices as f64);
            page.sample(waiting, &label, cpu.waiting_ns as f64 / 1e9);
        }
        Ok(if cpus.is_empty() { Outcome::Nothing } else { Outcome::Collected })
    }
}
