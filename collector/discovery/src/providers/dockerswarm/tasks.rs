//! Tasks: one target for each port that a task publishes on its machine, and for each of its addresses.

use std::collections::{BTreeMap, HashMap};

use collector_model::Labels;
use serde::Deserialize;

use super::PREFIX;
use super::nodes::Node;
use super::services::{Port, Service};
use crate::engine::Networks;
use crate::meta::{Pairs, address_of, foreign, target};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Task {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "ServiceID")]
    service: String,
    #[serde(rename = "NodeID")]
    node: String,
    slot: i64,
    desired_state: String,
    spec: TaskSpec,
    status: Status,
    networks_attachments: Option<Vec<Attachment>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TaskSpec {
    /// Tasks that run plugins have none.
    container_spec: Option<ContainerSpec>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ContainerSpec {
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Status {
    state: String,
    /// There is none before the container is made.
    container_status: Option<ContainerStatus>,
    port_status: Option<PortStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ContainerStatus {
    #[serde(rename = "ContainerID")]
    id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct PortStatus {
    ports: Option<Vec<Port>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Attachment {
    network: AttachedNetwork,
    addresses: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct AttachedNetwork {
    #[serde(rename = "ID")]
    id: String,
}

impl Task {
    fn labels(&self) -> Pairs {
        let mut labels = vec![
            named("task_id", &self.id),
            named("task_desired_state", &self.desired_state),
            named("task_state", &self.status.state),
            // Tasks of global services are in slot 0.
            named("task_slot", &self.slot.to_string()),
        ];
        if let Some(container) = &self.status.container_status {
            labels.push(named("task_container_id", &container.id));
        }
        if let Some(own) = self.spec.container_spec.as_ref().and_then(|container| container.labels.as_ref()) {
            labels.extend(foreign(&format!("{PREFIX}container_label_"), own));
        }
        labels
    }

    /// The TCP ports that it publishes on its machine.
    fn ports(&self) -> impl Iterator<Item = &Port> {
        let ports = self.status.port_status.iter().filter_map(|status| status.ports.as_ref());
        ports.flatten().filter(|port| port.is_tcp())
    }

    /// Each of its addresses, and the network that it has it in.
    fn addresses(&self) -> impl Iterator<Item = (String, &str)> {
        self.networks_attachments.iter().flatten().flat_map(|attachment| {
            let addresses = attachment.addresses.iter().flatten();
            addresses.filter_map(|cidr| Some((address_of(cidr)?, attachment.network.id.as_str())))
        })
    }
}

fn named(name: &str, value: &str) -> (String, String) {
    (format!("{PREFIX}{name}"), value.to_owned())
}

/// What tasks belong to, by id.
pub(super) struct Surroundings<'a> {
    services: HashMap<&'a str, (Pairs, Vec<&'a Port>)>,
    nodes: HashMap<&'a str, (Pairs, &'a str)>,
    networks: Networks,
}

impl<'a> Surroundings<'a> {
    pub(super) fn of(services: &'a [Service], nodes: &'a [Node], networks: Networks) -> Self {
        let service = |service: &'a Service| (service.id.as_str(), (service.labels(), service.ports().collect()));
        let node = |node: &'a Node| (node.id.as_str(), (node.labels(), node.address()));
        Self { services: services.iter().map(service).collect(), nodes: nodes.iter().map(node).collect(), networks }
    }
}

pub(super) fn targets(tasks: &[Task], around: &Surroundings<'_>, port: u32) -> Vec<Labels> {
    let mut targets = Vec::new();
    for task in tasks {
        let labels = task.labels();
        let (service, service_ports): (&[_], &[&Port]) =
            around.services.get(task.service.as_str()).map_or((&[], &[]), |(labels, ports)| (labels, ports));
        let (node, machine) = around.nodes.get(task.node.as_str()).map_or((&[][..], ""), |(labels, at)| (labels, *at));
        let mode = |port: &Port| [named("task_port_publish_mode", &port.publish_mode)];
        targets.extend(
            task.ports().map(|port| target(machine, port.published_port, &[&mode(port), &labels, service, node])),
        );
        for (address, network) in task.addresses() {
            let network = around.networks.labels(network);
            targets.extend(
                service_ports
                    .iter()
                    .map(|port| target(&address, port.published_port, &[&mode(port), &labels, service, node, network])),
            );
            if service_ports.is_empty() {
                targets.push(target(&address, port, &[&labels, service, node, network]));
            }
        }
    }
    targets
}
