//! Runs collectors, none of which may cost the others their answer.
//!
//! A scrape is a list of collectors that one thread works off, one after another: that costs the least. Collectors
//! may block for ever on a file that is stuck. One that takes longer than [`PATIENCE`] is overtaken: a further thread
//! takes over the rest of the list. At the deadline the page is closed without those that have not come back. They
//! keep their thread, are reported as stuck and left out of every scrape until they return. So there are never more
//! blocked threads than collectors.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use agent_exposition::Page;
use agent_node::{CollectError, Collector};
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedMutexGuard};
use tokio::time::timeout_at;

use crate::chain;

/// How long a collector may take before another thread takes over the rest of the list.
const PATIENCE: Duration = Duration::from_millis(200);

/// What a collection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It added families to the page.
    Ok,
    /// This machine has nothing of the kind.
    Nothing,
    /// It could not read or understand the kernel.
    Failed,
    /// It had not come back at the deadline, or has not come back since an earlier one.
    Stuck,
}

impl Outcome {
    /// The value of the label `outcome`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Nothing => "nothing",
            Self::Failed => "failed",
            Self::Stuck => "stuck",
        }
    }
}

/// How one collector did in one scrape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Its name.
    pub collector: &'static str,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took; how long it has been gone when it is stuck.
    pub took: Duration,
}

/// What a scrape came to.
#[derive(Debug, Default)]
pub struct Collection {
    /// The families of all collectors that came back in time.
    pub page: Page,
    /// One report for each collector that was asked.
    pub reports: Vec<Report>,
}

/// The collectors of one page.
pub struct Schedule {
    slots: Vec<Slot>,
    /// Held while collectors are handed out: scrapes take turns.
    turn: Arc<tokio::sync::Mutex<()>>,
    scrapes: AtomicU64,
    /// A page that was given back, for its memory.
    spare: Mutex<Page>,
    /// The collector whose page, larger than all the others together, became the answer of the last scrape.
    lender: AtomicUsize,
}

/// Where a collector stays between scrapes.
struct Slot {
    name: &'static str,
    place: Mutex<Place>,
    /// What came of it last, to log changes alone.
    last: Mutex<Option<Outcome>>,
}

enum Place {
    /// Here, with the page that it fills.
    Free(Box<dyn Collector>, Page),
    /// Gone with a thread, since then.
    Gone(Instant),
}

/// A scrape under way.
struct Run {
    scrape: agent_node::Scrape,
    state: Mutex<RunState>,
    /// Told when the last collector has come back.
    finished: Notify,
}

#[derive(Default)]
struct RunState {
    waiting: VecDeque<usize>,
    running: Vec<(usize, Instant)>,
    /// Threads that were asked for and have not ended.
    threads: usize,
    collection: Collection,
    /// The answer has been taken: too late to add to it.
    closed: bool,
}

impl Schedule {
    /// Takes collectors with their names, in the order in which they run.
    pub fn new(collectors: Vec<(&'static str, Box<dyn Collector>)>) -> Self {
        let slot = |(name, collector)| Slot {
            name,
            place: Mutex::new(Place::Free(collector, Page::new())),
            last: Mutex::new(None),
        };
        Self {
            slots: collectors.into_iter().map(slot).collect(),
            turn: Arc::default(),
            scrapes: AtomicU64::new(0),
            spare: Mutex::default(),
            lender: AtomicUsize::new(usize::MAX),
        }
    }

    /// The names of the collectors, in their order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.slots.iter().map(|slot| slot.name)
    }

    /// Gives a page back when it has been printed; the next scrape uses its memory again: the collector that lent it, which
    /// has got the smaller one instead. So there is one large page, not that of the containers and one of all.
    pub fn give_back(&self, mut page: Page) {
        page.clear();
        if let Some(slot) = self.slots.get(self.lender.load(Ordering::Relaxed))
            && let Place::Free(_, own) = &mut *slot.place.lock()
            && page.has_more_room_than(own)
        {
            std::mem::swap(own, &mut page);
        }
        *self.spare.lock() = page;
    }

    /// Runs the collectors that `wanted` names, and answers before the deadline or shortly after it.
    pub async fn collect(self: &Arc<Self>, wanted: impl Fn(&str) -> bool, deadline: Instant) -> Collection {
        let wanted: VecDeque<_> =
            self.slots.iter().enumerate().filter(|(_, slot)| wanted(slot.name)).map(|(index, _)| index).collect();
        let started = Instant::now();
        let Ok(turn) = timeout_at(deadline.into(), self.turn.clone().lock_owned()).await else {
            return self.all_stuck(&wanted, started);
        };
        // By itself: who asked may hang up, and the collectors are with the thread all the same. The next one would take
        // them for stuck.
        let (schedule, wanted_again) = (self.clone(), wanted.clone());
        let collection = tokio::spawn(async move { schedule.take_turn(turn, wanted, started, deadline).await });
        collection.await.unwrap_or_else(|_| self.all_stuck(&wanted_again, started))
    }

