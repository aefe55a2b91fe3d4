//! Memory by NUMA node, from `/sys/devices/system/node/nodeN/meminfo` and `numastat`.

use std::path::PathBuf;

use agent_exposition::{Kind, Page};
use agent_procfs::numa;

use crate::numbered::Numbered;
use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "meminfo_numa",
    help: "Memory by NUMA node.",
    default_on: false,
    flags: &[],
    build: |context| {
        let nodes = Numbered::new(context.root.sys("devices/system/node"), "node", Node::new);
        Ok(Box::new(MeminfoNuma { nodes }))
    },
};

struct MeminfoNuma {
    nodes: Numbered<Node>,
}

struct Node {
    meminfo: Source,
    numastat: Source,
}

impl Node {
    fn new(directory: PathBuf) -> Self {
        Self { meminfo: Source::new(directory.join("meminfo")), numastat: Source::new(directory.join("numastat")) }
    }
}

impl Collector for MeminfoNuma {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let mut outcome = Outcome::Nothing;
        for (number, node) in self.nodes.list()? {
            let label = number.to_string();
            let fields = match node.meminfo.parse_lossy(|bytes| Ok(numa::meminfo(bytes))) {
                Ok(fields) => fields,
                // The node has just been taken away.
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error.into()),
            };
            outcome = Outcome::Collected;
            for field in fields {
                let name = field.name.replace('(', "_").replace(')', "");
                let help = format!("Field {} of the node's meminfo.", field.name);
                let family = page.family(format!("node_memory_numa_{name}"), help, Kind::Gauge);
                page.sample(family, &[("node", &label)], field.value as f64);
            }
            for (name, pages) in node.numastat.parse_lossy(|bytes| Ok(numa::numastat(bytes)))? {
                let family = page.family(format!("node_memory_numa_{name}_total"), help(name), Kind::Counter);
                page.sample(family, &[("node", &label)], pages as f64);
            }
        }
        Ok(outcome)
    }
}

fn help(field: &str) -> String {
    let known = match field {
        "interleave_hit" => "Pages taken here because nodes take turns, since boot.",
        "local_node" => "Pages given to tasks that run on this node, since boot.",
        "numa_foreign" => "Pages wanted here and taken from another node, since boot.",
        "numa_hit" => "Pages taken where they were wanted, since boot.",
        "numa_miss" => "Pages taken here and wanted on another node, since boot.",
        "other_node" => "Pages given to tasks that run on other nodes, since boot.",
        field => return format!("Field {field} of the node's numastat."),
    };
    known.to_owned()
}
