//! The container side as one more collector.

use agent_container::Containers;
use agent_exposition::Page;
use agent_node::{CollectError, Collector, Outcome};

/// Collects all containers.
pub(crate) struct ContainerCollector(pub(crate) Containers);

impl Collector for ContainerCollector {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        self.0.collect(page);
        Ok(if page.sample_count() == 0 { Outcome::Nothing } else { Outcome::Collected })
    }
}
