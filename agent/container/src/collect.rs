//! One scrape: find the cgroups, name them, read them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use agent_exposition::{Page, SharedId};
use agent_procfs::Root;

use crate::background::disk::{self, DiskBoard};
use crate::background::load::{self, LoadBoard};
use crate::catalogue::Metric;
use crate::cgroups::{Cgroup, Desk, Key, Layout, Tree};
use crate::config::Config;
use crate::known::{Known, Registry};
use crate::life;
use crate::machine::{Machine, MachineReader};
use crate::runtimes::{Health, Network, View};
use crate::sets::Set;
use crate::sheet::Sheet;
use crate::stats::io::Devices;
use crate::stats::network::{self, Candidate};
use crate::stats::pids::{self, Processes};
use crate::stats::{self, Reading};

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
    /// What the background threads were last asked for: the tree and the runtime's word.
    asked: Option<(u64, u64)>,
}

/// Where the background threads' results are.
#[derive(Clone, Copy)]
pub(crate) struct Boards<'a> {
    pub(crate) load: &'a LoadBoard,
    pub(crate) disk: &'a DiskBoard,
}

impl Collection {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self {
            layout: Arc::default(),
            layout_read: None,
            tree: Tree::default(),
            desk: Desk::new(),
            registry: Registry::new(&config),
            machine: MachineReader::new(&config.root),
            devices: Devices::default(),
            asked: None,
            config,
        }
    }

    /// Brings the list of cgroups and their names up to date.
    pub(crate) fn refresh(&mut self, view: &View) {
        if self.layout.hierarchies.is_empty() || self.layout_read.is_none_or(|read| read.elapsed() > LAYOUT_AGE) {
            let layout = Layout::detect(&self.config.cgroup_root());
            if !layout.is_same(&self.layout) {
                self.layout = Arc::new(layout);
                self.tree.reset(&mut self.desk);
            }
            self.layout_read = Some(Instant::now());
        }
        self.tree.refresh(&self.layout, &mut self.desk);
        self.registry.refresh(&self.tree, view);
    }

    /// Adds everything to the page.
    pub(crate) fn collect(&mut self, page: &mut Page, view: &View, boards: Boards<'_>, now: SystemTime) {
        self.refresh(view);
        let machine = self.machine.read();
        self.ask_boards(boards);
        let wanted = self.registry.wanted(&self.tree);
        let processes = self.processes();
        let mut sheet = Sheet::new(page);
        let mut candidates = Vec::new();
        let mut root_labels = None;
        let seen = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let boot_time = self.machine.boot_time();
        for key in wanted {
            let (Some(cgroup), Some(known)) = (self.tree.get_mut(key), self.registry.get(key)) else { continue };
            let labels = sheet.page.shared(known.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            let always = Always { sheet: &mut sheet, labels, seen, boot_time };
            always.put(cgroup, known);
            if cgroup.is_root() {
                root_labels = Some(labels);
            } else if known.is_container {
                let own = processes.get(&key).and_then(|processes| processes.own).unwrap_or_default();
                if let Some(pid) = pid_of(known, own) {
                    candidates.push((key, labels, pid));
                }
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
            read_cgroup(reading, &mut self.devices, &self.config.root);
            if self.config.sets.has(Set::Process) {
                let count = processes.get(&key).and_then(|processes| processes.total);
                sheet.put_some(Metric::Processes, labels, count);
            }
            self.put_kills(&mut sheet, key, labels);
            put_results(&mut sheet, boards, &self.tree, key, labels);
        }
        self.put_stopped(&mut sheet, now);
        if self.config.sets.has(Set::Network) {
            let candidates: Vec<_> =
                candidates.into_iter().map(|(key, labels, pid)| self.candidate(key, labels, pid)).collect();
            network::collect(&candidates, root_labels, &self.config.root, &mut self.desk, &mut sheet);
        }
        self.put_machine(page, &machine, view);
    }

    /// The processes of all cgroups: of each itself, and with those below it.
    fn processes(&mut self) -> HashMap<Key, Counted> {
        let mut counted = HashMap::new();
        if !self.config.sets.has(Set::Process) && !self.config.sets.has(Set::Network) {
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
        let kills = self.registry.kills(cgroup, key, kernel);
        sheet.put_some(Metric::OomEvents, labels, kills);
    }

    /// Containers without a cgroup: how they ended, and their kills, which do not end with the cgroup.
    fn put_stopped(&mut self, sheet: &mut Sheet<'_>, now: SystemTime) {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        for stopped in self.registry.stopped(&self.tree, now) {
            stopped.put(sheet, self.config.sets.has(Set::OomEvent));
        }
    }

    fn put_machine(&mut self, page: &mut Page, machine: &Machine, view: &View) {
        let complete = self.machine.collect(machine, page);
        let (_, snapshot) = view.snapshot();
        let version = snapshot.version.as_deref();
        self.machine.version_info(&self.config.version, &self.config.revision, version, page);
        let nothing = self.tree.keys().is_empty();
        crate::telling::put_scrape_errors(page, nothing, !complete);
        crate::telling::put(page, self, view);
    }

    /// Tells the background threads what is there, when that has changed.
    fn ask_boards(&mut self, boards: Boards<'_>) {
        let state = (self.tree.generation, self.registry.word);
        let changed = self.asked != Some(state);
        if changed {
            let wanted = self.registry.wanted(&self.tree);
            boards.load.want(self.layout.clone(), self.load_wanted(&wanted));
            boards.disk.want(self.disk_wanted(&wanted));
            self.asked = Some(state);
        }
        if self.config.sets.has(Set::CpuLoad) {
            boards.load.signal.scraped(changed);
        }
        if self.config.sets.has(Set::Disk) {
            boards.disk.signal.scraped(changed);
        }
    }

    /// The cgroups of interest and those below containers, whose tasks count for them.
    fn load_wanted(&self, wanted: &[Key]) -> Vec<load::Wanted> {
        if !self.config.sets.has(Set::CpuLoad) {
            return Vec::new();
        }
        let mut keys = wanted.to_vec();
        keys.extend(self.tree.keys().iter().filter(|key| self.registry.is_below_container(**key)));
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter()
            .filter_map(|key| self.tree.get(key))
            .map(|cgroup| load::Wanted { path: cgroup.path.clone(), incarnation: cgroup.incarnation })
            .collect()
    }

    fn disk_wanted(&self, wanted: &[Key]) -> Vec<disk::Wanted> {
        if !self.config.sets.has(Set::Disk) {
            return Vec::new();
        }
        wanted
            .iter()
            .filter_map(|key| Some((self.tree.get(*key)?, self.registry.get(*key)?)))
            .filter_map(|(cgroup, known)| {
                let described = known.described.as_ref()?;
                let (upper_dir, pid) = (described.upper_dir.clone(), described.pid);
                Some(disk::Wanted { path: cgroup.path.clone(), upper_dir, pid })
            })
            .collect()
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
        let started = whole(described.and_then(|described| described.started)).or(made);
        self.sheet.put_some(Metric::StartTime, self.labels, started);
        if let Some(described) = described {
            let health = match described.health {
                Health::Healthy => 1.0,
                Health::Starting | Health::Unhealthy => 0.0,
                Health::Unchecked => -1.0,
            };
            self.sheet.put(Metric::HealthState, self.labels, &[], health);
            life::put(self.sheet, self.labels, described);
        }
    }
}

fn read_cgroup(mut reading: Reading<'_, '_>, devices: &mut Devices, root: &Root) {
    let sets = reading.sets;
    let limited = stats::spec::collect(&mut reading);
    if sets.has(Set::Cpu) {
        stats::cpu::collect(&mut reading, limited);
    }
    if sets.has(Set::Memory) {
        stats::memory::collect(&mut reading);
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

/// The background threads' last results.
fn put_results(sheet: &mut Sheet<'_>, boards: Boards<'_>, tree: &Tree, key: Key, labels: SharedId) {
    let Some(cgroup) = tree.get(key) else { return };
    if let Some(load) = boards.load.with_values(|values| values.get(&cgroup.path).copied()) {
        sheet.put(Metric::LoadAverage, labels, &[], load);
    }
    let now = Instant::now();
    boards.disk.with_found(|found| {
        let all = match cgroup.is_root() {
            true => found.machine(now),
            false => found.layer(&cgroup.path, now).map(std::slice::from_ref).unwrap_or_default(),
        };
        for fs in all {
            let device = &[("device", &*fs.device)];
            sheet.put(Metric::FsUsage, labels, device, fs.used as f64);
            sheet.put(Metric::FsLimit, labels, device, fs.size as f64);
            if let Some((total, free)) = fs.inodes {
                sheet.put(Metric::FsInodesTotal, labels, device, total as f64);
                sheet.put(Metric::FsInodesFree, labels, device, free as f64);
            }
        }
    });
}
