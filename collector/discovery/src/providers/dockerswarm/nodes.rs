//! Nodes: the machines of the swarm, one target each.

use std::collections::BTreeMap;

use collector_model::Labels;
use serde::Deserialize;

use super::PREFIX;
use crate::meta::{Pairs, foreign, target};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Node {
    #[serde(rename = "ID")]
    pub(super) id: String,
    spec: NodeSpec,
    description: Description,
    status: Status,
    /// Managers have one.
    manager_status: Option<ManagerStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NodeSpec {
    role: String,
    availability: String,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Description {
    hostname: String,
    platform: Platform,
    engine: EngineDescription,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Platform {
    architecture: String,
    #[serde(rename = "OS")]
    os: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct EngineDescription {
    engine_version: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Status {
    state: String,
    addr: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ManagerStatus {
    leader: bool,
    reachability: String,
    addr: String,
}

impl Node {
    pub(super) fn address(&self) -> &str {
        &self.status.addr
    }

    /// What the tasks on a node tell of it.
    pub(super) fn labels(&self) -> Pairs {
        let mut labels = named([
            ("id", &self.id),
            ("role", &self.spec.role),
            ("address", &self.status.addr),
            ("availability", &self.spec.availability),
            ("hostname", &self.description.hostname),
            ("platform_architecture", &self.description.platform.architecture),
            ("platform_os", &self.description.platform.os),
            ("status", &self.status.state),
        ]);
        if let Some(own) = &self.spec.labels {
            labels.extend(foreign(&format!("{PREFIX}node_label_"), own));
        }
        labels
    }

    /// What only the node itself tells.
    fn more_labels(&self) -> Pairs {
        let mut labels = named([("engine_version", &self.description.engine.engine_version)]);
        if let Some(manager) = &self.manager_status {
            labels.extend(named([
                ("manager_leader", &manager.leader.to_string()),
                ("manager_reachability", &manager.reachability),
                ("manager_address", &manager.addr),
            ]));
        }
        labels
    }
}

fn named<const N: usize>(labels: [(&str, &String); N]) -> Pairs {
    labels.into_iter().map(|(name, value)| (format!("{PREFIX}node_{name}"), value.clone())).collect()
}

pub(super) fn targets(nodes: &[Node], port: u32) -> Vec<Labels> {
    nodes.iter().map(|node| target(node.address(), port, &[&node.labels(), &node.more_labels()])).collect()
}
