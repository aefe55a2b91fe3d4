//! What is known of each cgroup besides its files: whose it is, its labels, what it had before.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_procfs::Root;

use crate::cgroups::{Cgroup, Key, Tree};
use crate::config::{Config, LabelPolicy};
use crate::described::{Place, State};
use crate::identity;
use crate::life::Stopped;
use crate::runtimes::{Described, Snapshot, View};

/// Bytes that the labels and variables of one container may have; an image brings as many as it likes.
const MOST_LABEL_BYTES: usize = 32 << 10;
/// Bytes of a name or image; no engine takes longer ones.
const LONGEST_NAME: usize = 4096;

/// Labels of a cgroup's series, sorted by name.
pub(crate) type Labels = Vec<(String, String)>;

/// What is known of one cgroup.
#[derive(Debug)]
pub(crate) struct Known {
    path: Arc<str>,
    /// What the runtime says of it, if it is a container of its.
    pub(crate) described: Option<Arc<Described>>,
    /// By the runtime's word or by the look of its path.
    pub(crate) is_container: bool,
    pub(crate) labels: Labels,
    /// Labels for which there was no room.
    pub(crate) labels_left_out: usize,
    pub(crate) parent: Option<Key>,
    /// The network namespace of a process.
    pub(crate) namespace: Option<(u32, Option<u64>)>,
    /// CPU time in nanoseconds when it was last asked for.
    pub(crate) cpu: Option<(Instant, u64)>,
    is_wanted: bool,
}

/// Out-of-memory kills of a path, over all cgroups that had it.
#[derive(Debug)]
struct Kills {
    container: Arc<str>,
    before: u64,
    last: u64,
    /// The folder of the memory controller that has the last.
    inode: u64,
}

/// What is known of all.
#[derive(Debug)]
pub(crate) struct Registry {
    root: Root,
    policy: LabelPolicy,
    docker_only: bool,
    disable_root: bool,
    raw_cgroup_prefixes: Vec<String>,
    stopped_for: Duration,
    known: HashMap<Key, Known>,
    kills: HashMap<Arc<str>, Kills>,
    /// Where each container's cgroup was last seen.
    paths: HashMap<Arc<str>, Arc<str>>,
    snapshot: Arc<Snapshot>,
    tree: Option<u64>,
    /// Which of the runtime's words is used; grows.
    pub(crate) word: u64,
}

