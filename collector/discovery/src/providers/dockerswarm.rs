//! `dockerswarm_sd_configs`: the services, the tasks or the nodes of a Docker Swarm, as one of its managers tells.

mod nodes;
mod services;
mod tasks;
#[cfg(test)]
mod tests;

use std::path::Path;

use collector_model::Labels;
use serde::Deserialize;
use tokio::sync::Notify;

use crate::engine::{Engine, EngineConfig, Filters, Keys, filters, networks};
use crate::refresh::{Polling, Source};
use crate::{Context, DiscoveryConfig, DiscoveryError, Provider, ProviderConfig, Spec, TargetGroup};

pub(crate) const SPEC: Spec = Spec {
    name: "dockerswarm",
    key: "dockerswarm_sd_configs",
    parse: |list| {
        let configs = Option::<Vec<SwarmConfig>>::deserialize(list)?.unwrap_or_default();
        Ok(configs.into_iter().map(DiscoveryConfig::new).collect())
    },
};

/// What the names of all labels begin with.
const PREFIX: &str = "__meta_dockerswarm_";

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Keys")]
struct SwarmConfig {
    engine: EngineConfig,
    role: Role,
}

/// Signs that targets may have changed. Those of containers come from the machine of the engine alone: what happens to
/// tasks elsewhere is seen at the next interval.
const EVENTS: [(&str, &[&str]); 2] = [
    ("type", &["service", "node", "network", "container"]),
    ("event", &["create", "update", "remove", "destroy", "start", "die", "health_status"]),
];

/// What the targets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Services,
    Tasks,
    Nodes,
}

impl TryFrom<Keys> for SwarmConfig {
    type Error = DiscoveryError;

    fn try_from(mut keys: Keys) -> Result<Self, DiscoveryError> {
        if keys.host_networking_host.is_some() {
            return Err(DiscoveryError::UnknownKey("host_networking_host"));
        }
        if keys.match_first_network.is_some() {
            return Err(DiscoveryError::UnknownKey("match_first_network"));
        }
        let role = match keys.role.take().as_deref() {
            Some("services") => Role::Services,
            Some("tasks") => Role::Tasks,
            Some("nodes") => Role::Nodes,
            None | Some("") => return Err(DiscoveryError::Missing("role (services, tasks or nodes)")),
            Some(other) => return Err(DiscoveryError::SwarmRole(other.to_owned())),
        };
        Ok(Self { engine: keys.try_into()?, role })
    }
}

impl ProviderConfig for SwarmConfig {
    fn name(&self) -> &'static str {
        SPEC.name
    }

    fn resolve_paths(&mut self, directory: &Path) {
        self.engine.resolve_paths(directory);
    }

    fn build(&self, context: &Context) -> Result<Box<dyn Provider>, DiscoveryError> {
        let engine = Engine::new(&self.engine, context)?;
        Ok(Box::new(Polling {
            mechanism: SPEC.name,
            peer: self.engine.host.to_string(),
            source: Swarm { engine, config: self.clone() },
            interval: self.engine.refresh_interval,
            metrics: context.metrics.clone(),
        }))
    }
}

struct Swarm {
    engine: Engine,
    config: SwarmConfig,
}

impl Source for Swarm {
    async fn groups(&self) -> Vec<Result<TargetGroup, DiscoveryError>> {
        let group = |targets| TargetGroup { source: SPEC.name.to_owned(), targets, labels: Labels::empty() };
        vec![self.targets().await.map(group)]
    }

    async fn listen(&self, bell: &Notify) {
        self.engine.listen(&filters(&EVENTS), self.config.engine.refresh_interval, bell).await;
    }
}

impl Swarm {
    async fn targets(&self) -> Result<Vec<Labels>, DiscoveryError> {
        let EngineConfig { filters, port, .. } = &self.config.engine;
        let all = Filters::new();
        let engine = self.engine.session().await?;
        match self.config.role {
            Role::Services => {
                let services = engine.list("/services", filters).await?;
                let networks = networks(&engine, PREFIX).await?;
                Ok(services::targets(&services, &networks, *port))
            }
            Role::Tasks => {
                let tasks = engine.list("/tasks", filters).await?;
                let services = engine.list("/services", &all).await?;
                let nodes = engine.list("/nodes", &all).await?;
                let around = tasks::Surroundings::of(&services, &nodes, networks(&engine, PREFIX).await?);
                Ok(tasks::targets(&tasks, &around, *port))
            }
            Role::Nodes => {
                let nodes = engine.list("/nodes", filters).await?;
                Ok(nodes::targets(&nodes, *port))
            }
        }
    }
}
