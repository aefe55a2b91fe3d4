//! What happened to cgroups: made, removed, out of memory.
//!
//! It is noticed when the cgroups are looked at, that is at scrapes and readings: what comes and goes between two of
//! them is not seen.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agent_exposition::{Kind, Page};
use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::cgroups::{Cgroup, Tree};
use crate::known::Registry;

/// Events that are kept; then the oldest go.
const MOST_EVENTS: usize = 10_000;
/// Events that a listener may be behind.
const MOST_BEHIND: usize = 1024;
/// Kills of one cgroup between two looks that become events each.
const MOST_KILLS: u64 = 16;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A cgroup was made.
    Creation,
    /// A cgroup was removed.
    Deletion,
    /// A cgroup was out of memory.
    Oom,
    /// A process of a cgroup was killed for want of memory.
    OomKill,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Creation, Self::Deletion, Self::Oom, Self::OomKill];

    /// cAdvisor's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Creation => "containerCreation",
            Self::Deletion => "containerDeletion",
            Self::Oom => "oom",
            Self::OomKill => "oomKill",
        }
    }
}

/// Something that happened to a cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The cgroup's path.
    pub path: Arc<str>,
    /// When: of a creation by the kernel's word, of all others when it was noticed.
    pub at: SystemTime,
    /// What.
    pub kind: EventKind,
}

/// Which events are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventQuery {
    /// Of this cgroup.
    pub path: String,
    /// And of those below it.
    pub below: bool,
    /// Of these kinds.
    pub kinds: Vec<EventKind>,
    /// Not before.
    pub start: Option<SystemTime>,
    /// Not after.
    pub end: Option<SystemTime>,
    /// The newest ones, at most so many.
    pub most: usize,
}

impl EventQuery {
    /// Whether an event is wanted.
    pub fn wants(&self, event: &Event) -> bool {
        let prefix = self.path.trim_end_matches('/');
        let is_below = || event.path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'));
        let of_path = *event.path == *self.path || (self.below && is_below());
        let in_time = self.start.is_none_or(|start| event.at >= start) && self.end.is_none_or(|end| event.at <= end);
        of_path && in_time && self.kinds.contains(&event.kind)
    }
}

/// All events.
#[derive(Debug)]
pub(crate) struct EventLog {
    state: Mutex<State>,
    listeners: broadcast::Sender<Event>,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Event>,
    dropped: u64,
    /// Events that listeners were too slow for.
    missed: u64,
    /// The cgroups that are there: which one of that path, and its kills so far where they are known.
    there: HashMap<Arc<str>, (u64, Option<u64>)>,
    /// Of which look at the tree and at the runtime's word `there` is.
    seen: Option<(u64, u64)>,
}

impl Default for EventLog {
    fn default() -> Self {
        Self { state: Mutex::default(), listeners: broadcast::Sender::new(MOST_BEHIND) }
    }
}

impl EventLog {
    /// Compares the cgroups that are shown with those of the last time.
    pub(crate) fn notice(&self, tree: &Tree, registry: &Registry, now: SystemTime) {
        let mut state = self.state.lock();
        let look = (tree.generation, registry.word);
        if state.seen == Some(look) {
            return;
        }
        let is_first = state.seen.is_none();
        state.seen = Some(look);
        let mut before = std::mem::take(&mut state.there);
        let mut events = Vec::new();
        for cgroup in registry.wanted(tree).into_iter().filter_map(|key| tree.get(key)) {
            let path = &cgroup.path;
            let kept = before.remove(path);
            let event = |kind, at| Event { path: path.clone(), at, kind };
            let known = match kept {
                Some((incarnation, kills)) if incarnation == cgroup.incarnation => (incarnation, kills),
                other => {
                    if other.is_some() {
                        events.push(event(EventKind::Deletion, now));
                    }
                    events.push(event(EventKind::Creation, made(cgroup).unwrap_or(now)));
                    // Kills before the first look happened nobody knows when.
                    (cgroup.incarnation, (!is_first).then_some(0))
                }
            };
            state.there.insert(path.clone(), known);
        }
        let mut gone: Vec<_> = before.into_keys().collect();
        gone.sort_unstable();
        events.extend(gone.into_iter().map(|path| Event { path, at: now, kind: EventKind::Deletion }));
        for event in events {
            self.add(&mut state, event);
        }
    }

    /// Compares a cgroup's kills with those of the last time.
    pub(crate) fn kills(&self, path: &Arc<str>, kills: u64, now: SystemTime) {
        let mut state = self.state.lock();
        let Some((_, known)) = state.there.get_mut(path) else { return };
        let before = known.replace(kills).unwrap_or(kills);
        for _ in 0..kills.saturating_sub(before).min(MOST_KILLS) {
            for kind in [EventKind::Oom, EventKind::OomKill] {
                self.add(&mut state, Event { path: path.clone(), at: now, kind });
            }
        }
    }

