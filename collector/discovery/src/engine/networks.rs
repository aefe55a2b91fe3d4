//! The networks of an engine, which targets tell about.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Filters, Session};
use crate::DiscoveryError;
use crate::meta::{Pairs, foreign};

/// The labels of each network, by its id.
pub(crate) struct Networks(BTreeMap<String, Pairs>);

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Network {
    id: String,
    name: String,
    scope: String,
    internal: bool,
    ingress: bool,
    labels: Option<BTreeMap<String, String>>,
}

/// All networks of the engine; their labels begin with the prefix.
pub(crate) async fn networks(engine: &Session<'_>, prefix: &str) -> Result<Networks, DiscoveryError> {
    let list: Vec<Network> = engine.list("/networks", &Filters::new()).await?;
    Ok(Networks::of(list, prefix))
}

impl Networks {
    fn of(list: Vec<Network>, prefix: &str) -> Self {
        let labelled = list.into_iter().map(|network| (network.id.clone(), labels(network, prefix)));
        Self(labelled.collect())
    }

    /// The labels of a network; none where the engine does not know it.
    pub(crate) fn labels(&self, id: &str) -> &[(String, String)] {
        self.0.get(id).map_or(&[], Vec::as_slice)
    }

    /// What a test says they are.
    #[cfg(test)]
    pub(crate) fn of_json(list: &str, prefix: &str) -> Self {
        Self::of(serde_json::from_str(list).unwrap(), prefix)
    }
}

fn labels(network: Network, prefix: &str) -> Pairs {
    let own = [
        ("id", network.id),
        ("name", network.name),
        ("scope", network.scope),
        ("internal", network.internal.to_string()),
        ("ingress", network.ingress.to_string()),
    ];
    let mut labels: Pairs = own.into_iter().map(|(name, value)| (format!("{prefix}network_{name}"), value)).collect();
    let prefix = format!("{prefix}network_label_");
    labels.extend(foreign(&prefix, &network.labels.unwrap_or_default()));
    labels
}