    async fn take_turn(
        self: &Arc<Self>,
        turn: OwnedMutexGuard<()>,
        wanted: VecDeque<usize>,
        started: Instant,
        deadline: Instant,
    ) -> Collection {
        let mut turn = Some(turn);
        let run = self.begin(wanted, started, deadline);
        loop {
            let next_look = deadline.min(Instant::now() + PATIENCE);
            let finished = timeout_at(next_look.into(), run.finished.notified()).await.is_ok();
            let mut state = run.state.lock();
            if finished || Instant::now() >= deadline || state.is_finished() {
                return self.close(&mut state);
            }
            let all_slow = state.running.iter().all(|(_, since)| since.elapsed() >= PATIENCE);
            if all_slow && state.waiting.is_empty() {
                // Whoever scrapes next need not wait for the slow ones.
                drop(turn.take());
            } else if all_slow && state.threads <= state.running.len() {
                self.employ(&run, &mut state);
            }
        }
    }

    fn begin(self: &Arc<Self>, waiting: VecDeque<usize>, started: Instant, deadline: Instant) -> Arc<Run> {
        let number = self.scrapes.fetch_add(1, Ordering::Relaxed);
        // Collectors that watch the time themselves are to be back before they are taken for stuck.
        let own_deadline = started + deadline.saturating_duration_since(started).mul_f64(0.9);
        let reports = Vec::with_capacity(waiting.len());
        let collection = Collection { page: std::mem::take(&mut *self.spare.lock()), reports };
        let run = Arc::new(Run {
            scrape: agent_node::Scrape { number, deadline: own_deadline },
            state: Mutex::new(RunState { waiting, collection, ..RunState::default() }),
            finished: Notify::new(),
        });
        self.employ(&run, &mut run.state.lock());
        run
    }

    /// Lets a further thread work on the list.
    fn employ(self: &Arc<Self>, run: &Arc<Run>, state: &mut RunState) {
        state.threads += 1;
        let (schedule, run) = (self.clone(), run.clone());
        tokio::task::spawn_blocking(move || schedule.work(&run));
    }

    /// Works the list off until it is empty or the run is over.
    fn work(&self, run: &Run) {
        loop {
            let index = {
                let mut state = run.state.lock();
                let next = if state.closed { None } else { state.waiting.pop_front() };
                let Some(index) = next else {
                    state.threads -= 1;
                    if state.is_finished() {
                        run.finished.notify_one();
                    }
                    return;
                };
                state.running.push((index, Instant::now()));
                index
            };
            let Some(slot) = self.slots.get(index) else { continue };
            let mut page = Page::new();
            let report = slot.run(run.scrape, &mut page);
            let mut state = run.state.lock();
            state.running.retain(|(running, _)| *running != index);
            if !state.closed {
                if state.collection.page.absorb_from(&mut page) {
                    self.lender.store(index, Ordering::Relaxed);
                }
                state.collection.reports.push(report);
            }
            drop(state);
            slot.keep(page);
        }
    }

    /// Takes the answer, with those reported as stuck that are not back.
    fn close(&self, state: &mut RunState) -> Collection {
        state.closed = true;
        let mut collection = std::mem::take(&mut state.collection);
        let now = Instant::now();
        let late = state.running.iter().copied().chain(state.waiting.iter().map(|index| (*index, now)));
        collection.reports.extend(late.filter_map(|(index, since)| Some(self.slots.get(index)?.stuck(since))));
        collection.reports.sort_unstable_by_key(|report| report.collector);
        collection
    }

    fn all_stuck(&self, wanted: &VecDeque<usize>, since: Instant) -> Collection {
        let reports = wanted.iter().filter_map(|index| self.slots.get(*index)).map(|slot| slot.stuck(since)).collect();
        Collection { page: Page::new(), reports }
    }
}

impl RunState {
    fn is_finished(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }
}

