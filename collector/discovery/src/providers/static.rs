//! `static_configs`: targets written down in the configuration.

use serde::Deserialize;

use crate::group::WrittenGroup;
use crate::{Context, DiscoveryConfig, DiscoveryError, Provider, ProviderConfig, ProviderRun, Spec, Updates};

pub(crate) const SPEC: Spec = Spec {
    name: "static",
    key: "static_configs",
    parse: |list| {
        let groups = Option::<Vec<WrittenGroup>>::deserialize(list)?.unwrap_or_default();
        // One provider for the whole list: there is nothing to run, so nothing is gained by more.
        Ok(if groups.is_empty() { Vec::new() } else { vec![DiscoveryConfig::new(StaticConfig { groups })] })
    },
};

#[derive(Clone, Debug, PartialEq, Eq)]
struct StaticConfig {
    groups: Vec<WrittenGroup>,
}

impl ProviderConfig for StaticConfig {
    fn name(&self) -> &'static str {
        SPEC.name
    }

    fn build(&self, _context: &Context) -> Result<Box<dyn Provider>, DiscoveryError> {
        Ok(Box::new(self.clone()))
    }
}

impl Provider for StaticConfig {
    fn run(self: Box<Self>, updates: Updates) -> ProviderRun {
        let groups = self.groups.into_iter().enumerate();
        let groups = groups.map(|(position, group)| group.into_group(position.to_string(), &[])).collect();
        Box::pin(async move { updates.send(groups) })
    }
}
