//! How the machine is built: caches, cores, NUMA nodes and memory modules, from sysfs.
//!
//! It changes only when CPUs come or go, so it is read then; only the number of huge pages, which an administrator
//! changes, is read each time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use agent_procfs::{Root, cpu_list, numa};

/// A sample of the machine.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    /// Sorted by name.
    pub(crate) labels: Vec<(&'static str, String)>,
    pub(crate) value: f64,
}

fn figure(name: &'static str, help: &'static str, labels: Vec<(&'static str, String)>, value: f64) -> Figure {
    Figure { name, help, labels, value }
}

/// What the set `cpu_topology` shows.
#[derive(Debug, Default)]
pub(crate) struct Topology {
    fixed: Vec<Figure>,
    hugepages: Vec<(String, String, PathBuf)>,
}

impl Topology {
    pub(crate) fn read(root: &Root) -> Self {
        let nodes = numbered(&root.sys("devices/system/node"), "node");
        let cpus = cpus(root, &nodes);
        let mut fixed = caches(&cpus);
        fixed.extend(siblings(&cpus));
        fixed.extend(nodes.iter().flat_map(|(node, path)| of_node(*node, path)));
        let hugepages = nodes.iter().flat_map(|(node, path)| {
            let sizes = named(&path.join("hugepages"), "hugepages-");
            sizes.into_iter().filter_map(|(name, folder)| {
                let size = name.strip_suffix("kB")?.to_owned();
                Some((node.to_string(), size, folder.join("nr_hugepages")))
            })
        });
        Self { hugepages: hugepages.collect(), fixed }
    }

    /// All samples as they are now.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let hugepages = self.hugepages.iter().filter_map(|(node, size, file)| {
            let labels = vec![("node_id", node.clone()), ("page_size", size.clone())];
            let help = "Huge pages of a NUMA node by size in KiB.";
            Some(figure("machine_node_hugepages_count", help, labels, number(file)? as f64))
        });
        self.fixed.iter().cloned().chain(hugepages).collect()
    }
}

/// The memory modules that the EDAC drivers know, by type.
pub(crate) fn memory_modules(root: &Root) -> Vec<Figure> {
    let mut by_type: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (_, controller) in numbered(&root.sys("devices/system/edac/mc"), "mc") {
        for (_, module) in numbered(&controller, "dimm") {
            let kind = line(&module.join("dimm_mem_type"));
            let (Some(kind), Some(mib)) = (kind, number(&module.join("size"))) else { continue };
            let (count, bytes) = by_type.entry(kind).or_default();
            *count += 1;
            *bytes = bytes.saturating_add(mib.saturating_mul(1 << 20));
        }
    }
    let mut figures = Vec::new();
    for (kind, (count, bytes)) in by_type {
        let labels = vec![("type", kind)];
        figures.push(figure("machine_dimm_count", "Memory modules by type.", labels.clone(), count as f64));
        let help = "Capacity of memory modules by type, in bytes.";
        figures.push(figure("machine_dimm_capacity_bytes", help, labels, bytes as f64));
    }
    figures
}

/// Books and drawers, the levels above sockets that IBM's mainframes have; nothing elsewhere.
pub(crate) fn books_and_drawers(root: &Root) -> (Option<u64>, Option<u64>) {
    let cpus = numbered(&root.sys("devices/system/cpu"), "cpu");
    let distinct = |file: &str| {
        // The kernel has the file for all CPUs or for none.
        number(&cpus.first()?.1.join(file))?;
        Some(cpus.iter().filter_map(|(_, path)| number(&path.join(file))).collect::<BTreeSet<_>>().len() as u64)
    };
    (distinct("topology/book_id"), distinct("topology/drawer_id"))
}

/// What cAdvisor says of non-volatile memory where it was built without the library for it, as its images are.
pub(crate) fn no_persistent_memory() -> Vec<Figure> {
    let help = "Capacity of non-volatile memory by mode.";
    let mode = |mode: &str| figure("machine_nvm_capacity", help, vec![("mode", mode.to_owned())], 0.0);
    let budget = "Power budget of non-volatile memory in watts.";
    vec![
        mode("app_direct_mode"),
        mode("memory_mode"),
        figure("machine_nvm_avg_power_budget_watts", budget, Vec::new(), 0.0),
    ]
}

#[derive(Debug)]
struct Cpu {
    number: u32,
    node: String,
    core: String,
    /// The threads of its core, itself among them.
    siblings: BTreeSet<u32>,
    path: PathBuf,
}

