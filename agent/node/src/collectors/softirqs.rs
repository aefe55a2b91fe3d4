//! Soft interrupts by kind and CPU, from `/proc/softirqs`.

use agent_exposition::{Kind, Page};
use agent_procfs::interrupts;

use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "softirqs",
    help: "Soft interrupts by kind and CPU.",
    default_on: false,
    flags: &[],
    build: |context| Ok(Box::new(Softirqs { file: Source::new(context.root.proc("softirqs")) })),
};

struct Softirqs {
    file: Source,
}

impl Collector for Softirqs {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let table = self.file.parse_lossy(interrupts::parse)?;
        let cpus: Vec<_> = table.cpus.iter().map(u32::to_string).collect();
        let help = "Soft interrupts served since boot.";
        let family = page.family("node_softirqs_functions_total", help, Kind::Counter);
        for source in &table.sources {
            for (cpu, count) in cpus.iter().zip(table.counts(source)) {
                page.sample(family, &[("cpu", cpu), ("type", source.name)], *count as f64);
            }
        }
        Ok(Outcome::Collected)
    }
}
