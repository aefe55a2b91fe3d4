//! One scrape: find the cgroups, name them, read them.

mod asking;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use agent_exposition::{Page, SharedId};
use agent_procfs::Root;

use crate::background::disk::{DiskBoard, Walker};
use crate::background::load::LoadBoard;
use crate::background::monitoring::MonitoringBoard;
use crate::background::perf::PerfBoard;
use crate::background::referenced::ReferencedBoard;
use crate::background::tasks::{TaskBoard, TaskWalker};
use crate::catalogue::Metric;
use crate::cgroups::{Cgroup, Controller, Desk, Key, Layout, Tree, Version, ids_are_foreign};
use crate::compat::{Compat, Quirk};
use crate::config::Config;
use crate::history::{EventLog, Gathering};
use crate::known::{Known, Registry};
use crate::life;
use crate::machine::{Machine, MachineReader};
use crate::runtimes::{Health, Network, View};
use crate::sets::Set;
use crate::sheet::{SeriesCap, Sheet};
use crate::stats::disks::Disks;
use crate::stats::hugetlb::Sizes;
use crate::stats::io::Devices;
use crate::stats::network::{self, Candidate};
use crate::stats::pids::{self, Processes};
use crate::stats::{self, Reading, resctrl, results, volumes};

/// How often the mounts are looked at again.
const LAYOUT_AGE: Duration = Duration::from_secs(30);

/// What a scrape keeps for the next.
pub(crate) struct Collection {
    config: Arc<Config>,
    pub(crate) layout: Arc<Layout>,
    layout_read: Option<Instant>,
    pub(crate) tree: Tree,
    pub(crate) desk: Desk,
    pub(crate) registry: Registry,
    pub(crate) machine: MachineReader,
    devices: Devices,
    folders: network::Folders,
    disks: Disks,
    hugepages: Sizes,
    pub(crate) series: SeriesCap,
    /// What the background threads were last asked for: the tree and the runtime's word.
    asked: Option<(u64, u64)>,
    pub(crate) events: Arc<EventLog>,
    /// There while a scrape's figures are also to be kept as numbers.
    pub(crate) gathering: Option<Gathering>,
}

/// Where the background threads' results are.
#[derive(Clone, Copy)]
pub(crate) struct Boards<'a> {
    pub(crate) load: &'a LoadBoard,
    pub(crate) disk: &'a DiskBoard,
    pub(crate) tasks: &'a TaskBoard,
    pub(crate) referenced: &'a ReferencedBoard,
    pub(crate) perf: &'a PerfBoard,
    pub(crate) monitoring: &'a MonitoringBoard,
}

/// A cgroup that is shown.
#[derive(Clone, Copy)]
pub(crate) struct Shown {
    pub(crate) key: Key,
    pub(crate) labels: SharedId,
}

impl Collection {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self {
            layout: Arc::default(),
            layout_read: None,
            tree: Tree::default(),
            desk: Desk::new(),
            registry: Registry::new(&config),
            machine: MachineReader::new(&config),
            devices: Devices::default(),
            folders: network::Folders::default(),
            disks: Disks::new(&config.root),
            hugepages: Sizes::default(),
            series: SeriesCap::default(),
            asked: None,
            events: Arc::default(),
            gathering: None,
            config,
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Brings the list of cgroups and their names up to date.
    pub(crate) fn refresh(&mut self, view: &View) {
        if self.layout.hierarchies.is_empty() || self.layout_read.is_none_or(|read| read.elapsed() > LAYOUT_AGE) {
            let mut layout = Layout::detect(&self.config.cgroup_root());
            layout.hides_processes = ids_are_foreign(&self.config.root);
            if !layout.is_same(&self.layout) {
                if layout.hides_processes {
                    tracing::warn!("not in the machine's PID namespace: what is counted by processes is missing");
                }
                self.layout = Arc::new(layout);
                self.tree.reset(&mut self.desk);
            }
            self.layout_read = Some(Instant::now());
        }
        self.tree.refresh(&self.layout, &mut self.desk);
        self.registry.refresh(&self.tree, view);
        self.events.notice(&self.tree, &self.registry, SystemTime::now());
    }

