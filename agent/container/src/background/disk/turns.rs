//! Whose turn it is to be measured.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use agent_procfs::{MountLists, Root};

use super::super::Cpu;
use super::errands::Errands;
use super::look::{self, Look};
use super::mounts::{self, Kind, Mount, Mounts};
use super::quota::Key;
use super::walk::Walk;
use super::{DiskBoard, Failure, Measured, Method, STALE_AFTER, Use, Wanted};
use crate::sets::{Set, Sets};

/// How often file systems and logs are looked at.
const PAUSE: Duration = Duration::from_secs(15);

/// What keeps the work small.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Of one CPU.
    pub(super) share: f64,
    /// The least time between two looks at one place.
    pub(super) every: Duration,
    /// How much longer than its walk took a place is left alone, up to a bound.
    pub(super) rest: u32,
    pub(super) longest_rest: Duration,
    /// The walk of one place goes on so long before another has its turn.
    pub(super) stretch: Duration,
    /// Large places that are walked by turns; more wait for one to end. Each holds open folders.
    pub(super) most_open: usize,
    /// A walk that takes longer is given up.
    pub(super) longest_walk: Duration,
    /// Without a step for so long a file system hangs.
    pub(super) patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            share: 0.05,
            every: Duration::from_secs(60),
            rest: 10,
            longest_rest: Duration::from_secs(900),
            stretch: Duration::from_secs(10),
            most_open: 4,
            longest_walk: STALE_AFTER / 2,
            patience: Duration::from_secs(20),
        }
    }
}

/// The thread's own state.
pub(crate) struct Walker {
    root: Root,
    board: Arc<DiskBoard>,
    limits: Limits,
    errands: Errands,
    lists: MountLists,
    mounts: Mounts,
    refreshed: Option<Instant>,
    layers: HashMap<Arc<str>, FoundLayer>,
    places: HashMap<Arc<Path>, Place>,
    /// Whose each project is, and those that are several places'.
    projects: HashMap<Key, Arc<Path>>,
    shared: Vec<Key>,
}

/// Where a layer lies, by which process of the container that was found.
struct FoundLayer {
    pid: Option<u32>,
    place: Option<Arc<Path>>,
}

/// A place that is measured.
struct Place {
    due: Instant,
    /// The walk that is under way, when it began, and how long it was at work.
    walk: Option<Box<Walk>>,
    begun: Instant,
    worked: Duration,
    /// Whether it takes more than a stretch.
    is_large: bool,
    failures: u32,
}

impl Walker {
    pub(crate) fn new(root: &Root, board: Arc<DiskBoard>) -> Self {
        Self::within(root, board, Limits::default())
    }

    /// Whether any set is on that needs it.
    pub(crate) fn is_wanted(sets: Sets) -> bool {
        [Set::Disk, Set::Log, Set::Volume, Set::Bind].iter().any(|set| sets.has(*set))
    }

    pub(super) fn within(root: &Root, board: Arc<DiskBoard>, limits: Limits) -> Self {
        Self {
            root: root.clone(),
            errands: Errands::new(board.clone(), limits.share, limits.patience),
            board,
            limits,
            lists: MountLists::new(root),
            mounts: Mounts::default(),
            refreshed: None,
            layers: HashMap::new(),
            places: HashMap::new(),
            projects: HashMap::new(),
            shared: Vec::new(),
        }
    }

    /// Measures again and again until the board's signal stops it.
    pub(crate) fn run(mut self) {
        while self.board.signal.wait(PAUSE) {
            self.refreshed = None;
            self.measure();
        }
    }

    /// One turn: file systems, logs, and the places that are due.
    pub(crate) fn measure(&mut self) {
        while !self.board.signal.is_stopped() {
            if self.refreshed.is_none_or(|refreshed| refreshed.elapsed() >= PAUSE) {
                let before = Cpu::now();
                self.refresh();
                let cost = Cpu::now().saturating_sub(before).as_nanos();
                self.board.cost.fetch_add(u64::try_from(cost).unwrap_or(0), Ordering::Relaxed);
                self.refreshed = Some(Instant::now());
            }
            let Some((path, mount)) = self.next() else { return };
            self.look_at(&path, mount);
        }
    }

