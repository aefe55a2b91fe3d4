//! The last minutes of all cgroups, for cAdvisor's API, the pages and `top`.
//!
//! Nothing is kept while nobody asks: the first question takes one reading, and wakes the sampler, which then reads
//! once each `housekeeping_interval` until nobody has asked for a minute, and forgets everything. A reading is a
//! scrape whose figures are kept as numbers, so that API and `/metrics` cannot tell different stories.

mod events;
mod gathering;
mod sample;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use agent_exposition::{Kind, Page};
use parking_lot::Mutex;
use tokio::sync::Notify;

pub(crate) use events::EventLog;
pub use events::{Event, EventKind, EventQuery};
pub(crate) use gathering::Gathering;
pub use sample::{About, Cpu, Device, FileSystem, Interface, Limits, Memory, Pressure, Sample, Tasks};

use crate::Inner;
use crate::collect::{Boards, Collection};
use crate::runtimes::View;

/// How long after the last question readings go on.
const INTEREST: Duration = Duration::from_secs(60);
/// Questions that want newer figures than these get them as they are.
const LEAST_AGE: Duration = Duration::from_millis(100);
/// Cgroups times readings that are kept; beyond it the oldest readings go before their time. About a kilobyte each.
const MOST_SAMPLES: usize = 24_000;

/// One reading of all cgroups.
#[derive(Debug)]
struct Round {
    at: SystemTime,
    clock: Instant,
    /// By path: which cgroup of that path it was, and its figures.
    samples: HashMap<Arc<str>, (u64, Sample)>,
}

/// What is kept.
#[derive(Debug, Default)]
pub(crate) struct History {
    state: Mutex<State>,
    /// Someone asked.
    asked: Notify,
}

#[derive(Debug, Default)]
struct State {
    rounds: VecDeque<Arc<Round>>,
    about: Arc<BTreeMap<Arc<str>, Arc<About>>>,
    samples: usize,
    dropped: u64,
    last_asked: Option<Instant>,
}

impl History {
    /// Notes that someone asks.
    pub(crate) fn ask(&self) {
        self.state.lock().last_asked = Some(Instant::now());
        self.asked.notify_one();
    }

    fn is_asked(&self) -> bool {
        self.state.lock().last_asked.is_some_and(|asked| asked.elapsed() < INTEREST)
    }

    fn is_newer_than(&self, age: Duration) -> bool {
        self.state.lock().rounds.back().is_some_and(|round| round.clock.elapsed() <= age.max(LEAST_AGE))
    }

    fn push(&self, round: Round, about: BTreeMap<Arc<str>, Arc<About>>, storage_duration: Duration, most: usize) {
        let mut state = self.state.lock();
        state.samples += round.samples.len();
        state.rounds.push_back(Arc::new(round));
        state.about = Arc::new(about);
        while state.rounds.len() > 1 {
            let is_old = state.rounds.front().is_some_and(|round| round.clock.elapsed() > storage_duration);
            let is_full = state.samples > most;
            if !is_old && !is_full {
                break;
            }
            let gone = state.rounds.pop_front().map_or(0, |round| round.samples.len());
            state.samples -= gone;
            state.dropped += if is_old { 0 } else { gone as u64 };
        }
    }

    /// Lets go of everything, unless someone asked just now.
    fn forget(&self) {
        let mut state = self.state.lock();
        if state.last_asked.is_some_and(|asked| asked.elapsed() < INTEREST) {
            return;
        }
        state.rounds = VecDeque::new();
        state.about = Arc::default();
        state.samples = 0;
    }

    fn recent(&self) -> Recent {
        let state = self.state.lock();
        Recent { rounds: state.rounds.iter().cloned().collect(), about: state.about.clone() }
    }

