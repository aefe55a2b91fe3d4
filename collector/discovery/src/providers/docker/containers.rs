//! Containers: one target for each network and TCP port of a running container.

use std::collections::{BTreeMap, HashMap};

use collector_model::Labels;
use serde::Deserialize;

use super::PREFIX;
use crate::ADDRESS;
use crate::engine::Networks;
use crate::meta::{Pairs, foreign, target};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Container {
    id: String,
    names: Option<Vec<String>>,
    image: String,
    #[serde(rename = "ImageID")]
    image_id: String,
    labels: Option<BTreeMap<String, String>>,
    ports: Option<Vec<Port>>,
    host_config: HostConfig,
    network_settings: Option<NetworkSettings>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Port {
    #[serde(rename = "IP")]
    ip: String,
    private_port: u16,
    public_port: u16,
    r#type: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    network_mode: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkSettings {
    networks: Option<BTreeMap<String, Option<Endpoint>>>,
}

/// A container's place in a network.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Endpoint {
    #[serde(rename = "NetworkID")]
    network: String,
    #[serde(rename = "IPAddress")]
    ip: String,
    #[serde(rename = "GlobalIPv6Address")]
    ipv6: String,
}

/// What the configuration says of targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// The port of containers that expose none.
    pub(super) port: u32,
    /// The whole address of containers in the machine's own network.
    pub(super) host_networking_host: String,
    /// Whether only the first network by name counts.
    pub(super) match_first_network: bool,
}

impl Container {
    /// A container without a name is one in the making.
    fn labels(&self) -> Option<Pairs> {
        let name = self.names.as_ref()?.first()?;
        let own = [
            ("id", &self.id),
            ("name", name),
            ("image", &self.image),
            ("image_id", &self.image_id),
            ("network_mode", &self.host_config.network_mode),
        ];
        let own = own.into_iter().map(|(name, value)| (format!("{PREFIX}container_{name}"), value.clone()));
        let mut labels: Pairs = own.collect();
        if let Some(given) = &self.labels {
            labels.extend(foreign(&format!("{PREFIX}container_label_"), given));
        }
        Some(labels)
    }

    /// Its places in networks, by the networks' names.
    fn endpoints(&self) -> Vec<&Endpoint> {
        let networks = self.network_settings.iter().filter_map(|settings| settings.networks.as_ref());
        networks.flat_map(BTreeMap::values).flatten().collect()
    }

    fn ports(&self) -> impl Iterator<Item = &Port> {
        self.ports.iter().flatten().filter(|port| port.r#type == "tcp")
    }

    /// The container in whose network it is, where that is so.
    fn shares_network_of(&self) -> Option<&str> {
        self.host_config.network_mode.strip_prefix("container:")
    }
}

impl Endpoint {
    /// Its address; the one of the sixth version where there is no other.
    fn address(&self) -> &str {
        if self.ip.is_empty() { &self.ipv6 } else { &self.ip }
    }
}

pub(super) fn targets(containers: &[Container], networks: &Networks, rules: &Rules) -> Vec<Labels> {
    let by_id: HashMap<&str, &Container> = containers.iter().map(|c| (c.id.as_str(), c)).collect();
    let mut targets = Vec::new();
    for container in containers {
        let Some(labels) = container.labels() else { continue };
        let mut endpoints = endpoints(container, &by_id);
        if rules.match_first_network {
            endpoints.truncate(1);
        }
        for endpoint in endpoints {
            let network = networks.labels(&endpoint.network);
            targets.extend(at(container, endpoint, &labels, network, rules));
        }
    }
    targets
}

/// The places of a container in networks: its own, or those of the container whose network it shares.
fn endpoints<'a>(container: &'a Container, by_id: &HashMap<&str, &'a Container>) -> Vec<&'a Endpoint> {
    let mut owner = container;
    // Nobody shares with more containers than there are, unless in a circle.
    for _ in 0..by_id.len() {
        let found = owner.endpoints();
        let next = owner.shares_network_of().and_then(|id| by_id.get(id));
        match next {
            Some(next) if found.is_empty() => owner = next,
            _ => return found,
        }
    }
    Vec::new()
}

/// The targets in one network.
fn at(
    container: &Container,
    endpoint: &Endpoint,
    labels: &[(String, String)],
    network: &[(String, String)],
    rules: &Rules,
) -> Vec<Labels> {
    let named = |name: &str, value: String| (format!("{PREFIX}{name}"), value);
    let address = endpoint.address();
    let ip = [named("network_ip", address.to_owned())];
    let of_port = |port: &Port| {
        let mut own = vec![named("port_private", port.private_port.to_string())];
        if port.public_port > 0 {
            own.push(named("port_public", port.public_port.to_string()));
            own.push(named("port_public_ip", port.ip.clone()));
        }
        target(address, port.private_port.into(), &[&ip, &own, labels, network])
    };
    let mut targets: Vec<Labels> = container.ports().map(of_port).collect();
    if targets.is_empty() {
        let mut only = target(address, rules.port, &[&ip, labels, network]);
        if container.host_config.network_mode == "host" {
            let mut builder = only.to_builder();
            builder.set(ADDRESS, rules.host_networking_host.as_str());
            only = builder.build();
        }
        targets.push(only);
    }
    targets
}
