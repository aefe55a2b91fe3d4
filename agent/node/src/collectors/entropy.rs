//! The kernel's pool of randomness, from `/proc/sys/kernel/random`.

use agent_exposition::{Kind, Page};
use agent_procfs::scan;

use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "entropy",
    help: "The kernel's pool of randomness.",
    default_on: true,
    flags: &[],
    build: |context| {
        let file = |name| Source::new(context.root.proc("sys/kernel/random").join(name)).with_short_lines();
        Ok(Box::new(Entropy { available: file("entropy_avail"), size: file("poolsize") }))
    },
};

struct Entropy {
    available: Source,
    size: Source,
}

impl Collector for Entropy {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let available = self.available.parse(scan::single)?;
        let size = self.size.parse(scan::single)?;
        let help = "Randomness in the pool, as the kernel estimates it.";
        page.single("node_entropy_available_bits", help, Kind::Gauge, available as f64);
        page.single("node_entropy_pool_size_bits", "Most that the pool can hold.", Kind::Gauge, size as f64);
        Ok(Outcome::Collected)
    }
}
