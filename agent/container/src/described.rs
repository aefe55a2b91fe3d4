//! What is told of a container besides its cgroup's files, whoever tells it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What kind of network a container has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Network {
    /// Its own namespace.
    #[default]
    Own,
    /// The host's.
    Host,
    /// That of another container.
    Other,
}

/// The last result of a health check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Health {
    Starting,
    Healthy,
    Unhealthy,
    /// There is no check.
    #[default]
    Unchecked,
}

impl Health {
    /// The value of the label `state`; nothing without a check.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Starting => Some("starting"),
            Self::Healthy => Some("healthy"),
            Self::Unhealthy => Some("unhealthy"),
            Self::Unchecked => None,
        }
    }
}

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Running,
    Paused,
    /// Ended, and about to be started again by its policy.
    Restarting,
    Exited,
    /// Ended, and could not be cleared away.
    Dead,
    /// The runtime has forgotten it.
    Removed,
}

impl State {
    /// The value of the label `state`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
            Self::Dead => "dead",
            Self::Removed => "removed",
        }
    }

    /// Whether it has processes.
    pub(crate) fn is_up(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

/// How a container fares, as far as its runtime tells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Life {
    pub(crate) state: Option<State>,
    /// Of the last run that ended.
    pub(crate) exit_code: Option<i64>,
    /// Whether the last run that ended was killed for want of memory.
    pub(crate) oom_killed: Option<bool>,
    /// How often the runtime started it again by itself.
    pub(crate) restarts: Option<u64>,
    /// When the last run ended, seconds since 1970.
    pub(crate) finished: Option<f64>,
}

/// How a container's cgroup is found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// By the id in its path, or else by where its first process is.
    #[default]
    Anywhere,
    /// By the id in its path: without a cgroup of its own it is in that of somebody else.
    ById,
    /// By the id in its path, which begins like this: an engine that a user runs has no say elsewhere.
    Under(Arc<str>),
}

/// What is mounted into a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Volume {
    /// Nothing of a folder of the machine that is mounted as it is.
    pub(crate) name: Option<String>,
    pub(crate) driver: String,
    /// Where it lies, as the engine sees it.
    pub(crate) source: Arc<Path>,
    /// Where it is in the container.
    pub(crate) destination: String,
}

/// What a runtime knows of one container.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Described {
    pub(crate) id: Arc<str>,
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// Variables of the environment that are to be labels; no others are kept, since they may be secret.
    pub(crate) env: BTreeMap<String, String>,
    /// Seconds since 1970.
    pub(crate) created: Option<f64>,
    /// Seconds since 1970.
    pub(crate) started: Option<f64>,
    /// Its first process, while it runs.
    pub(crate) pid: Option<u32>,
    pub(crate) health: Health,
    pub(crate) network: Network,
    /// The writable layer, as the engine sees it.
    pub(crate) upper_dir: Option<PathBuf>,
    pub(crate) volumes: Arc<[Volume]>,
    /// The file that its output is written to, if that is kept in files.
    pub(crate) log: Option<Arc<Path>>,
    /// Out-of-memory kills that the engine told of.
    pub(crate) ooms: u64,
    pub(crate) life: Life,
    pub(crate) place: Place,
}

impl Described {
    /// Whether it may be the container of this cgroup.
    pub(crate) fn may_be(&self, path: &str) -> bool {
        match &self.place {
            Place::Anywhere | Place::ById => true,
            Place::Under(start) => path.starts_with(&**start),
        }
    }

    /// Whether it has no processes.
    pub(crate) fn is_down(&self) -> bool {
        self.life.state.is_some_and(|state| !state.is_up())
    }

    /// Whether it ended so shortly before `now` (seconds since 1970) that it is told of.
    pub(crate) fn ended_within(&self, kept_for: Duration, now: f64) -> bool {
        self.is_down() && self.life.finished.is_some_and(|finished| now < finished + kept_for.as_secs_f64())
    }
}

/// All that is known at one moment, by id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) containers: HashMap<Arc<str>, Arc<Described>>,
    /// Further words on an id that is among them, in the order of their weight: each may count in a place of its own.
    pub(crate) disputed: HashMap<Arc<str>, Vec<Arc<Described>>>,
    /// The engine's version, if it told it; that of Docker where several are seen as one.
    pub(crate) version: Option<String>,
}

