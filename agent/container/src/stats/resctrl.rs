//! Cache and memory bandwidth as the processor counts them, from the monitoring groups below `/sys/fs/resctrl`.
//!
//! Here groups are only read. Container runtimes make them where they are told to (`mon_groups/<id>`), cAdvisor does
//! (`cadvisor-<path>`), and so does `background/monitoring.rs` where it is asked to (`atalaia-<id>`): a group is a container's when its name ends in the container's id. The root has that of the
//! machine's default group.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use agent_exposition::SharedId;
use agent_procfs::{Root, cgroup};

use crate::catalogue::Metric;
use crate::cgroups::{Desk, Records};
use crate::identity;
use crate::sheet::Sheet;

/// A processor has a few hundred at most.
const MOST_GROUPS: usize = 4096;

const FIGURES: &[(&str, Metric)] = &[
    ("llc_occupancy", Metric::LlcOccupancy),
    ("mbm_local_bytes", Metric::MemoryBandwidthLocal),
    ("mbm_total_bytes", Metric::MemoryBandwidth),
];

/// Where each container's figures are.
pub(crate) struct Groups {
    root: PathBuf,
    by_container: HashMap<String, PathBuf>,
}

impl Groups {
    /// Lists the groups as they are now; none where the processor or the kernel cannot count, or nothing is mounted.
    pub(crate) fn find(root: &Root) -> Self {
        let root = root.sys("fs/resctrl");
        let mut by_container = HashMap::new();
        let control_groups =
            folders(&root).into_iter().filter(|path| !is_named(path, &["info", "mon_groups", "mon_data"]));
        for control in std::iter::once(root.clone()).chain(control_groups) {
            let itself = (control != root).then(|| control.clone());
            for group in folders(&control.join("mon_groups")).into_iter().chain(itself) {
                if by_container.len() >= MOST_GROUPS {
                    break;
                }
                let name = group.file_name().and_then(|name| name.to_str());
                if let Some(id) = name.and_then(identity::container_of_path) {
                    by_container.entry(id.to_owned()).or_insert(group.clone());
                }
            }
        }
        Self { root, by_container }
    }

    /// Adds the figures of a container, or with no id those of the root.
    pub(crate) fn put(&self, container: Option<&str>, labels: SharedId, desk: &mut Desk, sheet: &mut Sheet<'_>) {
        let group = match container {
            None => Some(&self.root),
            Some(id) => self.by_container.get(id),
        };
        let Some(group) = group else { return };
        for domain in folders(&group.join("mon_data")) {
            let name = domain.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix("mon_L3_"));
            let Some(node) = name.and_then(|number| number.parse::<u32>().ok()) else { continue };
            let node = node.to_string();
            for (file, metric) in FIGURES {
                // `Unavailable` and `Error` are no numbers.
                if let Some(value) = desk.read_path(&domain.join(file), Records::One).and_then(cgroup::number) {
                    sheet.put(*metric, labels, &[("node_id", &node)], value as f64);
                }
            }
        }
    }
}

pub(crate) fn is_named(path: &Path, names: &[&str]) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| names.contains(&name))
}

pub(crate) fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut folders: Vec<_> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .take(MOST_GROUPS)
        .collect();
    folders.sort_unstable();
    folders
}
