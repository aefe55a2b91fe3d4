//! Time lost to waiting for CPU, memory and I/O, from `/proc/pressure` (kernel 4.20 and later).

use agent_exposition::{Kind, Page};
use agent_procfs::pressure::{self, Stall};
use agent_procfs::{Error, Root};

use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "pressure",
    help: "Time lost to waiting for CPU, memory, I/O and interrupts (PSI).",
    default_on: true,
    flags: &[],
    build: |context| Ok(Box::new(Pressure { resources: resources(&context.root) })),
};

/// A family: its name and help.
type Family = Option<(&'static str, &'static str)>;

struct Resource {
    file: Source,
    waiting: Family,
    stalled: Family,
}

fn resources(root: &Root) -> Vec<Resource> {
    let all: [(&str, Family, Family); 4] = [
        (
            "cpu",
            Some(("node_pressure_cpu_waiting_seconds_total", "Time in which at least one task waited for a CPU.")),
            None,
        ),
        (
            "io",
            Some(("node_pressure_io_waiting_seconds_total", "Time in which at least one task waited for I/O.")),
            Some(("node_pressure_io_stalled_seconds_total", "Time in which all tasks waited for I/O at once.")),
        ),
        (
            "memory",
            Some(("node_pressure_memory_waiting_seconds_total", "Time in which at least one task waited for memory.")),
            Some(("node_pressure_memory_stalled_seconds_total", "Time in which all tasks waited for memory at once.")),
        ),
        (
            "irq",
            None,
            Some((
                "node_pressure_irq_stalled_seconds_total",
                "Time that tasks lost to interrupts (kernel 6.1 and later).",
            )),
        ),
    ];
    let resource = |(name, waiting, stalled)| {
        let file = Source::new(root.proc("pressure").join(name)).with_short_lines();
        Resource { file, waiting, stalled }
    };
    all.into_iter().map(resource).collect()
}

struct Pressure {
    resources: Vec<Resource>,
}

impl Collector for Pressure {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let mut outcome = Outcome::Nothing;
        for resource in &mut self.resources {
            let pressure = match resource.file.parse(pressure::parse) {
                Ok(pressure) => pressure,
                Err(error) if is_not_offered(&error) => continue,
                Err(error) => return Err(error.into()),
            };
            outcome = Outcome::Collected;
            total(page, resource.waiting, pressure.some);
            total(page, resource.stalled, pressure.full);
        }
        Ok(outcome)
    }
}

fn total(page: &mut Page, family: Family, stall: Option<Stall>) {
    if let (Some((name, help)), Some(stall)) = (family, stall) {
        page.single(name, help, Kind::Counter, stall.total_us as f64 / 1e6);
    }
}

/// The kernel was built without it (no file), or started with `psi=0` (the file cannot be read).
fn is_not_offered(error: &Error) -> bool {
    let unsupported =
        |source: &std::io::Error| source.raw_os_error() == Some(rustix::io::Errno::OPNOTSUPP.raw_os_error());
    error.is_not_found() || matches!(error, Error::Read { source, .. } if unsupported(source))
}