    /// What is kept, and what was dropped for want of room.
    pub(crate) fn tell(&self, page: &mut Page) {
        let (samples, dropped) = {
            let state = self.state.lock();
            (state.samples, state.dropped)
        };
        page.single(
            "atalaia_container_history_samples",
            "Readings of cgroups that are kept for the API and the pages; none while nobody asks.",
            Kind::Gauge,
            samples as f64,
        );
        page.single(
            "atalaia_container_history_dropped_total",
            "Readings of cgroups that were dropped before their time because there were too many.",
            Kind::Counter,
            dropped as f64,
        );
    }
}

/// The last readings, oldest first. A clone shares everything.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    rounds: Vec<Arc<Round>>,
    about: Arc<BTreeMap<Arc<str>, Arc<About>>>,
}

impl Recent {
    /// The cgroups of the last reading, by path.
    pub fn all(&self) -> impl Iterator<Item = &Arc<About>> {
        self.about.values()
    }

    /// The cgroup at a path.
    pub fn get(&self, path: &str) -> Option<&Arc<About>> {
        self.about.get(path)
    }

    /// A container by its name, its id or the beginning of its id. Nothing where several ids begin so.
    pub fn container(&self, asked: &str) -> Option<&Arc<About>> {
        let containers = || self.all().filter(|about| about.is_container);
        let named = |about: &&Arc<About>| about.name.as_deref() == Some(asked) || about.id.as_deref() == Some(asked);
        if let Some(about) = containers().find(named) {
            return Some(about);
        }
        let mut by_prefix = containers()
            .filter(|about| !asked.is_empty() && about.id.as_deref().is_some_and(|id| id.starts_with(asked)));
        by_prefix.next().filter(|_| by_prefix.next().is_none())
    }

    /// Those right below a path.
    pub fn below(&self, path: &str) -> impl Iterator<Item = &Arc<About>> {
        self.all().filter(move |about| about.parent.as_deref() == Some(path))
    }

    /// Its readings since it was made, oldest first.
    pub fn samples<'a>(&'a self, about: &'a About) -> impl DoubleEndedIterator<Item = (SystemTime, &'a Sample)> {
        self.rounds.iter().filter_map(|round| {
            let (incarnation, sample) = round.samples.get(&about.path)?;
            (*incarnation == about.incarnation).then_some((round.at, sample))
        })
    }
}

impl Inner {
    /// The last readings, the newest no older than an age.
    pub(crate) fn recent(&self, age: Duration) -> Recent {
        self.history.ask();
        self.look(Some(age), SystemTime::now());
        self.history.recent()
    }

    /// Reads all cgroups, unless the last reading is no older than an age.
    pub(crate) fn look(&self, age: Option<Duration>, now: SystemTime) {
        let mut collection = self.collection.lock();
        if age.is_some_and(|age| self.history.is_newer_than(age)) {
            return;
        }
        let clock = Instant::now();
        let boards = self.boards();
        let known = self.history.state.lock().about.clone();
        let (samples, about) = gather(&mut collection, &self.view, boards, now, &known);
        let round = Round { at: now, clock, samples };
        self.history.push(round, about, self.config.storage_duration, MOST_SAMPLES);
    }
}

type Gatherings = (HashMap<Arc<str>, (u64, Sample)>, BTreeMap<Arc<str>, Arc<About>>);