impl Snapshot {
    /// The word of most weight on the container with that id whose cgroup has that path.
    pub(crate) fn of(&self, id: &str, path: &str) -> Option<&Arc<Described>> {
        let first = self.containers.get(id)?;
        let others = self.disputed.get(id).into_iter().flatten();
        std::iter::once(first).chain(others).find(|described| described.may_be(path))
    }
}

/// How many that stopped are kept for each runtime, the last ones.
const MOST_STOPPED: usize = 200;

/// The containers of one engine: those that run, and those that stopped and are still told of.
#[derive(Debug)]
pub(crate) struct Roll {
    containers: HashMap<Arc<str>, Arc<Described>>,
    kept_for: Duration,
}

impl Roll {
    /// Keeps those that stopped for so long.
    pub(crate) fn new(kept_for: Duration) -> Self {
        Self { containers: HashMap::new(), kept_for }
    }

    /// Whether containers that stopped are of interest.
    pub(crate) fn keeps(&self) -> bool {
        !self.kept_for.is_zero()
    }

    /// Whether a container that ended then is still told of.
    pub(crate) fn is_recent(&self, finished: Option<f64>) -> bool {
        finished.is_some_and(|finished| seconds_now() < finished + self.kept_for.as_secs_f64())
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Arc<Described>> {
        self.containers.get(id)
    }

    pub(crate) fn put(&mut self, described: Described) {
        self.containers.insert(described.id.clone(), Arc::new(described));
    }

    /// Changes what is known of a container; says whether it is known.
    pub(crate) fn change(&mut self, id: &str, change: impl FnOnce(&mut Described)) -> bool {
        let Some(known) = self.containers.get_mut(id) else { return false };
        let mut changed = (**known).clone();
        change(&mut changed);
        *known = Arc::new(changed);
        true
    }

    /// The container ended then, with this exit code if it is known.
    pub(crate) fn ended(&mut self, id: &str, exit_code: Option<i64>, finished: f64) -> bool {
        self.change(id, |known| {
            known.pid = None;
            known.life.state = Some(State::Exited);
            known.life.exit_code = exit_code;
            known.life.oom_killed = None;
            known.life.finished = Some(finished);
        })
    }

    /// The runtime has forgotten the container; says whether it is known.
    pub(crate) fn removed(&mut self, id: &str) -> bool {
        let Some(known) = self.containers.get(id) else { return false };
        if known.ended_within(self.kept_for, seconds_now()) {
            return self.change(id, |known| known.life.state = Some(State::Removed));
        }
        self.containers.remove(id).is_some()
    }

    /// Takes a list of those that run in place of what ran. Of the others those stay that ended not long ago, and those
    /// with kills to remember.
    pub(crate) fn running(&mut self, running: HashMap<Arc<str>, Arc<Described>>) {
        let before = std::mem::replace(&mut self.containers, running);
        for (id, known) in before {
            // When it ended unseen is not known, and so neither is how long to tell of it.
            if !self.containers.contains_key(&id) && (known.ooms > 0 || self.is_recent(known.life.finished)) {
                let state = known.life.state.filter(|state| !state.is_up()).unwrap_or(State::Exited);
                let life = Life { state: Some(state), ..known.life };
                self.containers.insert(id, Arc::new(Described { pid: None, life, ..(*known).clone() }));
            }
        }
    }

    /// What is known now. Forgets what is too old to be told of, and the oldest of those that stopped where there are
    /// too many.
    pub(crate) fn snapshot(&mut self, version: Option<String>) -> Snapshot {
        let now = seconds_now();
        let kept_for = self.kept_for;
        let is_old = |known: &Described| known.is_down() && !known.ended_within(kept_for, now);
        self.containers.retain(|_, known| {
            let is_gone = known.life.state == Some(State::Removed);
            !is_old(known) || (known.ooms > 0 && !is_gone)
        });
        let mut stopped: Vec<_> = self
            .containers
            .values()
            .filter(|known| known.is_down())
            .map(|known| (known.life.finished.unwrap_or(0.0), known.id.clone()))
            .collect();
        if stopped.len() > MOST_STOPPED {
            stopped.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
            for (_, id) in stopped.drain(MOST_STOPPED..) {
                self.containers.remove(&id);
            }
        }
        Snapshot { containers: self.containers.clone(), version, ..Snapshot::default() }
    }
}

/// The variables `NAME=value` whose names begin with one of the prefixes, by name in lower case as cAdvisor has them.
pub(crate) fn chosen_variables(prefixes: &[String], variables: Vec<String>) -> BTreeMap<String, String> {
    let pairs = variables.iter().filter_map(|variable| variable.split_once('='));
    pairs
        .filter(|(name, _)| prefixes.iter().any(|prefix| !prefix.is_empty() && name.starts_with(prefix.as_str())))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect()
}

/// Now, in seconds since 1970.
pub(crate) fn seconds_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(id: &str) -> Described {
        let life = Life { state: Some(State::Running), ..Life::default() };
        Described { id: id.into(), pid: Some(42), life, ..Described::default() }
    }

