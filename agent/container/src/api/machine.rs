//! The machine: its processors, memory, disks and interfaces, as `MachineInfo` and `Attributes` have them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use agent_procfs::{MountLists, Root, cpu_list, mountinfo, numa};

use super::json::Json;
use crate::collect::Collection;
use crate::history::Sample;
use crate::machine::Told;

/// What is told of the machine, and of who tells it.
pub(super) struct About<'a> {
    pub(super) root: &'a Root,
    pub(super) told: Told,
    /// The root cgroup's newest reading, for the file systems.
    pub(super) newest: Option<&'a Sample>,
    pub(super) version: &'a str,
    pub(super) engine: Option<&'a str>,
}

impl<'a> About<'a> {
    pub(super) fn new(collection: &mut Collection, root: &'a Root, newest: Option<&'a Sample>) -> Self {
        Self { root, told: collection.machine.told(), newest, version: "", engine: None }
    }

    /// `MachineInfo`.
    pub(super) fn machine_info(&self) -> String {
        let mut json = Json::default();
        json.object();
        json.number("num_cores", self.told.cpus);
        json.number("num_physical_cores", self.told.cores);
        json.number("num_sockets", self.told.sockets);
        json.number("cpu_frequency_khz", self.frequency());
        json.number("memory_capacity", self.told.memory_total);
        json.number("swap_capacity", self.told.swap_total);
        huge_pages(&mut json, &self.root.sys("kernel/mm/hugepages"));
        json.text("machine_id", self.label("machine_id"));
        json.text("system_uuid", self.label("system_uuid"));
        json.text("boot_id", self.label("boot_id"));
        self.parts(&mut json);
        json.text("instance_id", "None");
        json.end_object();
        json.finish()
    }

    /// `Attributes` of version 2.
    pub(super) fn attributes(&self) -> String {
        let mut json = Json::default();
        json.object();
        json.text("kernel_version", &self.told.kernel);
        json.text("container_os_version", &self.told.os);
        json.text("docker_version", self.engine.unwrap_or_default());
        json.text("cadvisor_version", self.version);
        json.number("num_cores", self.told.cpus);
        json.number("cpu_frequency_khz", self.frequency());
        json.number("memory_capacity", self.told.memory_total);
        json.text("machine_id", self.label("machine_id"));
        json.text("system_uuid", self.label("system_uuid"));
        self.parts(&mut json);
        json.end_object();
        json.finish()
    }

    fn label(&self, name: &str) -> &str {
        self.told.labels.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }

    /// The highest clock of the first CPU, kHz.
    fn frequency(&self) -> Option<u64> {
        number(&self.root.sys("devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")).or(self.told.frequency_khz)
    }

    fn parts(&self, json: &mut Json) {
        json.list_in("filesystems");
        for file_system in self.newest.map(|sample| sample.file_systems.as_slice()).unwrap_or_default() {
            json.object();
            json.text("device", &file_system.device);
            json.number("capacity", file_system.size);
            json.text("type", "vfs");
            json.number("inodes", file_system.inodes);
            json.flag("has_inodes", file_system.inodes.is_some());
            json.end_object();
        }
        json.end_list();
        self.disks(json);
        self.interfaces(json);
        self.topology(json);
        json.text("cloud_provider", "Unknown");
        json.text("instance_type", "Unknown");
    }

    fn disks(&self, json: &mut Json) {
        json.object_in("disk_map");
        for name in names(&self.root.sys("block")) {
            if ["loop", "ram", "sr", "zram"].iter().any(|prefix| name.starts_with(prefix)) {
                continue;
            }
            let folder = self.root.sys("block").join(&name);
            let Some(numbers) = line(&folder.join("dev")) else { continue };
            let Some((major, minor)) = numbers.split_once(':') else { continue };
            json.object_in(&numbers);
            json.text("name", &name);
            json.number("major", major.parse().ok());
            json.number("minor", minor.parse().ok());
            // Sectors are 512 bytes here, whatever the device's are.
            json.number("size", number(&folder.join("size")).and_then(|sectors| sectors.checked_mul(512)));
            let scheduler = line(&folder.join("queue/scheduler"));
            let scheduler = scheduler.as_deref().and_then(|all| all.split_once('[')?.1.split_once(']'));
            json.text("scheduler", scheduler.map_or("none", |(chosen, _)| chosen));
            json.end_object();
        }
        json.end_object();
    }

