//! The targets of one job: who is scraped, who was dropped, and a loop for each of the former.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use collector_discovery::{JobDiscovery, JobGroups, Prepared};
use collector_model::Labels;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tracing::warn;

use crate::metrics::Metrics;
use crate::settings::{Command, JobSettings, LoopSettings, Shared};
use crate::target::{Target, Verdict, of_group};
use crate::target_loop::{LoopView, TargetLoop};

/// All loops, those that are about to end among them.
pub(crate) type Tasks = Arc<Mutex<JoinSet<()>>>;

/// One job at work. Dropping it retires its loops.
pub(crate) struct Pool {
    pub(crate) discovery: JobDiscovery,
    inner: Arc<Inner>,
    follower: AbortHandle,
}

struct Inner {
    shared: Arc<Shared>,
    tasks: Tasks,
    state: Mutex<State>,
}

struct State {
    settings: Arc<JobSettings>,
    groups: JobGroups,
    active: HashMap<u128, Active>,
    dropped: Vec<Labels>,
    dropped_count: usize,
}

/// A target that is scraped, seen from its pool.
#[derive(Clone)]
pub(crate) struct Active {
    pub(crate) target: Arc<Target>,
    pub(crate) view: Arc<LoopView>,
    commands: watch::Sender<Command>,
}

impl Pool {
    /// A pool that follows its discovery from now on. Call it inside a tokio runtime.
    pub(crate) fn start(shared: Arc<Shared>, tasks: Tasks, discovery: JobDiscovery, settings: JobSettings) -> Self {
        shared.metrics.pools.inc();
        shared.metrics.know_job(&settings.job.name);
        let groups = discovery.groups();
        let state = State {
            settings: Arc::new(settings),
            groups: groups.clone(),
            active: HashMap::new(),
            dropped: Vec::new(),
            dropped_count: 0,
        };
        let inner = Arc::new(Inner { shared, tasks, state: Mutex::new(state) });
        let follower = inner.tasks.lock().spawn(follow(Arc::clone(&inner), groups));
        Self { discovery, inner, follower }
    }

    pub(crate) fn settings(&self) -> Arc<JobSettings> {
        Arc::clone(&self.inner.state.lock().settings)
    }

    /// Goes on under other settings. Targets that stay the same keep their loops, and with them schedule and cache.
    pub(crate) fn reload(&mut self, settings: JobSettings, discovery: Prepared) {
        self.inner.shared.metrics.pool_reloads.inc();
        self.inner.state.lock().settings = Arc::new(settings);
        self.discovery.apply(discovery);
        self.inner.sync();
    }

    /// The targets that are scraped, by URL.
    pub(crate) fn active(&self) -> Vec<Active> {
        let mut active: Vec<Active> = self.inner.state.lock().active.values().cloned().collect();
        active.sort_by(|a, b| a.target.url.cmp(&b.target.url).then_with(|| a.target.labels.cmp(&b.target.labels)));
        active
    }

    /// The discovered labels of the targets that were dropped, as far as they are remembered, and how many were.
    pub(crate) fn dropped(&self) -> (Vec<Labels>, usize) {
        let state = self.inner.state.lock();
        (state.dropped.clone(), state.dropped_count)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.follower.abort();
        let mut state = self.inner.state.lock();
        for (_, active) in state.active.drain() {
            let _ = active.commands.send(Command::Retire);
        }
        self.inner.shared.metrics.forget_job(&state.settings.job.name);
    }
}

async fn follow(inner: Arc<Inner>, mut groups: JobGroups) {
    loop {
        // First of all, as a provider may have reported before anybody listened.
        inner.sync();
        groups.changed().await;
    }
}

impl Inner {
    /// Makes the loops fit the newest groups and settings.
    fn sync(&self) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let settings = Arc::clone(&state.settings);
        let wanted = self.wanted(state, &settings);
        let job = &settings.job;
        let too_many = (job.limits.targets > 0 && wanted.len() as u64 > job.limits.targets).then_some(wanted.len());
        let metrics = &self.shared.metrics;
        let label = Metrics::job(&job.name);
        metrics.pool_syncs.get_or_create(&label).inc();
        metrics.pool_targets.get_or_create(&label).set(i64::try_from(wanted.len()).unwrap_or(i64::MAX));
        metrics.pool_target_limit.get_or_create(&label).set(i64::try_from(job.limits.targets).unwrap_or(i64::MAX));
        if too_many.is_some() {
            metrics.exceeded_target_limit.inc();
        }
        state.active.retain(|identity, active| {
            let stays = wanted.contains_key(identity);
            if !stays {
                let _ = active.commands.send(Command::Retire);
            }
            stays
        });
        for (identity, target) in wanted {
            let settings = LoopSettings { job: Arc::clone(&settings), target: Arc::new(target), too_many };
            match state.active.get_mut(&identity) {
                Some(active) => active.adjust(settings),
                None => {
                    state.active.insert(identity, self.start(settings));
                }
            }
        }
    }

    /// The targets to scrape, in a fixed order; notes the others in the state.
    fn wanted(&self, state: &mut State, settings: &JobSettings) -> BTreeMap<u128, Target> {
        let job = &settings.job;
        state.dropped.clear();
        state.dropped_count = 0;
        let mut wanted = BTreeMap::new();
        for group in state.groups.current() {
            for verdict in of_group(&group, job) {
                match verdict {
                    Verdict::Scrape(target) => {
                        wanted.entry(target.identity()).or_insert(*target);
                    }
                    Verdict::Dropped(discovered) => {
                        state.dropped_count += 1;
                        let bound = job.limits.dropped_targets;
                        if bound == 0 || (state.dropped.len() as u64) < bound {
                            state.dropped.push(discovered);
                        }
                    }
                    Verdict::Invalid { discovered, error } => {
                        self.shared.metrics.sync_failed.get_or_create(&Metrics::job(&job.name)).inc();
                        warn!(job = job.name, target = %discovered, %error, "a discovered target cannot be scraped");
                    }
                }
            }
        }
        wanted
    }

    fn start(&self, settings: LoopSettings) -> Active {
        let target = Arc::clone(&settings.target);
        let view = Arc::new(LoopView::default());
        let commands = watch::Sender::new(Command::Run(settings.clone()));
        let target_loop = TargetLoop::new(Arc::clone(&self.shared), &settings, commands.subscribe(), Arc::clone(&view));
        let mut tasks = self.tasks.lock();
        // Those that ended leave their places.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(target_loop.run());
        Active { target, view, commands }
    }
}

impl Active {
    fn adjust(&mut self, settings: LoopSettings) {
        let same = match &*self.commands.borrow() {
            Command::Run(current) => current.is_same(&settings),
            Command::Retire => false,
        };
        if !same {
            self.target = Arc::clone(&settings.target);
            // The loop lives as long as this sender, so it hears.
            let _ = self.commands.send(Command::Run(settings));
        }
    }
}