impl Slot {
    /// Runs the collector, unless it is gone. What it adds comes in `page`, which is swapped with the collector's own.
    fn run(&self, scrape: agent_node::Scrape, page: &mut Page) -> Report {
        let started = Instant::now();
        let (mut collector, mut own_page) = {
            let mut place = self.place.lock();
            match std::mem::replace(&mut *place, Place::Gone(started)) {
                Place::Free(collector, page) => (collector, page),
                Place::Gone(since) => {
                    *place = Place::Gone(since);
                    return self.stuck(since);
                }
            }
        };
        let result = catch_unwind(AssertUnwindSafe(|| {
            collector.begin(scrape);
            collector.collect(&mut own_page)
        }));
        let outcome = match &result {
            Ok(Ok(agent_node::Outcome::Collected)) => Outcome::Ok,
            Ok(Ok(agent_node::Outcome::Nothing)) => Outcome::Nothing,
            Ok(Err(_)) | Err(_) => Outcome::Failed,
        };
        if outcome == Outcome::Failed {
            own_page.clear();
        }
        self.note(outcome, result.ok().and_then(Result::err));
        std::mem::swap(page, &mut own_page);
        *self.place.lock() = Place::Free(collector, own_page);
        Report { collector: self.name, outcome, took: started.elapsed() }
    }

    /// Keeps an emptied page for the next scrape.
    fn keep(&self, mut emptied: Page) {
        emptied.clear();
        if let Place::Free(_, page) = &mut *self.place.lock() {
            *page = emptied;
        }
    }

    fn stuck(&self, since: Instant) -> Report {
        self.note(Outcome::Stuck, None);
        Report { collector: self.name, outcome: Outcome::Stuck, took: since.elapsed() }
    }

