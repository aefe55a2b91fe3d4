//! The ruler: one task per group, replaced as the rule files change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use collector_model::TimestampMs;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::evaluation::{EvaluationError, Ports};
use crate::file::RuleFile;
use crate::group::{Definition, Group, GroupOutcome, Settings};
use crate::metrics::{Iteration, Metrics};
use crate::schedule::Schedule;
use crate::snapshot::GroupSnapshot;
use crate::writer;

/// How many groups may evaluate at one time; the others wait, and count what they miss.
const MAX_CONCURRENT_GROUPS: usize = 4;

/// Evaluates groups of rules at their intervals. Must be used inside a tokio runtime.
#[derive(Debug)]
pub struct Ruler {
    shared: Arc<Shared>,
    running: Mutex<Running>,
}

#[derive(Debug)]
struct Shared {
    ports: Ports,
    metrics: Metrics,
    permits: Semaphore,
    /// Turns true when the whole ruler stops.
    closing: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Running {
    /// By file and group name.
    groups: BTreeMap<(String, String), RunningGroup>,
    /// Groups that are gone and still have to end their series.
    retiring: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct RunningGroup {
    definition: Definition,
    view: View,
    stop: watch::Sender<bool>,
    task: JoinHandle<Group>,
}

/// What a group last told about itself.
type View = Arc<Mutex<GroupSnapshot>>;

impl Ruler {
    /// A ruler without groups.
    pub fn new(ports: Ports, metrics: Metrics) -> Self {
        let shared = Shared {
            ports,
            metrics,
            permits: Semaphore::new(MAX_CONCURRENT_GROUPS),
            closing: watch::Sender::new(false),
        };
        Self { shared: Arc::new(shared), running: Mutex::default() }
    }

    /// Makes these the groups that run, all at once. A group that is the same as before keeps its state and its
    /// schedule; one that changed takes over the state of the rules that it still has; of one that is gone the
    /// series end, two intervals later, so that another group may take them over meanwhile. A file that is named
    /// twice counts once. Does nothing after [`stop`](Self::stop).
    pub fn apply(&self, files: Vec<RuleFile>, settings: &Settings) {
        if *self.shared.closing.borrow() {
            return;
        }
        let mut running = self.running.lock();
        let mut before = std::mem::take(&mut running.groups);
        for file in files {
            for group in file.groups {
                let key = (file.path.clone(), group.name.clone());
                if running.groups.contains_key(&key) {
                    continue;
                }
                let definition = Definition::new(&file.path, group, settings);
                let next = match before.remove(&key) {
                    Some(same) if same.definition == definition && !same.task.is_finished() => same,
                    other => self.start(definition, other),
                };
                running.groups.insert(key, next);
            }
        }
        running.retiring.retain(|task| !task.is_finished());
        for (_, gone) in before {
            self.shared.metrics.remove_group(&metric_key(&gone.definition));
            let task = tokio::spawn(retire(Arc::clone(&self.shared), gone));
            running.retiring.push(task);
        }
    }

    fn start(&self, definition: Definition, before: Option<RunningGroup>) -> RunningGroup {
        let mut group = Group::from_definition(definition.clone());
        if before.is_none() {
            group.restore_alerts();
        }
        let key = metric_key(&definition);
        self.shared.metrics.add_group(&key, definition.interval.0, definition.group.rules.len());
        let view: View = Arc::new(Mutex::new(group.snapshot()));
        let (stop, stopped) = watch::channel(false);
        let keeper = Keeper { shared: Arc::clone(&self.shared), view: Arc::clone(&view), key, stopped };
        let task = tokio::spawn(keeper.run(group, before));
        RunningGroup { definition, view, stop, task }
    }

    /// All groups, sorted by file and name.
    pub fn snapshot(&self) -> Vec<GroupSnapshot> {
        self.running.lock().groups.values().map(|group| group.view.lock().clone()).collect()
    }

    /// Stops all groups and waits for the evaluations under way, which end after the rule that they are at.
    /// Series are not ended: they go on when the process comes back.
    pub async fn stop(&self) {
        self.shared.closing.send_replace(true);
        let running = std::mem::take(&mut *self.running.lock());
        for (_, group) in running.groups {
            group.stop.send_replace(true);
            // A task that panicked has nothing left to wait for.
            let _ = group.task.await;
        }
        for task in running.retiring {
            let _ = task.await;
        }
    }
}

/// `file;group`, the value of the label `rule_group`.
fn metric_key(definition: &Definition) -> String {
    format!("{};{}", definition.file, definition.group.name)
}

/// Ends the series of a group that is gone.
async fn retire(shared: Arc<Shared>, gone: RunningGroup) {
    gone.stop.send_replace(true);
    let gone_at_ms = shared.ports.clock.now_ms();
    let interval = gone.definition.interval.0;
    let Ok(group) = gone.task.await else { return };
    let mut closing = shared.closing.subscribe();
    tokio::select! {
        _ = closing.wait_for(|closing| *closing) => return,
        () = tokio::time::sleep(interval * 2) => {}
    }
    let series = group.into_series();
    let ended = tokio::task::spawn_blocking({
        let shared = Arc::clone(&shared);
        // At the time of the removal: where another group writes the series on, the marker comes too late.
        move || writer::end(shared.ports.append.as_ref(), &series, gone_at_ms)
    });
    if let Ok(Err(error)) = ended.await {
        let (file, group) = (&gone.definition.file, &gone.definition.group.name);
        tracing::warn!(file, group, error = error.chain(), "could not end the series of a removed rule group");
    }
}

/// What the task of one group holds.
struct Keeper {
    shared: Arc<Shared>,
    view: View,
    key: String,
    stopped: watch::Receiver<bool>,
}

impl Keeper {
    async fn run(mut self, mut group: Group, before: Option<RunningGroup>) -> Group {
        if let Some(before) = before {
            before.stop.send_replace(true);
            if let Ok(earlier) = before.task.await {
                group.adopt(earlier);
                *self.view.lock() = group.snapshot();
            }
        }
        let definition = group.definition();
        let schedule = Schedule::new(&definition.file, &definition.group.name, definition.interval.as_millis());
        let mut slot = schedule.after(self.shared.ports.clock.now_ms());
        loop {
            if !self.wait_until(slot, &schedule).await {
                return group;
            }
            group = self.evaluate(group, slot).await;
            let (next, missed) = schedule.next(slot, self.shared.ports.clock.now_ms());
            if missed > 0 {
                self.shared.metrics.missed(&self.key, missed);
                tracing::warn!(rule_group = self.key, missed, "rule group evaluations were missed");
            }
            slot = next;
        }
    }

    /// Waits until the clock has reached `slot`; false when the group is to stop. Looks at the clock at least
    /// once an interval, as it may be set.
    async fn wait_until(&mut self, slot: TimestampMs, schedule: &Schedule) -> bool {
        loop {
            if *self.stopped.borrow() {
                return false;
            }
            let left_ms = slot - self.shared.ports.clock.now_ms();
            if left_ms <= 0 {
                return true;
            }
            let nap = Duration::from_millis(left_ms.min(schedule.interval_ms()).unsigned_abs());
            tokio::select! {
                changed = self.stopped.changed() => if changed.is_err() { return false },
                () = tokio::time::sleep(nap) => {}
            }
        }
    }

    /// Evaluates the group on a thread that may block.
    async fn evaluate(&self, group: Group, at_ms: TimestampMs) -> Group {
        let Ok(_permit) = self.shared.permits.acquire().await else { return group };
        let definition = group.definition().clone();
        let shared = Arc::clone(&self.shared);
        let (view, stopped) = (Arc::clone(&self.view), self.stopped.clone());
        let task = tokio::task::spawn_blocking(move || {
            let mut group = group;
            let outcome = group.evaluate(at_ms, &shared.ports, || !*stopped.borrow());
            *view.lock() = group.snapshot();
            (group, outcome)
        });
        match task.await {
            Ok((group, outcome)) => {
                self.report(&group, at_ms, &outcome);
                group
            }
            Err(_) => {
                // The state is lost with the thread; the group itself must not be.
                tracing::error!(rule_group = self.key, "rule group evaluation panicked; the group starts anew");
                let group = Group::from_definition(definition);
                let failures = vec![(0, EvaluationError::Panicked)];
                self.report(&group, at_ms, &GroupOutcome { evaluated: 1, failures, ..GroupOutcome::default() });
                group
            }
        }
    }

    fn report(&self, group: &Group, at_ms: TimestampMs, outcome: &GroupOutcome) {
        for (position, error) in &outcome.failures {
            let rule = group.rule_name(*position);
            tracing::warn!(rule_group = self.key, rule, error = error.chain(), "rule evaluation failed");
        }
        let iteration = Iteration {
            evaluated: outcome.evaluated,
            failed: outcome.failures.len(),
            samples: outcome.samples,
            rejected: &outcome.rejected,
            took: group.last_duration(),
            at_ms,
        };
        self.shared.metrics.iteration(&self.key, iteration);
    }
}