    fn add(&self, state: &mut State, event: Event) {
        // Fails only while nobody listens.
        let _ = self.listeners.send(event.clone());
        state.events.push_back(event);
        if state.events.len() > MOST_EVENTS {
            state.events.pop_front();
            state.dropped += 1;
        }
    }

    /// Those that are wanted, oldest first.
    pub(crate) fn find(&self, query: &EventQuery) -> Vec<Event> {
        let state = self.state.lock();
        let mut found: Vec<_> = state.events.iter().filter(|event| query.wants(event)).cloned().collect();
        found.sort_by_key(|event| event.at);
        found.drain(..found.len().saturating_sub(query.most));
        found
    }

    /// All that comes from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Event> {
        self.listeners.subscribe()
    }

    /// A listener was too slow for some.
    pub(crate) fn missed(&self, missed: u64) {
        self.state.lock().missed += missed;
    }

    /// How many were dropped.
    pub(crate) fn tell(&self, page: &mut Page) {
        let (dropped, missed) = {
            let state = self.state.lock();
            (state.dropped, state.missed)
        };
        let family = page.family(
            "atalaia_container_events_dropped_total",
            "Events of cgroups that were dropped because there were too many, or that a listener was too slow for.",
            Kind::Counter,
        );
        page.sample(family, &[("reason", "full")], dropped as f64);
        page.sample(family, &[("reason", "slow_listener")], missed as f64);
    }
}

fn made(cgroup: &Cgroup) -> Option<SystemTime> {
    Some(UNIX_EPOCH + Duration::from_secs(u64::try_from(cgroup.created?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(path: &str, seconds: u64, kind: EventKind) -> Event {
        Event { path: path.into(), at: UNIX_EPOCH + Duration::from_secs(seconds), kind }
    }

    fn query(path: &str) -> EventQuery {
        let kinds = EventKind::ALL.to_vec();
        EventQuery { path: path.to_owned(), below: true, kinds, start: None, end: None, most: 10 }
    }

    #[track_caller]
    fn check(log: &EventLog, query: &EventQuery, want: &[u64]) {
        let seconds = |event: Event| event.at.duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(log.find(query).into_iter().map(seconds).collect::<Vec<_>>(), want);
    }

    #[test]
    fn events_are_found_by_path_kind_and_time() {
        let log = EventLog::default();
        let all = [
            event("/a", 30, EventKind::Oom),
            event("/a/b", 10, EventKind::Creation),
            event("/ab", 20, EventKind::Creation),
            event("/a", 40, EventKind::Deletion),
        ];
        for event in all {
            log.add(&mut log.state.lock(), event);
        }
        let at = |seconds| Some(UNIX_EPOCH + Duration::from_secs(seconds));
        check(&log, &query("/"), &[10, 20, 30, 40]);
        check(&log, &query("/a"), &[10, 30, 40]);
        check(&log, &EventQuery { below: false, ..query("/a") }, &[30, 40]);
        check(&log, &EventQuery { below: false, ..query("/") }, &[]);
        check(&log, &EventQuery { most: 2, ..query("/") }, &[30, 40]);
        check(&log, &EventQuery { start: at(20), end: at(30), ..query("/") }, &[20, 30]);
        check(&log, &EventQuery { kinds: vec![EventKind::Creation], ..query("/") }, &[10, 20]);
    }

    #[test]
    fn the_log_is_bounded() {
        let log = EventLog::default();
        for second in 0..=MOST_EVENTS as u64 {
            log.add(&mut log.state.lock(), event("/a", second, EventKind::Oom));
        }
        let state = log.state.lock();
        assert_eq!((state.events.len(), state.dropped), (MOST_EVENTS, 1));
    }

    #[test]
    fn kills_become_events_when_they_grow() {
        let log = EventLog::default();
        let path: Arc<str> = "/a".into();
        log.state.lock().there.insert(path.clone(), (1, None));
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        log.kills(&path, 3, at(1));
        check(&log, &query("/a"), &[]);
        log.kills(&path, 5, at(2));
        check(&log, &query("/a"), &[2, 2, 2, 2]);
        log.kills(&path, 5, at(3));
        check(&log, &query("/a"), &[2, 2, 2, 2]);
        log.kills(&"/unknown".into(), 5, at(4));
        check(&log, &EventQuery { most: 1, ..query("/") }, &[2]);
    }
}
