//! Partitions and files for swap, from `/proc/swaps`.

use agent_exposition::{Kind, Page};
use agent_procfs::swaps;

use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "swap",
    help: "Partitions and files for swap.",
    default_on: false,
    flags: &[],
    build: |context| Ok(Box::new(Swap { file: Source::new(context.root.proc("swaps")) })),
};

struct Swap {
    file: Source,
}

impl Collector for Swap {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let swaps = match self.file.parse_lossy(|bytes| Ok(swaps::parse(bytes))) {
            Ok(swaps) => swaps,
            // A kernel without swap does not have the file.
            Err(error) if error.is_not_found() => return Ok(Outcome::Nothing),
            Err(error) => return Err(error.into()),
        };
        let mut gauge = |name, help| page.family(name, help, Kind::Gauge);
        let help = "Higher ones are used first; negative ones were chosen by the kernel.";
        let priority = gauge("node_swap_priority", help);
        let size = gauge("node_swap_size_bytes", "Bytes of swap.");
        let used = gauge("node_swap_used_bytes", "Bytes of swap in use.");
        for swap in &swaps {
            let device = String::from_utf8_lossy(&swap.path);
            let labels = [("device", &*device), ("swap_type", swap.kind)];
            page.sample(priority, &labels, swap.priority as f64);
            page.sample(size, &labels, swap.size as f64 * 1024.0);
            page.sample(used, &labels, swap.used as f64 * 1024.0);
        }
        Ok(if swaps.is_empty() { Outcome::Nothing } else { Outcome::Collected })
    }
}