fn gather(
    collection: &mut Collection,
    view: &View,
    boards: Boards<'_>,
    now: SystemTime,
    known: &BTreeMap<Arc<str>, Arc<About>>,
) -> Gatherings {
    let mut page = Page::new();
    collection.gathering = Some(Gathering::default());
    collection.collect(&mut page, view, boards, now);
    let gathering = collection.gathering.take().unwrap_or_default();
    let keys: HashMap<_, _> = gathering.all.iter().map(|gathered| (gathered.key, ())).collect();
    let mut samples = HashMap::with_capacity(gathering.all.len());
    let mut all = BTreeMap::new();
    for gathered in gathering.all {
        let Some(cgroup) = collection.tree.get(gathered.key) else { continue };
        let Some(of_registry) = collection.registry.get(gathered.key) else { continue };
        let mut above = of_registry.parent;
        // With some cgroups left out, the parent is the nearest one that is not.
        while let Some(key) = above.filter(|key| !keys.contains_key(key)) {
            above = collection.registry.get(key).and_then(|known| known.parent);
        }
        let parent = above.and_then(|key| collection.tree.get(key)).map(|cgroup| cgroup.path.clone());
        let described = of_registry.described.as_deref();
        let exact = described.and_then(|described| described.created).or(gathered.created);
        let filled = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let about = About {
            path: cgroup.path.clone(),
            id: described.map(|described| described.id.clone()).or_else(|| cgroup.container.clone()),
            name: described.and_then(|described| filled(&described.name)),
            runtime: described.and_then(|described| view.runtime_of(&described.id)),
            image: described.and_then(|described| filled(&described.image)),
            labels: described.map(|described| described.labels.clone()).unwrap_or_default(),
            created: exact.map(nanoseconds),
            is_container: of_registry.is_container,
            parent,
            limits: gathered.limits,
            incarnation: cgroup.incarnation,
        };
        let about = match known.get(&cgroup.path) {
            Some(before) if **before == about => before.clone(),
            _ => Arc::new(about),
        };
        samples.insert(about.path.clone(), (about.incarnation, gathered.sample));
        all.insert(about.path.clone(), about);
    }
    (samples, all)
}

/// A float has no nanoseconds for these times: microseconds are the finest that it holds.
fn nanoseconds(seconds: f64) -> i128 {
    (seconds * 1e6).round() as i128 * 1000
}

/// Reads as long as somebody asks; ends when the containers are let go of.
pub(crate) async fn follow(inner: Weak<Inner>) {
    let Some(history) = inner.upgrade().map(|inner| inner.history.clone()) else { return };
    loop {
        history.asked.notified().await;
        let Some(interval) = inner.upgrade().map(|inner| inner.config.housekeeping_interval) else { return };
        let mut ticks = tokio::time::interval(interval.max(LEAST_AGE));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while history.is_asked() {
            ticks.tick().await;
            let Some(strong) = inner.upgrade() else { return };
            // A question may have brought a reading just now.
            let looked = tokio::task::spawn_blocking(move || strong.look(Some(interval / 2), SystemTime::now()));
            if looked.await.is_err() {
                return;
            }
        }
        history.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(age: Duration, count: usize) -> Round {
        let samples = (0..count).map(|at| (format!("/{at}").into(), (1, Sample::default()))).collect();
        Round { at: SystemTime::now(), clock: Instant::now() - age, samples }
    }

    #[track_caller]
    fn check(history: &History, rounds: usize, samples: usize, dropped: u64) {
        let state = history.state.lock();
        assert_eq!((state.rounds.len(), state.samples, state.dropped), (rounds, samples, dropped));
    }

    #[test]
    fn old_readings_go_and_too_many_go_before_their_time() {
        let history = History::default();
        let push = |age, count| history.push(round(Duration::from_secs(age), count), BTreeMap::new(), MINUTE, 10);
        const MINUTE: Duration = Duration::from_secs(60);
        push(100, 4);
        check(&history, 1, 4, 0);
        push(50, 4);
        check(&history, 1, 4, 0);
        push(40, 4);
        push(30, 4);
        check(&history, 2, 8, 4);
        push(20, 100);
        check(&history, 1, 100, 12);
        history.forget();
        check(&history, 0, 0, 12);
    }

    #[test]
    fn nothing_is_asked_at_first_and_a_question_is_noted() {
        let history = History::default();
        assert!(!history.is_asked());
        history.ask();
        assert!(history.is_asked());
    }

    #[test]
    fn times_are_exact_to_the_microsecond() {
        assert_eq!(nanoseconds(1_700_000_005.123_456), 1_700_000_005_123_456_000);
    }
}
