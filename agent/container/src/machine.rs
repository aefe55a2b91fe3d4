//! The machine's own figures: `machine_*` and what the root cgroup needs.

use agent_exposition::{Kind, Page};
use agent_procfs::{CachedFile, Root, cpu_list, cpuinfo, meminfo, os_release, stat};

use crate::compat::{Compat, Quirk};
use crate::config::Config;
use crate::sets::Set;
use crate::topology::{self, Figure, Topology};

/// What was read of the machine for one scrape.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Machine {
    /// Bytes.
    pub(crate) memory_total: Option<u64>,
    /// Bytes.
    pub(crate) swap_total: Option<u64>,
    /// Bytes.
    pub(crate) swap_used: Option<u64>,
    pub(crate) cpus: Option<usize>,
}

/// Reads it, and keeps what does not change.
pub(crate) struct MachineReader {
    root: Root,
    meminfo: CachedFile,
    online: CachedFile,
    /// For which list of CPUs the topology was read.
    known_online: Vec<u8>,
    counts: Counts,
    identity: Option<Identity>,
    compat: Compat,
    /// Whether the machine's caches, cores and nodes are shown.
    detailed: bool,
    built: Option<Built>,
}

/// What changes with the list of CPUs at most.
#[derive(Debug)]
struct Built {
    topology: Topology,
    modules: Vec<Figure>,
    books: Option<u64>,
    drawers: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    cpus: Option<usize>,
    cores: Option<usize>,
    sockets: Option<usize>,
}

#[derive(Debug, Default)]
struct Identity {
    labels: Vec<(&'static str, String)>,
    kernel: String,
    os: String,
    /// Seconds since 1970.
    boot_time: Option<u64>,
}

impl MachineReader {
    pub(crate) fn new(config: &Config) -> Self {
        let root = &config.root;
        Self {
            root: root.clone(),
            meminfo: CachedFile::new(root.proc("meminfo")),
            online: CachedFile::new(root.sys("devices/system/cpu/online")),
            known_online: Vec::new(),
            counts: Counts::default(),
            identity: None,
            compat: config.compat,
            detailed: config.sets.has(Set::CpuTopology),
            built: None,
        }
    }

    /// When the machine started, seconds since 1970.
    pub(crate) fn boot_time(&mut self) -> Option<u64> {
        self.identity().boot_time
    }

    pub(crate) fn read(&mut self) -> Machine {
        self.read_topology();
        let mut machine = Machine { cpus: self.counts.cpus, ..Machine::default() };
        let Some(fields) = self.meminfo.read().ok().and_then(|text| meminfo::parse(text).ok()) else { return machine };
        let mut swap_free = None;
        for field in fields.value {
            let bytes = Some(field.value).filter(|_| field.bytes);
            match field.name {
                "MemTotal" => machine.memory_total = bytes,
                "SwapTotal" => machine.swap_total = bytes,
                "SwapFree" => swap_free = bytes,
                _ => {}
            }
        }
        machine.swap_used = machine.swap_total.zip(swap_free).map(|(total, free)| total.saturating_sub(free));
        machine
    }

    /// `/proc/cpuinfo` is costly to read (the kernel measures frequencies for it) and changes only with the list of
    /// CPUs.
    fn read_topology(&mut self) {
        let online = self.online.read().map(<[u8]>::to_vec).unwrap_or_default();
        if self.counts != Counts::default() && online == self.known_online {
            return;
        }
        let mut text = Vec::new();
        let read = self.root.read_into(&self.root.proc("cpuinfo"), &mut text);
        let mut topology = read.map(|()| counts_of(&text, self.compat)).unwrap_or_default();
        if let Ok(cpus) = cpu_list::parse(&online)
            && !cpus.is_empty()
        {
            topology.cpus = Some(cpus.len());
        }
        self.counts = topology;
        self.known_online = online;
        self.built = None;
    }

    fn identity(&mut self) -> &Identity {
        let root = &self.root;
        self.identity.get_or_insert_with(|| Identity::read(root))
    }

    /// Adds `machine_*`, at a time where the samples shall bear one; says whether everything could be read.
    pub(crate) fn collect(&mut self, machine: &Machine, at_ms: Option<i64>, page: &mut Page) -> bool {
        let counts = self.counts;
        let (root, detailed) = (self.root.clone(), self.detailed);
        let built = self.built.get_or_insert_with(|| {
            let (books, drawers) = topology::books_and_drawers(&root);
            let topology = if detailed { Topology::read(&root) } else { Topology::default() };
            Built { topology, modules: topology::memory_modules(&root), books, drawers }
        });
        let zero = self.compat.has(Quirk::MachineZeroes).then_some(0);
        let (books, drawers) = (built.books.or(zero), built.drawers.or(zero));
        let mut figures = built.topology.figures();
        figures.extend(built.modules.iter().cloned());
        if zero.is_some() {
            figures.extend(topology::no_persistent_memory());
        }
        let identity = self.identity.get_or_insert_with(|| Identity::read(&root));
        let of_machine: Vec<(&str, &str)> =
            identity.labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let single = [
            ("machine_cpu_cores", "Logical CPUs that are online.", counts.cpus.map(|n| n as u64)),
            (
                "machine_cpu_physical_cores",
                "CPU cores; equal core numbers of several sockets are several cores.",
                counts.cores.map(|n| n as u64),
            ),
            ("machine_cpu_sockets", "CPU sockets.", counts.sockets.map(|n| n as u64)),
            ("machine_cpu_books", "Books of an IBM mainframe.", books),
            ("machine_cpu_drawers", "Drawers of an IBM mainframe.", drawers),
            ("machine_memory_bytes", "Memory in bytes.", machine.memory_total),
            ("machine_swap_bytes", "Swap in bytes.", machine.swap_total),
        ];
        let mut put = |name, help, labels: &[(&str, &str)], value| {
            let family = page.family(name, help, Kind::Gauge);
            match at_ms {
                Some(at) => page.sample_at(family, labels, value, at),
                None => page.sample(family, labels, value),
            }
        };
        for (name, help, value) in single {
            if let Some(value) = value {
                put(name, help, &of_machine, value as f64);
            }
        }
        for figure in &figures {
            let own = figure.labels.iter().map(|(name, value)| (*name, value.as_str()));
            let mut labels: Vec<_> = of_machine.iter().copied().chain(own).collect();
            labels.sort_unstable();
            put(figure.name, figure.help, &labels, figure.value);
        }
        counts.cpus.is_some() && machine.memory_total.is_some()
    }

