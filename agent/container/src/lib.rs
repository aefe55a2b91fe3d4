//! The container side of the agent: cgroups, runtimes and their statistics, with cAdvisor's names.

pub mod api;
mod background;
mod catalogue;
mod cgroups;
mod collect;
mod compat;
mod config;
mod described;
pub mod history;
mod identity;
mod info;
mod known;
mod life;
mod machine;
mod perf;
mod rename;
mod runtimes;
mod sets;
mod sheet;
mod stats;
mod telling;
mod topology;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use agent_exposition::Page;
use parking_lot::Mutex;

use background::disk::{DiskBoard, Walker};
use background::load::{LoadBoard, Sampler};
use background::monitoring::{MonitoringBoard, MonitoringKeeper, Mounted};
use background::perf::{PerfBoard, PerfWalker};
use background::referenced::{ReferencedBoard, ReferencedWalker};
use background::tasks::{TaskBoard, TaskWalker};
use collect::{Boards, Collection};
use history::{EventLog, History, Recent};
use perf::counting::Linux;
use runtimes::{RUNTIMES, Runtime, View};

pub use compat::{Compat, QUIRKS, Quirk, QuirkRow};
pub use config::{Config, LabelPolicy};
pub use info::{Info, InfoError};
pub use perf::{PerfError, PerfEvents};
pub use rename::{RenameError, Renames};
pub use sets::{Set, Sets, UnknownSet};