    /// Logs what is new about the collector.
    fn note(&self, outcome: Outcome, error: Option<CollectError>) {
        let before = self.last.lock().replace(outcome);
        if before == Some(outcome) {
            return;
        }
        match (outcome, error) {
            (Outcome::Failed, Some(error)) => {
                tracing::error!(collector = self.name, error = chain(&error), "collector failed");
            }
            (Outcome::Failed, None) => tracing::error!(collector = self.name, "collector panicked"),
            (Outcome::Stuck, _) => tracing::error!(collector = self.name, "collector does not come back"),
            (Outcome::Nothing, _) => tracing::debug!(collector = self.name, "nothing of the kind on this machine"),
            (Outcome::Ok, _) if before.is_some() => tracing::info!(collector = self.name, "collector works again"),
            (Outcome::Ok, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use agent_exposition::Kind;

    use super::*;

    /// Does what it is told to.
    struct Told {
        name: &'static str,
        act: Act,
    }

    enum Act {
        Collect,
        Nothing,
        Fail,
        Panic,
        /// Waits for a word, then collects.
        Wait(Receiver<()>),
        /// Looks whether its own deadline comes before this.
        Hurry(Instant),
    }

    impl Collector for Told {
        fn begin(&mut self, scrape: agent_node::Scrape) {
            if let Act::Hurry(before) = self.act {
                assert!(scrape.deadline < before);
            }
        }

        fn collect(&mut self, page: &mut Page) -> Result<agent_node::Outcome, CollectError> {
            page.single(self.name, "", Kind::Gauge, 1.0);
            match &self.act {
                Act::Collect | Act::Hurry(_) => {}
                Act::Nothing => return Ok(agent_node::Outcome::Nothing),
                Act::Fail => {
                    let path = "/proc/nothing".into();
                    return Err(agent_procfs::Error::Parse { path, line: 1, reason: "no".to_owned() }.into());
                }
                Act::Panic => panic!("as told"),
                Act::Wait(word) => word.recv().expect("the word is given"),
            }
            Ok(agent_node::Outcome::Collected)
        }
    }

    fn schedule(acts: Vec<(&'static str, Act)>) -> Arc<Schedule> {
        let told = |(name, act)| (name, Box::new(Told { name, act }) as Box<dyn Collector>);
        Arc::new(Schedule::new(acts.into_iter().map(told).collect()))
    }

    fn waiting(name: &'static str) -> ((&'static str, Act), Sender<()>) {
        let (sender, receiver) = channel();
        ((name, Act::Wait(receiver)), sender)
    }

    fn in_ms(milliseconds: u64) -> Instant {
        Instant::now() + Duration::from_millis(milliseconds)
    }

    fn outcomes(collection: &Collection) -> Vec<(&'static str, &'static str)> {
        collection.reports.iter().map(|report| (report.collector, report.outcome.name())).collect()
    }

    fn has(collection: &Collection, family: &str) -> bool {
        collection.page.kind_of(family).is_some()
    }

    #[tokio::test]
    async fn each_outcome_is_told_and_a_failure_leaves_nothing_on_the_page() {
        let acts = vec![("d", Act::Panic), ("a", Act::Collect), ("c", Act::Fail), ("b", Act::Nothing)];
        let schedule = schedule(acts);
        for _ in 0..2 {
            let collection = schedule.collect(|_| true, in_ms(10_000)).await;
            assert_eq!(outcomes(&collection), [("a", "ok"), ("b", "nothing"), ("c", "failed"), ("d", "failed")]);
            assert!(has(&collection, "a") && !has(&collection, "c") && !has(&collection, "d"));
            schedule.give_back(collection.page);
        }
        let some = schedule.collect(|name| name == "a", in_ms(10_000)).await;
        assert_eq!(outcomes(&some), [("a", "ok")]);
        assert_eq!(outcomes(&schedule.collect(|_| false, in_ms(10_000)).await), []);
    }

    #[tokio::test]
    async fn those_behind_the_stuck_ones_are_collected() {
        let (first, word_1) = waiting("stuck_1");
        let (second, word_2) = waiting("stuck_2");
        let schedule = schedule(vec![first, ("a", Act::Collect), second, ("b", Act::Collect)]);
        let collection = schedule.collect(|_| true, in_ms(1500)).await;
        let want = [("a", "ok"), ("b", "ok"), ("stuck_1", "stuck"), ("stuck_2", "stuck")];
        assert_eq!(outcomes(&collection), want);
        assert!(has(&collection, "b") && !has(&collection, "stuck_1"));
        // One comes back: what it brings then is too late, and the next scrape has it again.
        word_1.send(()).unwrap();
        word_1.send(()).unwrap();
        let deadline = in_ms(10_000);
        loop {
            let collection = schedule.collect(|_| true, in_ms(5_000)).await;
            assert!(outcomes(&collection).contains(&("stuck_2", "stuck")));
            if has(&collection, "stuck_1") {
                assert!(outcomes(&collection).contains(&("stuck_1", "ok")));
                break;
            }
            assert!(Instant::now() < deadline, "it does not come back");
        }
        word_2.send(()).unwrap();
    }

    #[tokio::test]
    async fn a_slow_collector_is_waited_for_and_holds_up_nobody_else() {
        let (slow, word) = waiting("slow");
        let schedule = schedule(vec![("a", Act::Collect), slow]);
        let first = {
            let schedule = schedule.clone();
            tokio::spawn(async move { schedule.collect(|_| true, in_ms(30_000)).await })
        };
        tokio::task::yield_now().await;
        // Answered while the first still waits, though not before it is known to be slow.
        let second = schedule.collect(|_| true, in_ms(30_000)).await;
        assert_eq!(outcomes(&second), [("a", "ok"), ("slow", "stuck")]);
        assert!(!first.is_finished());
        word.send(()).unwrap();
        let first = first.await.unwrap();
        assert_eq!(outcomes(&first), [("a", "ok"), ("slow", "ok")]);
        assert!(has(&first, "slow"));
    }

    /// Whoever asked went away; the collectors are with his thread all the same.
    #[tokio::test]
    async fn a_scrape_that_nobody_waits_for_has_its_turn_to_the_end() {
        let (slow, word) = waiting("slow");
        let schedule = schedule(vec![slow, ("a", Act::Collect)]);
        // On a machine that stands still for a moment the first may be taken for slow, and overtaken.
        let waits = async || {
            let first = {
                let schedule = schedule.clone();
                tokio::spawn(async move { schedule.collect(|_| true, in_ms(60_000)).await })
            };
            while matches!(*schedule.slots[0].place.lock(), Place::Free(..)) {
                tokio::task::yield_now().await;
            }
            first.abort();
            assert!(first.await.unwrap_err().is_cancelled());
            let second = {
                let schedule = schedule.clone();
                tokio::spawn(async move { schedule.collect(|_| true, in_ms(60_000)).await })
            };
            tokio::task::yield_now().await;
            word.send(()).unwrap();
            word.send(()).unwrap();
            outcomes(&second.await.unwrap()) == [("a", "ok"), ("slow", "ok")]
        };
        for _ in 0..5 {
            if waits().await {
                return;
            }
        }
        panic!("it is not waited for");
    }

    #[tokio::test]
    async fn collectors_get_a_deadline_before_ours() {
        let deadline = in_ms(10_000);
        let schedule = schedule(vec![("a", Act::Hurry(deadline))]);
        assert_eq!(outcomes(&schedule.collect(|_| true, deadline).await), [("a", "ok")]);
    }
}