    /// Adds `cadvisor_version_info`.
    pub(crate) fn version_info(&mut self, version: &str, revision: &str, docker: Option<&str>, page: &mut Page) {
        let compat = self.compat;
        let docker = docker.filter(|_| !compat.has(Quirk::NoDockerVersion));
        let identity = self.identity();
        let all = [
            ("cadvisorRevision", revision),
            ("cadvisorVersion", version),
            ("dockerVersion", docker.unwrap_or_default()),
            ("kernelVersion", identity.kernel.as_str()),
            ("osVersion", identity.os.as_str()),
        ];
        let keeps_empty = compat.has(Quirk::NoDockerVersion);
        let labels: Vec<_> = all.into_iter().filter(|(_, value)| keeps_empty || !value.is_empty()).collect();
        let family = page.family(
            "cadvisor_version_info",
            "Versions of this agent, of the machine's kernel and system, and of Docker.",
            Kind::Gauge,
        );
        page.sample(family, &labels, 1.0);
    }
}

impl Identity {
    fn read(root: &Root) -> Self {
        let line = |path: std::path::PathBuf| {
            std::fs::read_to_string(path).map(|text| text.trim().to_owned()).ok().filter(|text| !text.is_empty())
        };
        let machine_id =
            line(root.rootfs.join("etc/machine-id")).or_else(|| line(root.rootfs.join("var/lib/dbus/machine-id")));
        let labels = [
            ("boot_id", line(root.proc("sys/kernel/random/boot_id"))),
            ("machine_id", machine_id),
            ("system_uuid", line(root.sys("class/dmi/id/product_uuid"))),
        ];
        let mut text = Vec::new();
        let os = ["etc/os-release", "usr/lib/os-release"]
            .iter()
            .find_map(|path| root.read_into(&root.rootfs.join(path), &mut text).ok())
            .and_then(|()| os_release::parse(&text).get("PRETTY_NAME").map(str::to_owned));
        let boot_time = root
            .read_into(&root.proc("stat"), &mut text)
            .ok()
            .and_then(|()| stat::parse(&text).ok())
            .and_then(|stat| stat.value.boot_time);
        Self {
            labels: labels.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
            kernel: line(root.proc("sys/kernel/osrelease")).unwrap_or_default(),
            os: os.unwrap_or_default(),
            boot_time,
        }
    }
}

/// Cores are told apart by their number and that of their socket. Absent where the architecture tells neither.
fn counts_of(text: &[u8], compat: Compat) -> Counts {
    let cpus = cpuinfo::parse(text);
    let distinct = |key: &dyn Fn(&cpuinfo::CpuInfo<'_>) -> Option<(String, String)>| {
        let mut keys: Vec<_> = cpus.iter().filter_map(key).collect();
        keys.sort_unstable();
        keys.dedup();
        Some(keys.len()).filter(|count| *count > 0)
    };
    let socket = |cpu: &cpuinfo::CpuInfo<'_>| cpu.get("physical id").map(str::to_owned);
    let core = |cpu: &cpuinfo::CpuInfo<'_>| cpu.get("core id").map(str::to_owned);
    Counts {
        cpus: distinct(&|cpu| Some((cpu.get("processor")?.to_owned(), String::new()))),
        cores: distinct(&|cpu| {
            let socket = socket(cpu).filter(|_| !compat.has(Quirk::CoresBySocketLost));
            Some((socket.unwrap_or_default(), core(cpu)?))
        }),
        sockets: distinct(&|cpu| Some((socket(cpu)?, String::new()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_core_numbers_of_two_sockets_are_two_cores() {
        let cpu =
            |number, socket, core| format!("processor\t: {number}\nphysical id\t: {socket}\ncore id\t\t: {core}\n\n");
        let text: String =
            [(0, 0, 0), (1, 0, 0), (2, 1, 0), (3, 1, 1)].iter().map(|(n, s, c)| cpu(*n, *s, *c)).collect();
        let want = Counts { cpus: Some(4), cores: Some(3), sockets: Some(2) };
        assert_eq!(counts_of(text.as_bytes(), Compat::default()), want);
    }

    #[test]
    fn an_architecture_without_topology_has_none() {
        let want = Counts { cpus: Some(1), cores: None, sockets: None };
        assert_eq!(counts_of(b"processor\t: 0\nBogoMIPS\t: 50.00\n\n", Compat::default()), want);
        assert_eq!(counts_of(b"", Compat::default()), Counts::default());
    }
}