/// The CPUs that are online, with their node: 0 on a machine without nodes.
fn cpus(root: &Root, nodes: &[(u32, PathBuf)]) -> Vec<Cpu> {
    let of_nodes: Vec<(u32, BTreeSet<u32>)> =
        nodes.iter().map(|(node, path)| (*node, list(&path.join("cpulist")))).collect();
    let node_of = |cpu| of_nodes.iter().find(|(_, cpus)| cpus.contains(&cpu)).map_or(0, |(node, _)| *node);
    let all = numbered(&root.sys("devices/system/cpu"), "cpu").into_iter();
    all.filter_map(|(number, path)| {
        // Without this file the CPU is offline.
        let core = self::number(&path.join("topology/core_id"))?.to_string();
        let siblings = list(&path.join("topology/thread_siblings_list"));
        Some(Cpu { number, node: node_of(number).to_string(), core, siblings, path })
    })
    .collect()
}

/// Caches that only the threads of one core share are the core's; others are the node's, those of equal level and type
/// added.
fn caches(cpus: &[Cpu]) -> Vec<Figure> {
    let mut seen = BTreeSet::new();
    let mut sizes: BTreeMap<(String, String, String, String), u64> = BTreeMap::new();
    for cpu in cpus {
        for (_, cache) in numbered(&cpu.path.join("cache"), "index") {
            let shared = list(&cache.join("shared_cpu_list"));
            let (Some(kind), Some(level)) = (line(&cache.join("type")), line(&cache.join("level"))) else { continue };
            let Some(bytes) = line(&cache.join("size")).and_then(|size| bytes_of(&size)) else { continue };
            if !seen.insert((level.clone(), kind.clone(), shared.clone())) {
                continue;
            }
            let is_cores = shared.is_subset(&cpu.siblings);
            let core = if is_cores { cpu.core.clone() } else { String::new() };
            let size = sizes.entry((cpu.node.clone(), core, kind, level)).or_default();
            // Two sockets that make one node have cores of equal numbers, and these are alike.
            *size = if is_cores { bytes.max(*size) } else { size.saturating_add(bytes) };
        }
    }
    let help = "Size of the processor's caches in bytes: those of a core, and those that cores of a node share.";
    let labels = |core: String, level, node, kind| {
        let core = Some(("core_id", core)).filter(|(_, core)| !core.is_empty());
        core.into_iter().chain([("level", level), ("node_id", node), ("type", kind)]).collect()
    };
    let all = sizes.into_iter();
    all.map(|((node, core, kind, level), bytes)| {
        figure("machine_cpu_cache_capacity_bytes", help, labels(core, level, node, kind), bytes as f64)
    })
    .collect()
}

fn siblings(cpus: &[Cpu]) -> impl Iterator<Item = Figure> {
    cpus.iter().map(|cpu| {
        let labels =
            vec![("core_id", cpu.core.clone()), ("node_id", cpu.node.clone()), ("thread_id", cpu.number.to_string())];
        let help = "Threads of the core that a thread belongs to.";
        figure("machine_thread_siblings_count", help, labels, cpu.siblings.len().max(1) as f64)
    })
}

fn of_node(node: u32, path: &Path) -> Vec<Figure> {
    let mut figures = Vec::new();
    let id = ("node_id", node.to_string());
    let text = std::fs::read(path.join("meminfo")).unwrap_or_default();
    if let Some(total) = numa::meminfo(&text).value.iter().find(|field| field.name == "MemTotal") {
        let help = "Memory of a NUMA node in bytes.";
        figures.push(figure("machine_node_memory_capacity_bytes", help, vec![id.clone()], total.value as f64));
    }
    for (target, distance) in line(&path.join("distance")).unwrap_or_default().split_ascii_whitespace().enumerate() {
        if let Ok(distance) = distance.parse::<u32>() {
            let labels = vec![id.clone(), ("target_node_id", target.to_string())];
            let help = "Distance from a NUMA node to another as the firmware tells it; 10 to itself.";
            figures.push(figure("machine_node_distance", help, labels, f64::from(distance)));
        }
    }
    figures
}