    /// What is quick: the mounts, what is wanted now, file systems and logs.
    fn refresh(&mut self) {
        if !self.lists.is_unchanged() {
            self.mounts = self.lists.read().map(Mounts::parse).unwrap_or_default();
        }
        let wanted = self.board.wanted.lock().clone();
        self.find_layers(&wanted);
        let layers = self.layers.values().filter_map(|layer| layer.place.clone());
        let places: HashSet<Arc<Path>> =
            layers.chain(wanted.iter().flat_map(|want| want.volumes.iter().cloned())).collect();
        let now = Instant::now();
        self.places.retain(|path, _| places.contains(path));
        self.projects.retain(|_, owner| places.contains(owner));
        for path in &places {
            let new =
                || Place { due: now, walk: None, begun: now, worked: Duration::ZERO, is_large: false, failures: 0 };
            self.places.entry(path.clone()).or_insert_with(new);
        }
        let mounts = &self.mounts;
        self.errands.forget_all_but(|point| mounts.has(point));
        let logs: BTreeSet<Arc<Path>> = wanted.iter().filter_map(|want| want.log.clone()).collect();
        let mut found = self.board.found.lock();
        found.places.retain(|path, _| places.contains(path));
        found.logs.retain(|path, _| logs.contains(path));
        found.file_systems.retain(|point, _| mounts.has(point));
        found.machine = mounts.machine().iter().map(|mount| mount.point.clone()).collect();
        found.layers =
            self.layers.iter().filter_map(|(path, layer)| Some((path.clone(), layer.place.clone()?))).collect();
        drop(found);
        self.ask_file_systems();
        self.ask_logs(logs);
    }

    /// Engines with containerd's image store do not name the layer; the container's own root mount does.
    fn find_layers(&mut self, wanted: &[Wanted]) {
        let mut layers = HashMap::new();
        for (path, layer) in wanted.iter().filter_map(|want| Some((&want.path, want.layer.as_ref()?))) {
            let known = self.layers.remove(path).filter(|known| known.pid == layer.pid).and_then(|known| known.place);
            let place = match (&layer.upper_dir, known) {
                (Some(upper_dir), _) => Some(Arc::from(upper_dir.as_path())),
                (None, Some(known)) => Some(known),
                (None, None) => layer.pid.and_then(|pid| mounts::layer_of(&self.root, pid)).map(Into::into),
            };
            layers.insert(path.clone(), FoundLayer { pid: layer.pid, place });
        }
        self.layers = layers;
    }

    /// Those of the machine, and those that hold a place.
    fn ask_file_systems(&mut self) {
        let mut asked: HashMap<Arc<Path>, Mount> = HashMap::new();
        let of_places = self.places.keys().filter_map(|path| self.mounts.of(path));
        for mount in self.mounts.machine().into_iter().chain(of_places) {
            asked.entry(mount.point.clone()).or_insert_with(|| mount.clone());
        }
        for (point, mount) in asked {
            if mount.kind == Kind::Kernel || !self.errands.may_touch(&point, mount.kind == Kind::Disk) {
                continue;
            }
            let root = self.root.clone();
            match self.errands.run(&point, move |_| look::file_system(&root, &mount)) {
                Ok(Some(file_system)) => {
                    self.board.found.lock().file_systems.insert(point, (Instant::now(), file_system));
                }
                Ok(None) => {}
                Err(failure) => self.board.failures.count(failure),
            }
        }
    }

    /// All logs that lie on one mount at once.
    fn ask_logs(&mut self, logs: BTreeSet<Arc<Path>>) {
        let mut by_mount: HashMap<Arc<Path>, (Mount, Vec<Arc<Path>>)> = HashMap::new();
        for log in logs {
            let Some(mount) = self.mounts.of(&log) else { continue };
            by_mount.entry(mount.point.clone()).or_insert_with(|| (mount.clone(), Vec::new())).1.push(log);
        }
        for (point, (mount, logs)) in by_mount {
            if !self.errands.may_touch(&point, mount.kind == Kind::Disk) {
                continue;
            }
            let root = self.root.clone();
            let read = self.errands.run(&point, move |pace| {
                let sized = logs.into_iter().map(|log| (look::log(&root, &log, pace), log));
                sized.collect::<Vec<_>>()
            });
            match read {
                Ok(sized) => {
                    let now = Instant::now();
                    let mut found = self.board.found.lock();
                    for (bytes, log) in sized {
                        match bytes {
                            Some(bytes) => drop(found.logs.insert(log, (now, bytes))),
                            None => drop(found.logs.remove(&log)),
                        }
                    }
                }
                Err(failure) => self.board.failures.count(failure),
            }
        }
    }

    /// The place that waits longest of those that are due and may be touched.
    fn next(&mut self) -> Option<(Arc<Path>, Mount)> {
        let now = Instant::now();
        let is_full = self.places.values().filter(|place| place.walk.is_some()).count() >= self.limits.most_open;
        let may = |place: &Place| place.due <= now && (place.walk.is_some() || !is_full || !place.is_large);
        let mut due: Vec<_> =
            self.places.iter().filter(|(_, place)| may(place)).map(|(p, s)| (s.due, p.clone())).collect();
        due.sort_unstable();
        for (_, path) in due {
            let Some(mount) = self.mounts.of(&path).filter(|mount| mount.kind != Kind::Kernel) else { continue };
            if self.errands.may_touch(&mount.point, mount.kind == Kind::Disk) {
                return Some((path, mount.clone()));
            }
        }
        None
    }

