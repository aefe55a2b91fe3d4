//! `docker_sd_configs`: the containers of one Docker engine.

mod containers;
#[cfg(test)]
mod tests;

use std::path::Path;

use collector_model::Labels;
use serde::Deserialize;
use tokio::sync::Notify;

use self::containers::Rules;
use crate::engine::{Engine, EngineConfig, Keys, filters, networks};
use crate::refresh::{Polling, Source};
use crate::{Context, DiscoveryConfig, DiscoveryError, Provider, ProviderConfig, Spec, TargetGroup};

pub(crate) const SPEC: Spec = Spec {
    name: "docker",
    key: "docker_sd_configs",
    parse: |list| {
        let configs = Option::<Vec<DockerConfig>>::deserialize(list)?.unwrap_or_default();
        Ok(configs.into_iter().map(DiscoveryConfig::new).collect())
    },
};

/// What the names of all labels begin with.
const PREFIX: &str = "__meta_docker_";

/// Signs that targets may have changed.
const EVENTS: [(&str, &[&str]); 2] =
    [("type", &["container", "network"]), ("event", &["start", "die", "rename", "connect", "disconnect"])];

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Keys")]
struct DockerConfig {
    engine: EngineConfig,
    rules: Rules,
}

impl TryFrom<Keys> for DockerConfig {
    type Error = DiscoveryError;

    fn try_from(mut keys: Keys) -> Result<Self, DiscoveryError> {
        if keys.role.is_some() {
            return Err(DiscoveryError::UnknownKey("role"));
        }
        let host = keys.host_networking_host.take().unwrap_or_else(|| "localhost".to_owned());
        let match_first_network = keys.match_first_network.take().unwrap_or(true);
        let engine = EngineConfig::try_from(keys)?;
        let rules = Rules { port: engine.port, host_networking_host: host, match_first_network };
        Ok(Self { engine, rules })
    }
}

impl ProviderConfig for DockerConfig {
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
            source: Docker { engine, config: self.clone() },
            interval: self.engine.refresh_interval,
            metrics: context.metrics.clone(),
        }))
    }
}

struct Docker {
    engine: Engine,
    config: DockerConfig,
}

impl Source for Docker {
    async fn groups(&self) -> Vec<Result<TargetGroup, DiscoveryError>> {
        let group = |targets| TargetGroup { source: SPEC.name.to_owned(), targets, labels: Labels::empty() };
        vec![self.targets().await.map(group)]
    }

    async fn listen(&self, bell: &Notify) {
        self.engine.listen(&filters(&EVENTS), self.config.engine.refresh_interval, bell).await;
    }
}

impl Docker {
    async fn targets(&self) -> Result<Vec<Labels>, DiscoveryError> {
        let engine = self.engine.session().await?;
        let containers = engine.list("/containers/json", &self.config.engine.filters).await?;
        let networks = networks(&engine, PREFIX).await?;
        Ok(containers::targets(&containers, &networks, &self.config.rules))
    }
}