/// `32K`, `1024K`, `8M`.
fn bytes_of(size: &str) -> Option<u64> {
    let (digits, unit) = match size.strip_suffix('K') {
        Some(digits) => (digits, 1 << 10),
        None => size.strip_suffix('M').map_or((size, 1), |digits| (digits, 1 << 20)),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// The entries `PREFIX<number>` of a folder, by number.
fn numbered(folder: &Path, prefix: &str) -> Vec<(u32, PathBuf)> {
    let mut all: Vec<_> =
        named(folder, prefix).into_iter().filter_map(|(rest, path)| Some((rest.parse().ok()?, path))).collect();
    all.sort_unstable();
    all
}

/// The entries of a folder with a prefix: what follows it, and the path.
fn named(folder: &Path, prefix: &str) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<_> = entries
        .filter_map(|entry| Some((entry.file_name().to_str()?.strip_prefix(prefix)?.to_owned(), entry.path())))
        .collect();
    all.sort_unstable();
    all
}

fn line(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn number(path: &Path) -> Option<u64> {
    line(path)?.parse().ok()
}

fn list(path: &Path) -> BTreeSet<u32> {
    let text = std::fs::read(path).unwrap_or_default();
    cpu_list::parse(&text).unwrap_or_default().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (path, content) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
    }

    fn shown(figures: &[Figure]) -> Vec<String> {
        figures
            .iter()
            .map(|f| {
                let labels: Vec<_> = f.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("{}{{{}}} {}", f.name.trim_start_matches("machine_"), labels.join(","), f.value)
            })
            .collect()
    }

    #[test]
    fn two_last_caches_of_a_node_are_added_and_a_core_keeps_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root { sysfs: folder.path().to_owned(), ..Root::default() };
        for (cpu, core, threads, last) in
            [(0, 0, "0-1", "0-2"), (1, 0, "0-1", "0-2"), (2, 1, "2", "0-2"), (3, 2, "3", "3-4"), (4, 3, "4", "3-4")]
        {
            let at = |file: &str| format!("devices/system/cpu/cpu{cpu}/{file}");
            let files = [
                ("topology/core_id", core.to_string()),
                ("topology/thread_siblings_list", threads.to_owned()),
                ("cache/index0/type", "Data".to_owned()),
                ("cache/index0/level", "1".to_owned()),
                ("cache/index0/size", "32K".to_owned()),
                ("cache/index0/shared_cpu_list", threads.to_owned()),
                ("cache/index3/type", "Unified".to_owned()),
                ("cache/index3/level", "3".to_owned()),
                ("cache/index3/size", "1M".to_owned()),
                ("cache/index3/shared_cpu_list", last.to_owned()),
            ];
            for (file, content) in files {
                write(folder.path(), &[(&at(file), &content)]);
            }
        }
        let got = shown(&Topology::read(&root).figures());
        assert_eq!(
            got,
            [
                "cpu_cache_capacity_bytes{level=3,node_id=0,type=Unified} 2097152",
                "cpu_cache_capacity_bytes{core_id=0,level=1,node_id=0,type=Data} 32768",
                "cpu_cache_capacity_bytes{core_id=1,level=1,node_id=0,type=Data} 32768",
                "cpu_cache_capacity_bytes{core_id=2,level=1,node_id=0,type=Data} 32768",
                "cpu_cache_capacity_bytes{core_id=3,level=1,node_id=0,type=Data} 32768",
                "thread_siblings_count{core_id=0,node_id=0,thread_id=0} 2",
                "thread_siblings_count{core_id=0,node_id=0,thread_id=1} 2",
                "thread_siblings_count{core_id=1,node_id=0,thread_id=2} 1",
                "thread_siblings_count{core_id=2,node_id=0,thread_id=3} 1",
                "thread_siblings_count{core_id=3,node_id=0,thread_id=4} 1",
            ]
        );
    }

    #[test]
    fn memory_modules_are_added_by_type() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root { sysfs: folder.path().to_owned(), ..Root::default() };
        write(
            folder.path(),
            &[
                ("devices/system/edac/mc/mc0/dimm0/dimm_mem_type", "Unbuffered-DDR4\n"),
                ("devices/system/edac/mc/mc0/dimm0/size", "4096\n"),
                ("devices/system/edac/mc/mc1/dimm2/dimm_mem_type", "Unbuffered-DDR4\n"),
                ("devices/system/edac/mc/mc1/dimm2/size", "4096\n"),
                ("devices/system/edac/mc/mc1/dimm3/dimm_mem_type", "Unbuffered-DDR4\n"),
            ],
        );
        let got = shown(&memory_modules(&root));
        assert_eq!(got, ["dimm_count{type=Unbuffered-DDR4} 2", "dimm_capacity_bytes{type=Unbuffered-DDR4} 8589934592"]);
    }

    #[test]
    fn books_are_counted_where_there_are_any() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root { sysfs: folder.path().to_owned(), ..Root::default() };
        assert_eq!(books_and_drawers(&root), (None, None));
        write(
            folder.path(),
            &[("devices/system/cpu/cpu0/topology/book_id", "1"), ("devices/system/cpu/cpu1/topology/book_id", "2")],
        );
        assert_eq!(books_and_drawers(&root), (Some(2), None));
    }

    #[test]
    fn sizes() {
        assert_eq!(["32K", "8M", "512", "x", "K"].map(bytes_of), [Some(32768), Some(8 << 20), Some(512), None, None]);
    }
}
