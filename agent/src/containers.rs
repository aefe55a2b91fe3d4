//! The container side as two more collectors.

use agent_container::Containers;
use agent_exposition::Page;
use agent_gpu::Uses;
use agent_node::{CollectError, Collector, Outcome};

/// Collects all containers.
pub(crate) struct ContainerCollector(pub(crate) Containers);

impl Collector for ContainerCollector {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        self.0.collect(page);
        Ok(if page.sample_count() == 0 { Outcome::Nothing } else { Outcome::Collected })
    }
}

/// Collects the GPUs of containers: on its own, for a driver in trouble may never answer.
pub(crate) struct AcceleratorCollector {
    pub(crate) containers: Containers,
    pub(crate) uses: Uses,
}

impl Collector for AcceleratorCollector {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let boards = self.uses.read()?;
        self.containers.collect_accelerators(page, &boards);
        Ok(if boards.is_empty() { Outcome::Nothing } else { Outcome::Collected })
    }
}