    fn roll(ids: &[&str]) -> Roll {
        let mut roll = Roll::new(Duration::from_secs(600));
        ids.iter().for_each(|id| roll.put(known(id)));
        roll
    }

    fn state(roll: &mut Roll, id: &str) -> Option<State> {
        roll.snapshot(None).containers.get(id)?.life.state
    }

    #[test]
    fn one_that_ended_is_told_of_for_a_while_though_it_was_removed() {
        let mut roll = roll(&["a", "b"]);
        assert!(roll.ended("a", Some(3), seconds_now()));
        assert!(roll.ended("b", Some(3), seconds_now() - 601.0));
        assert_eq!(state(&mut roll, "a"), Some(State::Exited));
        assert_eq!(state(&mut roll, "b"), None, "it ended too long ago");
        assert!(roll.removed("a"));
        assert_eq!(state(&mut roll, "a"), Some(State::Removed));
        assert!(!roll.removed("b"));
    }

    #[test]
    fn one_that_is_removed_while_it_runs_is_forgotten() {
        let mut roll = roll(&["a"]);
        assert!(roll.removed("a"));
        assert_eq!(state(&mut roll, "a"), None);
    }

    #[test]
    fn kills_are_remembered_as_long_as_the_container_exists() {
        let mut roll = roll(&["a"]);
        roll.change("a", |known| known.ooms = 1);
        roll.ended("a", None, seconds_now() - 6000.0);
        assert_eq!(state(&mut roll, "a"), Some(State::Exited));
        roll.removed("a");
        assert_eq!(state(&mut roll, "a"), None);
    }

    #[test]
    fn a_list_ends_what_it_lacks() {
        let mut roll = roll(&["a", "b", "c"]);
        roll.ended("b", Some(1), seconds_now());
        roll.change("c", |known| known.ooms = 2);
        roll.running(HashMap::new());
        assert_eq!(state(&mut roll, "a"), None, "it ended unseen");
        assert_eq!(state(&mut roll, "b"), Some(State::Exited));
        assert_eq!(state(&mut roll, "c"), Some(State::Exited));
        assert_eq!(roll.get("c").unwrap().pid, None);
    }

    #[test]
    fn the_last_ones_are_kept() {
        let ids: Vec<_> = (0..MOST_STOPPED + 2).map(|n| n.to_string()).collect();
        let mut roll = roll(&ids.iter().map(String::as_str).collect::<Vec<_>>());
        roll.put(known("runs"));
        for (n, id) in ids.iter().enumerate() {
            roll.ended(id, None, seconds_now() - n as f64);
        }
        let snapshot = roll.snapshot(None);
        assert_eq!(snapshot.containers.len(), MOST_STOPPED + 1);
        assert!(snapshot.containers.contains_key("0") && snapshot.containers.contains_key("runs"));
        assert!(!snapshot.containers.contains_key(ids.last().unwrap().as_str()));
    }

    #[test]
    fn a_word_that_counts_in_one_place_only() {
        let described = Described { place: Place::Under("/user.slice/user-1000.slice/".into()), ..known("a") };
        assert!(described.may_be("/user.slice/user-1000.slice/user@1000.service/libpod-a.scope"));
        assert!(!described.may_be("/system.slice/docker-a.scope"));
        assert!(known("a").may_be("/docker/a"));
    }
}