impl Registry {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            root: config.root.clone(),
            policy: config.labels.clone(),
            docker_only: config.docker_only,
            disable_root: config.disable_root,
            raw_cgroup_prefixes: config.raw_cgroup_prefixes.clone(),
            stopped_for: config.stopped_for,
            known: HashMap::new(),
            kills: HashMap::new(),
            paths: HashMap::new(),
            snapshot: Arc::default(),
            tree: None,
            word: 0,
        }
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Known> {
        self.known.get(&key)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Known> {
        self.known.get_mut(&key)
    }

    /// Brings what is known up to date with the tree and the runtime; does nothing while both stand still.
    pub(crate) fn refresh(&mut self, tree: &Tree, view: &View) {
        let (word, snapshot) = view.snapshot();
        if self.tree == Some(tree.generation) && self.word == word {
            return;
        }
        self.tree = Some(tree.generation);
        self.word = word;
        self.snapshot = snapshot;
        let of_crio = |key: &Key| tree.get(*key).filter(|cgroup| identity::is_of_crio(&cgroup.path))?.container.clone();
        view.found_of_crio(tree.keys().iter().filter_map(of_crio).collect());
        let bearers = bearers(tree);
        let by_path = self.found_by_process(tree, &bearers);
        let impostors = self.impostors(&bearers);
        let mut before = std::mem::take(&mut self.known);
        for key in tree.keys() {
            let Some(cgroup) = tree.get(*key) else { continue };
            let by_id = cgroup.container.as_ref().and_then(|id| self.snapshot.of(id, &cgroup.path));
            let by_id = by_id.filter(|_| !impostors.contains(&cgroup.path));
            let described = by_id.or_else(|| by_path.get(&cgroup.path)).cloned();
            if let Some(described) = &described {
                self.paths.insert(described.id.clone(), cgroup.path.clone());
            }
            let kept = before.remove(key).filter(|known| known.path == cgroup.path);
            let known = self.know(cgroup, described, tree.parent_of(&cgroup.path), kept);
            self.known.insert(*key, known);
        }
        let snapshot = &self.snapshot;
        self.kills
            .retain(|path, kills| tree.find(path).is_some() || snapshot.containers.contains_key(&kills.container));
        self.paths.retain(|container, _| snapshot.containers.contains_key(container));
    }

    fn know(
        &self,
        cgroup: &Cgroup,
        described: Option<Arc<Described>>,
        parent: Option<Key>,
        kept: Option<Known>,
    ) -> Known {
        let is_container = described.is_some() || cgroup.container.is_some();
        let has_prefix = || self.raw_cgroup_prefixes.iter().any(|prefix| cgroup.path.starts_with(prefix.as_str()));
        let is_wanted = match cgroup.is_root() {
            true => !self.disable_root,
            false if is_container => true,
            false => !self.docker_only && (self.raw_cgroup_prefixes.is_empty() || has_prefix()),
        };
        let (labels, labels_left_out) = match kept.as_ref() {
            Some(kept) if kept.described == described => (kept.labels.clone(), kept.labels_left_out),
            _ => self.labels_of(&cgroup.path, described.as_deref()),
        };
        Known {
            path: cgroup.path.clone(),
            is_container,
            is_wanted,
            labels,
            labels_left_out,
            parent,
            namespace: kept.as_ref().and_then(|kept| kept.namespace),
            cpu: kept.as_ref().and_then(|kept| kept.cpu),
            described,
        }
    }

    /// The labels, and how many were left out because each series would bear all of them.
    fn labels_of(&self, path: &str, described: Option<&Described>) -> (Labels, usize) {
        let mut labels = Labels::new();
        if let Some(described) = described {
            let of_container = described.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            labels = identity::variable_names(described.env.iter().map(|(key, value)| (key.as_str(), value.as_str())));
            labels.extend(identity::label_names(of_container, &self.policy));
        }
        let (mut room, all) = (MOST_LABEL_BYTES, labels.len());
        labels.retain(|(name, value)| {
            let left = room.checked_sub(name.len() + value.len());
            room = left.unwrap_or(room);
            left.is_some()
        });
        let left_out = all - labels.len();
        labels.push(("id".to_owned(), path.to_owned()));
        for (name, value) in described.map(|d| [("image", &d.image), ("name", &d.name)]).into_iter().flatten() {
            if !value.is_empty() && value.len() <= LONGEST_NAME {
                labels.push((name.to_owned(), value.clone()));
            }
        }
        self.policy.renames.apply(&mut labels);
        (labels, left_out)
    }

    /// How many labels were left out.
    pub(crate) fn labels_left_out(&self) -> usize {
        self.known.values().map(|known| known.labels_left_out).sum()
    }

    /// The names of all labels that any of these cgroups has, in order.
    pub(crate) fn label_union(&self, keys: &[Key]) -> BTreeSet<&str> {
        let of_all = keys.iter().filter_map(|key| self.known.get(key)).flat_map(|known| &known.labels);
        of_all.map(|(name, _)| name.as_str()).collect()
    }

    /// Containers whose cgroup does not bear their id: found by where their first process is.
    fn found_by_process(&self, tree: &Tree, bearers: &Bearers<'_>) -> HashMap<Arc<str>, Arc<Described>> {
        let unplaced = self.snapshot.containers.values().filter(|described| !bearers.contains_key(&*described.id));
        let mut found = HashMap::new();
        for described in unplaced.filter(|described| described.place == Place::Anywhere) {
            let Some(pid) = described.pid else { continue };
            if let Some(key) = self.paths_of_process(pid).iter().find_map(|path| tree.find(path))
                && let Some(cgroup) = tree.get(key)
            {
                found.insert(cgroup.path.clone(), described.clone());
            }
        }
        found
    }

    /// Cgroups that bear the id of a container which is elsewhere. Who has a part of the tree to himself can give a folder
    /// there any name.
    fn impostors(&self, bearers: &Bearers<'_>) -> HashSet<Arc<str>> {
        let mut impostors = HashSet::new();
        for (id, paths) in bearers.iter().filter(|(_, paths)| paths.len() > 1) {
            let first = paths.iter().find_map(|path| self.snapshot.of(id, path)?.pid);
            let places = first.map(|pid| self.paths_of_process(pid)).unwrap_or_default();
            let is_there = |path: &str| places.iter().any(|place| is_at_or_below(place, path));
            // Where it is in none of them nothing is known.
            if paths.iter().any(|path| is_there(path)) {
                impostors.extend(paths.iter().filter(|path| !is_there(path)).map(|path| Arc::clone(path)));
            }
        }
        impostors
    }

    /// Where a process is: the same path in every hierarchy as far as runtimes go. Nothing where it cannot be told.
    fn paths_of_process(&self, pid: u32) -> Vec<String> {
        let mut text = Vec::new();
        if self.root.read_into(&self.root.proc(format!("{pid}/cgroup")), &mut text).is_err() {
            return Vec::new();
        }
        // `4:memory:/path`
        let lines = text.split(|b| *b == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
        let paths = lines.filter_map(|line| line.splitn(3, ':').nth(2));
        paths.filter(|path| path.len() > 1).map(str::to_owned).collect()
    }

    /// The cgroups that are shown, by path.
    pub(crate) fn wanted(&self, tree: &Tree) -> Vec<Key> {
        let shown = |key: &&Key| self.known.get(key).is_some_and(|known| known.is_wanted);
        tree.keys().iter().filter(shown).copied().collect()
    }

    /// Whether some cgroup above is a container.
    pub(crate) fn is_below_container(&self, key: Key) -> bool {
        let parent = |key: Key| self.known.get(&key).and_then(|known| known.parent);
        let mut above = parent(key);
        while let Some(key) = above {
            if self.known.get(&key).is_some_and(|known| known.is_container) {
                return true;
            }
            above = parent(key);
        }
        false
    }

    /// How many containers there are.
    pub(crate) fn containers(&self, tree: &Tree) -> usize {
        tree.keys().iter().filter(|key| self.known.get(key).is_some_and(|known| known.is_container)).count()
    }

    /// The kills of a cgroup by the kernel's count now, with those of earlier cgroups of the same path, or the
    /// runtime's count where that is higher: it saw those that ended the cgroup. `inode` is the folder that counts.
    pub(crate) fn kills(&mut self, cgroup: &Cgroup, key: Key, kernel: Option<u64>, inode: u64) -> Option<u64> {
        let known = self.known.get(&key)?;
        let told = known.described.as_ref().map(|described| described.ooms).filter(|ooms| *ooms > 0);
        let (Some(container), true) = (cgroup.container.as_ref(), kernel.is_some() || told.is_some()) else {
            return kernel;
        };
        let kills = self.kills.entry(cgroup.path.clone()).or_insert_with(|| Kills {
            container: container.clone(),
            before: 0,
            last: 0,
            inode,
        });
        // What cannot be read just now has not changed.
        if let Some(kernel) = kernel {
            if kernel < kills.last || kills.inode != inode {
                kills.before += kills.last;
            }
            (kills.last, kills.inode) = (kernel, inode);
        }
        Some((kills.before + kills.last).max(told.unwrap_or(0)))
    }

    /// Containers that have no cgroup, or none any more, and ended not long before `now` (seconds since 1970) or had
    /// kills; by labels. One whose cgroup was never seen has its id where the others have a path.
    pub(crate) fn stopped(&self, tree: &Tree, now: f64) -> Vec<Stopped> {
        let may_have_stopped = |described: &&Arc<Described>| described.is_down() || self.kills_of(described) > 0;
        let candidates: Vec<_> = self.snapshot.containers.values().filter(may_have_stopped).collect();
        if candidates.is_empty() {
            return Vec::new();
        }
        let here: HashSet<&str> =
            self.known.values().filter_map(|known| known.described.as_ref()).map(|described| &*described.id).collect();
        let gone = candidates.into_iter().filter(|described| !here.contains(&*described.id));
        let mut all: Vec<_> = gone.filter_map(|described| self.one_stopped(described, tree, now)).collect();
        all.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        all
    }

    /// By the kernel's count over all cgroups of the container's path, or the runtime's where that is higher.
    fn kills_of(&self, described: &Described) -> u64 {
        let kills = self.paths.get(&described.id).and_then(|path| self.kills.get(path));
        kills.map_or(0, |kills| kills.before + kills.last).max(described.ooms)
    }

    fn one_stopped(&self, described: &Arc<Described>, tree: &Tree, now: f64) -> Option<Stopped> {
        let is_told = described.ended_within(self.stopped_for, now);
        let path = self.paths.get(&described.id);
        // Where another container has the path now, the kills there are that one's.
        let is_free = path.is_none_or(|path| tree.find(path).is_none());
        let kills = if is_free { self.kills_of(described) } else { described.ooms };
        let is_removed = described.life.state == Some(State::Removed);
        let keeps_kills = kills > 0 && !is_removed;
        (is_told || keeps_kills).then(|| Stopped {
            labels: self.labels_of(path.unwrap_or(&described.id), Some(described)).0,
            described: described.clone(),
            kills,
            is_told,
        })
    }
}

/// The paths of the cgroups that bear the id of a container, by that id.
type Bearers<'a> = HashMap<&'a str, Vec<&'a Arc<str>>>;

fn bearers(tree: &Tree) -> Bearers<'_> {
    let mut bearers = Bearers::new();
    for cgroup in tree.keys().iter().filter_map(|key| tree.get(*key)) {
        if let Some(id) = &cgroup.container {
            bearers.entry(id).or_default().push(&cgroup.path);
        }
    }
    bearers
}

fn is_at_or_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