/// The container side could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address of a runtime is of no known form.
    #[error("{runtime} address {address:?}: {reason}")]
    Address {
        /// Its name.
        runtime: &'static str,
        /// As configured.
        address: String,
        /// What is wrong with it and what would be right.
        reason: &'static str,
    },
    /// [`Containers::start`] was called outside a tokio runtime.
    #[error("cannot watch the container runtime outside a tokio runtime")]
    NoTokio(#[source] tokio::runtime::TryCurrentError),
    /// A background thread could not be started.
    #[error("cannot start the thread {name}")]
    Thread {
        /// Its name.
        name: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// All containers and cgroups of one machine. Clones share everything.
#[derive(Clone)]
pub struct Containers {
    inner: Arc<Inner>,
}

struct Inner {
    config: Arc<Config>,
    view: Arc<View>,
    load: Arc<LoadBoard>,
    disk: Arc<DiskBoard>,
    tasks: Arc<TaskBoard>,
    referenced: Arc<ReferencedBoard>,
    perf: Arc<PerfBoard>,
    monitoring: Arc<MonitoringBoard>,
    collection: Mutex<Collection>,
    history: Arc<History>,
    events: Arc<EventLog>,
    /// Those that were built and not yet started.
    runtimes: Mutex<Vec<Box<dyn Runtime>>>,
    following: Mutex<Vec<tokio::task::JoinHandle<()>>>,
}

impl Inner {
    fn boards(&self) -> Boards<'_> {
        Boards {
            load: &self.load,
            disk: &self.disk,
            tasks: &self.tasks,
            referenced: &self.referenced,
            perf: &self.perf,
            monitoring: &self.monitoring,
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for task in self.following.get_mut().drain(..) {
            task.abort();
        }
        // Not joined: a thread may be stuck in a file system that hangs. The one that has something to remove is waited
        // for, a little.
        self.load.signal.stop();
        self.disk.signal.stop();
        self.tasks.signal.stop();
        self.referenced.signal.stop();
        self.perf.board.signal.stop();
        self.monitoring.stop();
    }
}

impl Containers {
    /// Prepares; reads nothing and starts nothing yet.
    ///
    /// # Errors
    /// [`Error::Address`] when an address can never work.
    pub fn new(config: Config) -> Result<Self, Error> {
        let built: Result<Vec<_>, _> = RUNTIMES.iter().map(|spec| (spec.build)(&config)).collect();
        let runtimes = built?.into_iter().flatten().collect();
        let config = Arc::new(config);
        let collection = Collection::new(config.clone());
        let inner = Inner {
            history: Arc::default(),
            events: collection.events.clone(),
            view: Arc::default(),
            load: Arc::default(),
            disk: Arc::default(),
            tasks: Arc::default(),
            referenced: Arc::default(),
            perf: Arc::default(),
            monitoring: Arc::default(),
            collection: Mutex::new(collection),
            runtimes: Mutex::new(runtimes),
            following: Mutex::default(),
            config,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Starts what runs beside the scrapes: the tasks that follow the container runtimes, and the threads that
    /// sample the load, measure disk use and walk processes. They end when the last clone is dropped. To be called
    /// once, inside
    /// a tokio runtime. Without it everything works but names, images, labels, load and disk use.
    ///
    /// # Errors
    /// [`Error::NoTokio`] outside a runtime, [`Error::Thread`] when the system gives no thread.
    pub fn start(&self) -> Result<(), Error> {
        let tokio = tokio::runtime::Handle::try_current().map_err(Error::NoTokio)?;
        for runtime in self.inner.runtimes.lock().drain(..) {
            let task = tokio.spawn(runtime.watch(self.inner.view.clone()));
            self.inner.following.lock().push(task);
        }
        let sampler = tokio.spawn(history::follow(Arc::downgrade(&self.inner)));
        self.inner.following.lock().push(sampler);
        let sets = self.inner.config.sets;
        if sets.has(Set::CpuLoad) {
            let sampler = self.sampler();
            spawn("atalaia-load", move || sampler.run())?;
        }
        if sets.has(Set::Disk) {
            let walker = Walker::new(&self.inner.config.root, self.inner.disk.clone());
            spawn("atalaia-disk", move || walker.run())?;
        }
        if TaskWalker::is_wanted(sets) {
            let walker = self.task_walker();
            spawn("atalaia-tasks", move || walker.run())?;
        }
        if sets.has(Set::ReferencedMemory) {
            let walker = self.referenced_walker();
            spawn("atalaia-smaps", move || walker.run())?;
        }
        if self.inner.config.counts_events() {
            let walker = self.perf_walker();
            spawn("atalaia-perf", move || walker.run())?;
        }
        let config = &self.inner.config;
        if config.makes_groups() {
            let board = self.inner.monitoring.clone();
            let keeper = MonitoringKeeper::new(&config.root, board, Mounted, config.resctrl_interval);
            spawn("atalaia-resctrl", move || keeper.run())?;
        }
        Ok(())
    }

    /// Reads all cgroups of interest now and adds their families, and those of the machine, to the page.
    ///
    /// It blocks for the time of the reading (about a millisecond with twenty containers) and is meant for a
    /// thread that may block. Calls from several threads wait for each other. It cannot fail: what could not be
    /// read is left out and counted in `atalaia_container_errors_total`.
    pub fn collect(&self, page: &mut Page) {
        self.collect_at(page, SystemTime::now());
    }

    /// As [`collect`](Self::collect), with the time for `container_last_seen`.
    pub fn collect_at(&self, page: &mut Page, now: SystemTime) {
        let inner = &*self.inner;
        let boards = inner.boards();
        inner.collection.lock().collect(page, &inner.view, boards, now);
        telling::put_costs(page, boards);
        if inner.config.counts_events() {
            telling::put_perf(page, boards.perf);
        }
        if inner.config.makes_groups() {
            telling::put_monitoring(page, boards.monitoring);
        }
        inner.history.tell(page);
        inner.events.tell(page);
    }

    /// Answers a question of cAdvisor's API. It may read all cgroups, so call it on a thread that may block.
    ///
    /// # Errors
    /// See [`ApiError`](api::ApiError).
    pub fn api(&self, request: api::Request<'_>) -> Result<api::Reply, api::ApiError> {
        self.inner.api(request)
    }

    /// What this machine lets the agent see, in lines for people; call it on a thread that may block.
    pub fn validate(&self) -> String {
        self.inner.validate()
    }

    /// The last readings of all cgroups as numbers, the newest one no older than `age`. Where there is none so new, it
    /// reads now, and it keeps the readings going for a minute; so call it on a thread that may block.
    pub fn recent(&self, age: Duration) -> Recent {
        self.inner.recent(age)
    }

    /// Takes a reading now, for [`recent`](Self::recent), and calls it one of that time.
    pub fn read_at(&self, now: SystemTime) {
        self.inner.look(None, now);
    }

    /// Does one turn of the background threads' work here and now, for what was found by the last
    /// [`collect`](Self::collect): for a page that is printed once, and for tests.
    pub fn sample_background(&self) {
        self.sampler().look(Instant::now());
        Walker::new(&self.inner.config.root, self.inner.disk.clone()).measure();
        if TaskWalker::is_wanted(self.inner.config.sets) {
            self.task_walker().look();
        }
        if self.inner.config.sets.has(Set::ReferencedMemory) {
            self.referenced_walker().look();
        }
    }

    fn sampler(&self) -> Sampler {
        let config = &self.inner.config;
        Sampler::new(&config.root, self.inner.load.clone(), config.load_reader)
    }

    fn perf_walker(&self) -> PerfWalker<Linux> {
        let config = &self.inner.config;
        let (events, by_cpu) = (config.perf_events.clone(), config.sets.has(Set::PerCpu));
        PerfWalker::new(&config.root, self.inner.perf.clone(), Linux, events, by_cpu, background::perf::most_open())
    }

    fn task_walker(&self) -> TaskWalker {
        let config = &self.inner.config;
        TaskWalker::new(&config.root, self.inner.tasks.clone(), config.sets, config.compat)
    }

    fn referenced_walker(&self) -> ReferencedWalker {
        let config = &self.inner.config;
        ReferencedWalker::new(&config.root, self.inner.referenced.clone(), config.referenced_reset_interval)
    }

    /// One container by full id, by a prefix of the id, by name, or by cgroup path (`/system.slice/x.service`).
    ///
    /// The CPU figure is over the span since the last call for the same container, if that was between a tenth of a
    /// second and a minute ago, and otherwise over a tenth of a second that it waits for: so call it on a thread
    /// that may block.
    ///
    /// # Errors
    /// See [`InfoError`].
    pub fn info(&self, asked: &str) -> Result<Info, InfoError> {
        info::info(&self.inner.collection, &self.inner.view, asked)
    }
}

fn spawn(name: &'static str, run: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map(|_| ()).map_err(|source| Error::Thread { name, source })
}
