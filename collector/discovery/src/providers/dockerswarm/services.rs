//! Services: one target for each virtual address and published TCP port.

use std::collections::BTreeMap;

use collector_model::Labels;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::PREFIX;
use crate::engine::Networks;
use crate::meta::{Pairs, address_of, foreign, target};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Service {
    #[serde(rename = "ID")]
    pub(super) id: String,
    spec: ServiceSpec,
    endpoint: Endpoint,
    update_status: Option<UpdateStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ServiceSpec {
    name: String,
    labels: Option<BTreeMap<String, String>>,
    mode: Mode,
    task_template: TaskTemplate,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Mode {
    global: Option<IgnoredAny>,
    replicated: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TaskTemplate {
    /// Services that run plugins have none.
    container_spec: Option<ContainerSpec>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ContainerSpec {
    image: String,
    hostname: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Endpoint {
    ports: Option<Vec<Port>>,
    #[serde(rename = "VirtualIPs")]
    virtual_ips: Option<Vec<VirtualIp>>,
}

/// A published port, of a service or of a task.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) protocol: String,
    pub(super) published_port: u32,
    pub(super) publish_mode: String,
}

impl Port {
    pub(super) fn is_tcp(&self) -> bool {
        self.protocol == "tcp"
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct VirtualIp {
    #[serde(rename = "NetworkID")]
    network: String,
    addr: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct UpdateStatus {
    state: String,
}

impl Service {
    /// The TCP ports that it publishes.
    pub(super) fn ports(&self) -> impl Iterator<Item = &Port> {
        self.endpoint.ports.iter().flatten().filter(|port| port.is_tcp())
    }

    /// What the tasks of a service tell of it.
    pub(super) fn labels(&self) -> Pairs {
        let mut labels = named([("id", &self.id), ("name", &self.spec.name), ("mode", self.mode())]);
        if let Some(own) = &self.spec.labels {
            labels.extend(foreign(&format!("{PREFIX}service_label_"), own));
        }
        labels
    }

    /// What only the service itself tells.
    fn more_labels(&self) -> Pairs {
        let mut labels = Pairs::new();
        if let Some(container) = &self.spec.task_template.container_spec {
            labels.extend(named([
                ("task_container_hostname", &container.hostname),
                ("task_container_image", &container.image),
            ]));
        }
        if let Some(update) = &self.update_status {
            labels.extend(named([("updating_status", &update.state)]));
        }
        labels
    }

    /// Jobs, the two other modes, have no word.
    fn mode(&self) -> &'static str {
        match &self.spec.mode {
            Mode { global: Some(_), .. } => "global",
            Mode { replicated: Some(_), .. } => "replicated",
            Mode { .. } => "",
        }
    }
}

fn named<const N: usize>(labels: [(&str, &str); N]) -> Pairs {
    labels.into_iter().map(|(name, value)| (format!("{PREFIX}service_{name}"), value.to_owned())).collect()
}

pub(super) fn targets(services: &[Service], networks: &Networks, port: u32) -> Vec<Labels> {
    let mut targets = Vec::new();
    for service in services {
        let (labels, more) = (service.labels(), service.more_labels());
        for virtual_ip in service.endpoint.virtual_ips.iter().flatten() {
            // On a network of the machine, such as `host`, a service has no address.
            let Some(address) = address_of(&virtual_ip.addr) else { continue };
            let network = networks.labels(&virtual_ip.network);
            let before = targets.len();
            targets.extend(service.ports().map(|port| {
                let endpoint = named([
                    ("endpoint_port_name", port.name.as_str()),
                    ("endpoint_port_publish_mode", port.publish_mode.as_str()),
                ]);
                target(&address, port.published_port, &[&endpoint, &labels, &more, network])
            }));
            if targets.len() == before {
                targets.push(target(&address, port, &[&labels, &more, network]));
            }
        }
    }
    targets
}