    fn look_at(&mut self, path: &Arc<Path>, mount: Mount) {
        let Some(place) = self.places.get_mut(path) else { return };
        let begun = Instant::now();
        let walk = place.walk.take();
        if walk.is_none() {
            (place.begun, place.worked) = (begun, Duration::ZERO);
        }
        let (root, point, shared) = (self.root.clone(), mount.point.clone(), self.shared.clone());
        let (its_path, stretch) = (path.clone(), self.limits.stretch);
        let looked = self.errands.run(&point, move |pace| match walk {
            Some(walk) => look::walk_on(walk, pace, begun + stretch),
            None => look::place(&root, &its_path, &mount, &shared, pace, begun + stretch),
        });
        let Some(place) = self.places.get_mut(path) else { return };
        place.worked += begun.elapsed();
        let begun_at = place.begun;
        match looked {
            Ok(Look::Walked(used)) => self.found(path, point, used, Method::Walk),
            Ok(Look::FileSystem(used)) => self.found(path, point, used, Method::FileSystem),
            Ok(Look::Quota(used, key)) => {
                if self.is_own(path, key) {
                    self.found(path, point, used, Method::Quota);
                }
            }
            Ok(Look::More(_)) if begun_at.elapsed() > self.limits.longest_walk => self.failed(path, Failure::TooLong),
            Ok(Look::More(walk)) => {
                let is_full =
                    self.places.values().filter(|place| place.walk.is_some()).count() >= self.limits.most_open;
                let Some(place) = self.places.get_mut(path) else { return };
                place.is_large = true;
                place.due = Instant::now();
                place.walk = Some(walk).filter(|_| !is_full);
            }
            Ok(Look::Nothing) => self.rest(path),
            Ok(Look::Failed(failure)) | Err(failure) => self.failed(path, failure),
            Ok(Look::Stopped) => {}
        }
    }

    /// Whether a project is this place's alone. One that another place claims too is nobody's: both are walked.
    fn is_own(&mut self, path: &Arc<Path>, key: Key) -> bool {
        let owner = self.projects.entry(key).or_insert_with(|| path.clone()).clone();
        if owner == *path {
            return true;
        }
        self.shared.push(key);
        self.board.found.lock().places.remove(&owner);
        if let Some(place) = self.places.get_mut(&owner) {
            place.due = Instant::now();
        }
        false
    }

    fn found(&mut self, path: &Arc<Path>, mount: Arc<Path>, used: Use, method: Method) {
        self.board.measured.count(method);
        let measured = Measured { found: Instant::now(), time: SystemTime::now(), used, mount };
        self.board.found.lock().places.insert(path.clone(), measured);
        self.rest(path);
    }

    /// Until it is looked at again: the longer, the more there is to see.
    fn rest(&mut self, path: &Path) {
        let Some(place) = self.places.get_mut(path) else { return };
        place.failures = 0;
        place.is_large = place.worked > self.limits.stretch;
        let rest = place.worked.saturating_mul(self.limits.rest).min(self.limits.longest_rest);
        place.due = Instant::now() + rest.max(self.limits.every);
    }

    fn failed(&mut self, path: &Path, failure: Failure) {
        self.board.failures.count(failure);
        // What it took before is as true as its time tells, but for what is not there any more.
        if matches!(failure, Failure::Gone | Failure::Hidden) {
            self.board.found.lock().places.remove(path);
        }
        let Some(place) = self.places.get_mut(path) else { return };
        let rest = self.limits.every.saturating_mul(1 << place.failures.min(8));
        place.failures = place.failures.saturating_add(1);
        place.due = Instant::now() + rest.min(self.limits.longest_rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_of_several_places_is_nobodys() {
        let mut walker = Walker::new(&Root::default(), Arc::default());
        let [a, b]: [Arc<Path>; 2] = ["/a", "/b"].map(|path| Path::new(path).into());
        let used = Use { bytes: 4096, inodes: 1 };
        assert!(walker.is_own(&a, (1, 7)) && walker.is_own(&a, (1, 7)) && walker.is_own(&b, (1, 8)));
        walker.found(&a, Path::new("/").into(), used, Method::Quota);
        assert!(!walker.is_own(&b, (1, 7)));
        assert_eq!(walker.shared, [(1, 7)]);
        assert!(walker.board.with_found(|found| found.place(&a, Instant::now()).is_none()), "a figure of both");
    }
}
