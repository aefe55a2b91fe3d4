//! Memory by NUMA node, from `/sys/devices/system/node/nodeN/meminfo` and `numastat`.

use std::path::Path;

use agent_exposition::{Kind, Page};
use agent_procfs::numa;

use crate::devices::Devices;
use crate::directory::number_after;
use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "meminfo_numa",
    help: "Memory by NUMA node.",
    default_on: false,
    flags: &[],
    build: |context| Ok(Box::new(MeminfoNuma { nodes: Devices::new(context.root.sys("devices/system/node")) })),
};

struct MeminfoNuma {
    nodes: Devices<Node>,
}

struct Node {
    number: String,
    meminfo: Source,
    numastat: Source,
}

impl Node {
    /// Nothing for what is no node.
    fn open(name: &str, directory: &Path) -> Option<Self> {
        let number = number_after("node", name)?.to_owned();
        let file = |name| Source::new(directory.join(name));
        Some(Self { number, meminfo: file("meminfo"), numastat: file("numastat") })
    }
}

impl Collector for MeminfoNuma {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        self.nodes.refresh(|name, directory| Node::open(name, &directory))?;
        let mut outcome = Outcome::Nothing;
        let mut nodes: Vec<_> = self.nodes.iter_mut().map(|(_, node)| node).collect();
        // By name the tenth would come before the second.
        nodes.sort_unstable_by(|a, b| (a.number.len(), &a.number).cmp(&(b.number.len(), &b.number)));
        for Node { number, meminfo, numastat } in nodes {
            let fields = match meminfo.parse_lossy(|bytes| Ok(numa::meminfo(bytes))) {
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
                page.sample(family, &[("node", number.as_str())], field.value as f64);
            }
            for (name, pages) in numastat.parse_lossy(|bytes| Ok(numa::numastat(bytes)))? {
                let family = page.family(format!("node_memory_numa_{name}_total"), help(name), Kind::Counter);
                page.sample(family, &[("node", number.as_str())], pages as f64);
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