    fn interfaces(&self, json: &mut Json) {
        json.list_in("network_devices");
        for name in names(&self.root.sys("class/net")) {
            let folder = self.root.sys("class/net").join(&name);
            // Files beside the interfaces, such as `bonding_masters`.
            let ours = ["lo", "veth", "docker", "nerdctl"].iter().any(|prefix| name.starts_with(prefix));
            if ours || !folder.is_dir() {
                continue;
            }
            json.object();
            json.text("name", &name);
            json.text_if("mac_address", line(&folder.join("address")).as_deref());
            // Interfaces that are down, and virtual ones, have none.
            let speed = line(&folder.join("speed")).and_then(|speed| speed.parse().ok());
            json.signed("speed", speed.unwrap_or(0));
            json.number("mtu", number(&folder.join("mtu")));
            json.end_object();
        }
        json.end_list();
    }

    fn topology(&self, json: &mut Json) {
        json.list_in("topology");
        let nodes = self.root.sys("devices/system/node");
        let mut numbers: Vec<u64> =
            names(&nodes).iter().filter_map(|name| name.strip_prefix("node")?.parse().ok()).collect();
        numbers.sort_unstable();
        for number in numbers {
            let folder = nodes.join(format!("node{number}"));
            json.object();
            json.number("node_id", Some(number));
            json.number("memory", memory_of_node(&folder.join("meminfo")));
            huge_pages(json, &folder.join("hugepages"));
            json.list_in("cores");
            let cpus = fs::read(folder.join("cpulist")).ok().and_then(|list| cpu_list::parse(&list).ok());
            for ((socket, core), threads) in self.cores(&cpus.unwrap_or_default()) {
                json.object();
                json.number("core_id", Some(core));
                json.list_in("thread_ids");
                threads.into_iter().for_each(|thread| json.item(thread));
                json.end_list();
                json.number("socket_id", Some(socket));
                json.end_object();
            }
            json.end_list();
            json.end_object();
        }
        json.end_list();
    }

    /// Threads by socket and core.
    fn cores(&self, cpus: &[u32]) -> BTreeMap<(u64, u64), Vec<u64>> {
        let mut cores: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for cpu in cpus {
            let folder = self.root.sys(format!("devices/system/cpu/cpu{cpu}/topology"));
            let socket = number(&folder.join("physical_package_id")).unwrap_or(0);
            let core = number(&folder.join("core_id")).unwrap_or(u64::from(*cpu));
            cores.entry((socket, core)).or_default().push(u64::from(*cpu));
        }
        cores
    }
}

/// Where the machine's file systems are mounted: the shortest path of each device.
pub(super) fn mount_points(root: &Root) -> BTreeMap<String, PathBuf> {
    let mut lists = MountLists::new(root);
    let Ok(text) = lists.read() else { return BTreeMap::new() };
    let mut points: BTreeMap<String, PathBuf> = BTreeMap::new();
    for mount in mountinfo::parse(text).value {
        let device = String::from_utf8_lossy(&mountinfo::unescape(mount.source)).into_owned();
        let point = PathBuf::from(OsStr::from_bytes(&mount.mount_point));
        let known = points.entry(device).or_insert_with(|| point.clone());
        if point.as_os_str().len() < known.as_os_str().len() {
            *known = point;
        }
    }
    points
}

fn huge_pages(json: &mut Json, folder: &Path) {
    json.list_in("hugepages");
    for name in names(folder) {
        let size = name.strip_prefix("hugepages-").and_then(|rest| rest.strip_suffix("kB")?.parse().ok());
        let Some(size) = size else { continue };
        json.object();
        json.number("page_size", Some(size));
        json.number("num_pages", number(&folder.join(&name).join("nr_hugepages")));
        json.end_object();
    }
    json.end_list();
}

fn memory_of_node(path: &Path) -> Option<u64> {
    let text = fs::read(path).ok()?;
    let total = numa::meminfo(&text).value.into_iter().find(|field| field.name == "MemTotal");
    total.map(|field| field.value)
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

fn line(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn number(path: &Path) -> Option<u64> {
    line(path)?.parse().ok()
}