    /// Adds everything to the page.
    pub(crate) fn collect(&mut self, page: &mut Page, view: &View, boards: Boards<'_>, now: SystemTime) {
        self.refresh(view);
        let machine = self.machine.read();
        self.devices.refresh(Instant::now());
        if self.config.sets.has(Set::DiskIo) {
            let root = self.tree.find("/").and_then(|key| self.tree.get_mut(key));
            self.devices.listen(&self.layout, &mut self.desk, root);
        }
        self.ask_boards(boards);
        if self.config.sets.has(Set::Hugetlb) {
            self.hugepages.prepare(&self.layout, &self.config.root, &mut self.desk);
        }
        let wanted = self.registry.wanted(&self.tree);
        let processes = self.processes();
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (seen, at_ms) = (since.as_secs(), i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        // Figures that are kept as numbers are the right ones, whatever the page is to show; nobody sees their page.
        let gathering = self.gathering.take();
        let is_seen = gathering.is_none();
        let compat = if is_seen { self.config.compat } else { Compat::default() };
        let mut sheet = Sheet::new(page, compat, at_ms);
        sheet.gathering = gathering;
        let all_shown = self.share_labels(&mut sheet, &wanted);
        let mut candidates = Vec::new();
        let mut root_labels = None;
        let boot_time = self.machine.boot_time();
        for Shown { key, labels } in all_shown.iter().copied() {
            let (Some(cgroup), Some(known)) = (self.tree.get_mut(key), self.registry.get(key)) else { continue };
            if let Some(gathering) = &mut sheet.gathering {
                gathering.begin(key, labels);
            }
            let always = Always { sheet: &mut sheet, labels, seen, boot_time };
            always.put(cgroup, known);
            let own = processes.get(&key).and_then(|processes| processes.own);
            if cgroup.is_root() {
                root_labels = Some(labels);
            } else if known.is_container
                && let Some(pid) = pid_of(known, own.unwrap_or_default())
            {
                candidates.push((key, labels, pid));
            }
            let reading = Reading {
                layout: &self.layout,
                desk: &mut self.desk,
                cgroup,
                sheet: &mut sheet,
                labels,
                machine: &machine,
                sets: self.config.sets,
            };
            read_cgroup(reading, &mut self.devices, &self.hugepages, &self.config.root);
            if self.config.sets.has(Set::Process) {
                let total = processes.get(&key).and_then(|processes| processes.total);
                let own = own.map(|own| own.count).filter(|_| compat.has(Quirk::OwnProcesses));
                sheet.put_some(Metric::Processes, labels, own.or(total));
            }
            self.put_kills(&mut sheet, key, labels);
            self.put_results(&mut sheet, boards, key, labels);
        }
        self.put_disk_use(&mut sheet, boards, &all_shown);
        self.put_stopped(&mut sheet, now);
        self.put_processes(&mut sheet, candidates, root_labels);
        self.put_devices(&mut sheet, boards, &all_shown, root_labels);
        if is_seen {
            let bounded = all_shown.iter().filter(|shown| Some(shown.labels) != root_labels).filter_map(|shown| {
                let known = self.registry.get(shown.key)?;
                let name = known.described.as_ref().map_or("", |described| described.name.as_str());
                Some((shown.labels, &*self.tree.get(shown.key)?.path, name))
            });
            self.series.apply(&mut sheet, self.config.series_limit, bounded);
        }
        self.gathering = sheet.gathering.take();
        let at_ms = compat.has(Quirk::Timestamps).then_some(at_ms);
        self.put_machine(page, &machine, at_ms, view);
    }

    /// The labels of all cgroups that are shown; in cAdvisor's manner each with the names that any has.
    pub(crate) fn share_labels(&self, sheet: &mut Sheet<'_>, wanted: &[Key]) -> Vec<Shown> {
        let union = sheet.compat.has(Quirk::LabelUnion).then(|| self.registry.label_union(wanted));
        let known = wanted.iter().filter_map(|key| Some((*key, &self.registry.get(*key)?.labels)));
        let mut shown = Vec::with_capacity(wanted.len());
        for (key, own) in known {
            let pairs = || own.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let labels = match &union {
                None => sheet.page.shared(pairs()),
                Some(union) => sheet.page.shared(union.iter().map(|name| {
                    let value = pairs().find(|(own, _)| own == name).map_or("", |(_, value)| value);
                    (*name, value)
                })),
            };
            shown.push(Shown { key, labels });
        }
        shown
    }

    /// The processes of all cgroups: of each itself, and with those below it.
    fn processes(&mut self) -> HashMap<Key, Counted> {
        let mut counted = HashMap::new();
        const NEEDED_FOR: &[Set] =
            &[Set::Process, Set::ProcessFiles, Set::Network, Set::Tcp, Set::AdvancedTcp, Set::Udp];
        if !NEEDED_FOR.iter().any(|set| self.config.sets.has(*set)) {
            return counted;
        }
        let keys = self.tree.keys().to_vec();
        for key in &keys {
            let pid = self.registry.get(*key).and_then(|known| known.described.as_ref()?.pid);
            let Some(cgroup) = self.tree.get_mut(*key) else { continue };
            let own = pids::processes(&self.layout, &mut self.desk, cgroup, pid);
            counted.insert(*key, Counted { own, total: own.map(|own| own.count) });
        }
        // By path, so that a cgroup comes before those below it.
        for key in keys.iter().rev() {
            let Some(total) = counted.get(key).and_then(|counted| counted.total) else { continue };
            let above = self.registry.get(*key).and_then(|known| known.parent);
            if let Some(above) = above.and_then(|above| counted.get_mut(&above)) {
                *above.total.get_or_insert(0) += total;
            }
        }
        counted
    }

    fn candidate(&mut self, key: Key, labels: SharedId, pid: u32) -> Candidate {
        let root = &self.config.root;
        let Some(known) = self.registry.get_mut(key) else {
            return Candidate { labels, pid, network: Network::Own, namespace: None };
        };
        let namespace = match known.namespace {
            Some((of, namespace)) if of == pid => namespace,
            _ => network::namespace_of(root, &pid.to_string()),
        };
        known.namespace = Some((pid, namespace));
        let network = known.described.as_ref().map_or(Network::Own, |described| described.network);
        Candidate { labels, pid, network, namespace }
    }

    fn put_kills(&mut self, sheet: &mut Sheet<'_>, key: Key, labels: SharedId) {
        if !self.config.sets.has(Set::OomEvent) {
            return;
        }
        let Some(cgroup) = self.tree.get_mut(key) else { return };
        let kernel = stats::memory::kills(&self.layout, &mut self.desk, cgroup);
        let hierarchy = self.layout.v1(Controller::Memory).or(self.layout.v2());
        let inode = hierarchy.map_or(0, |hierarchy| cgroup.inode(hierarchy));
        let kills = self.registry.kills(cgroup, key, kernel, inode);
        if let Some(kills) = kills {
            self.events.kills(&cgroup.path, kills, SystemTime::now());
        }
        let shown = if sheet.compat.has(Quirk::KillsForgotten) { kernel } else { kills };
        sheet.put_some(Metric::OomEvents, labels, shown);
    }

    /// Containers without a cgroup: how they ended, and their kills, which do not end with the cgroup.
    fn put_stopped(&mut self, sheet: &mut Sheet<'_>, now: SystemTime) {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let with_kills = self.config.sets.has(Set::OomEvent) && !sheet.compat.has(Quirk::KillsForgotten);
        for stopped in self.registry.stopped(&self.tree, now) {
            stopped.put(sheet, with_kills);
        }
    }

    /// What is seen through a process of each container: its limits, and its network.
    fn put_processes(
        &mut self,
        sheet: &mut Sheet<'_>,
        candidates: Vec<(Key, SharedId, u32)>,
        root_labels: Option<SharedId>,
    ) {
        let sets = self.config.sets;
        if sets.has(Set::ProcessFiles) {
            for (_, labels, pid) in &candidates {
                pids::put_limits(*pid, *labels, &self.config.root, &mut self.desk, sheet);
            }
        }
        let in_namespaces = [Set::Network, Set::Tcp, Set::AdvancedTcp, Set::Udp];
        if !in_namespaces.iter().any(|set| sets.has(*set)) {
            return;
        }
        let candidates: Vec<_> =
            candidates.into_iter().map(|(key, labels, pid)| self.candidate(key, labels, pid)).collect();
        let root = &self.config.root;
        let places = network::places(&candidates, root_labels, root, sheet.compat);
        if sets.has(Set::Network) {
            network::collect(&places, root, &mut self.folders, sheet);
        }
        if in_namespaces.iter().skip(1).any(|set| sets.has(*set)) {
            stats::sockets::collect(&places, sets, root, sheet);
        }
    }

    /// What devices and the processor count beside the cgroups.
    fn put_devices(
        &mut self,
        sheet: &mut Sheet<'_>,
        boards: Boards<'_>,
        all_shown: &[Shown],
        root_labels: Option<SharedId>,
    ) {
        if self.config.sets.has(Set::DiskIo) {
            let mut layers = Vec::new();
            if sheet.compat.has(Quirk::DiskOfHost) {
                let now = Instant::now();
                boards.disk.with_found(|found| {
                    layers.extend(all_shown.iter().filter_map(|shown| {
                        let path = &self.tree.get(shown.key)?.path;
                        Some((shown.labels, found.layer(path, now)?.1.device.clone()))
                    }));
                });
            }
            self.disks.collect(root_labels, &layers, sheet);
        }
        if self.config.sets.has(Set::Resctrl) {
            let groups = resctrl::Groups::find(&self.config.root);
            for Shown { key, labels } in all_shown.iter().copied() {
                let Some(cgroup) = self.tree.get(key) else { continue };
                let described = self.registry.get(key).and_then(|known| known.described.as_ref());
                let id = described.map(|described| &*described.id).or(cgroup.container.as_deref());
                if id.is_some() || cgroup.is_root() {
                    groups.put(id, labels, &mut self.desk, sheet);
                }
            }
        }
    }

    fn put_machine(&mut self, page: &mut Page, machine: &Machine, at_ms: Option<i64>, view: &View) {
        let complete = self.machine.collect(machine, at_ms, page);
        let (_, snapshot) = view.snapshot();
        let version = snapshot.version.as_deref();
        self.machine.version_info(&self.config.version, &self.config.revision, version, page);
        let nothing = self.tree.keys().is_empty();
        crate::telling::put_scrape_errors(page, nothing, !complete);
        crate::telling::put(page, self, view);
    }

    /// The background threads' last results.
    fn put_results(&self, sheet: &mut Sheet<'_>, boards: Boards<'_>, key: Key, labels: SharedId) {
        let Some(cgroup) = self.tree.get(key) else { return };
        if self.config.sets.has(Set::CpuLoad) {
            let load = boards.load.with_found(|found| found.get(&cgroup.path).copied());
            let is_v1 = self.layout.version(Controller::Cpuacct) == Some(Version::V1);
            results::put_load(sheet, labels, load, is_v1 && self.config.load_reader);
        }
        if TaskWalker::is_wanted(self.config.sets)
            && let Some(found) = boards.tasks.with_found(|found| found.get(&cgroup.path).copied())
        {
            results::put_tasks(sheet, labels, &found);
        }
        if self.config.sets.has(Set::ReferencedMemory) {
            let referenced = boards.referenced.with_found(|found| found.get(&cgroup.path).copied());
            sheet.put_some(Metric::Referenced, labels, referenced);
        }
        if self.config.counts_events()
            && let Some(figures) = boards.perf.figures(&cgroup.path)
        {
            results::put_perf(sheet, labels, &figures);
        }
    }

    /// What the disk thread found last, of all that are shown at once.
    fn put_disk_use(&self, sheet: &mut Sheet<'_>, boards: Boards<'_>, all_shown: &[Shown]) {
        let sets = self.config.sets;
        if !Walker::is_wanted(sets) {
            return;
        }
        let now = Instant::now();
        let mut under = volumes::Under::new();
        boards.disk.with_found(|found| {
            for Shown { key, labels } in all_shown.iter().copied() {
                let (Some(cgroup), Some(known)) = (self.tree.get(key), self.registry.get(key)) else { continue };
                if cgroup.is_root() && sets.has(Set::Disk) {
                    found.machine(now).for_each(|fs| results::put_file_system(sheet, labels, fs));
                } else if let Some((layer, fs)) = found.layer(&cgroup.path, now) {
                    results::put_layer(sheet, labels, layer, fs);
                }
                if let Some(described) = &known.described {
                    volumes::put(sheet, labels, described, sets, found, &mut under);
                }
            }
        });
        volumes::put_under(sheet.page, &under);
    }

    /// How many containers there are, and how many cgroups.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.registry.containers(&self.tree), self.tree.keys().len())
    }
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    own: Option<Processes>,
    total: Option<u64>,
}

/// A process in the container's network namespace: its first one as the runtime says if it is still there, otherwise
/// the oldest. Where all processes are in cgroups below, the runtime's word is all there is.
fn pid_of(known: &Known, own: Processes) -> Option<u32> {
    let told = known.described.as_ref().and_then(|described| described.pid);
    match told {
        Some(pid) if own.has_wanted || own.count == 0 => Some(pid),
        _ => own.first,
    }
}

/// What every cgroup has.
struct Always<'a, 'p> {
    sheet: &'a mut Sheet<'p>,
    labels: SharedId,
    seen: u64,
    boot_time: Option<u64>,
}

impl Always<'_, '_> {
    fn put(self, cgroup: &Cgroup, known: &Known) {
        let described = known.described.as_deref();
        self.sheet.put_some(Metric::LastSeen, self.labels, Some(self.seen));
        // Directories may be older than the machine's clock knows; nothing was made before it started.
        let floor = self.boot_time.map_or(0, |boot| boot - boot % 60);
        let made = cgroup.created.map(|created| u64::try_from(created).unwrap_or(0).max(floor));
        let whole = |seconds: Option<f64>| seconds.map(|seconds| seconds.floor() as u64);
        let created = whole(described.and_then(|described| described.created)).or(made);
        self.sheet.put_some(Metric::CreationTime, self.labels, created);
        let started = match self.sheet.compat.has(Quirk::StartIsCreation) {
            true => created,
            false => whole(described.and_then(|described| described.started)).or(made),
        };
        self.sheet.put_some(Metric::StartTime, self.labels, started);
        if let Some(described) = described {
            let health = match described.health {
                Health::Healthy => 1.0,
                Health::Starting | Health::Unhealthy => 0.0,
                Health::Unchecked => -1.0,
            };
            self.sheet.put(Metric::HealthState, self.labels, &[], health);
            life::put(self.sheet, self.labels, described);
        } else if self.sheet.compat.has(Quirk::HealthOfAll) {
            self.sheet.put(Metric::HealthState, self.labels, &[], -1.0);
        }
    }
}

fn read_cgroup(mut reading: Reading<'_, '_>, devices: &mut Devices, hugepages: &Sizes, root: &Root) {
    let sets = reading.sets;
    let limited = stats::spec::collect(&mut reading);
    if sets.has(Set::Cpu) {
        stats::cpu::collect(&mut reading, limited);
    }
    if sets.has(Set::Memory) {
        stats::memory::collect(&mut reading);
    }
    if sets.has(Set::MemoryNuma) {
        stats::nodes::numa(&mut reading);
    }
    if sets.has(Set::Cpuset) {
        stats::nodes::cpuset(&mut reading);
    }
    if sets.has(Set::Hugetlb) {
        stats::hugetlb::collect(&mut reading, hugepages);
    }
    if sets.has(Set::DiskIo) {
        stats::io::collect(&mut reading, devices, root);
    }
    if sets.has(Set::Process) {
        pids::collect(&mut reading);
    }
    if sets.has(Set::Pressure) {
        stats::pressure::collect(&mut reading);
    }
}
