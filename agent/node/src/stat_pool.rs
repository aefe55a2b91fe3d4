//! Asking file systems for their size without ever waiting for one that does not answer.
//!
//! `statfs(2)` on a dead network mount blocks for ever and cannot be interrupted, so it runs on threads of a small
//! pool. A scrape hands all its mounts over at once, and in the usual case one thread answers them all in a row. When
//! nothing moves for a moment another thread takes over the rest. A mount that has not answered in time keeps its
//! thread, is not asked again before that thread comes back, and after that with growing pauses if it was late again.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What a file system says about itself: the fields of `struct statfs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Bytes per block.
    pub(crate) block_size: u64,
    /// Blocks in all.
    pub(crate) blocks: u64,
    /// Free blocks.
    pub(crate) free: u64,
    /// Free blocks for users without privileges.
    pub(crate) available: u64,
    /// Inodes in all.
    pub(crate) files: u64,
    /// Free inodes.
    pub(crate) files_free: u64,
    /// Whether nothing can be written to it, by the mount or by the file system.
    pub(crate) is_read_only: bool,
}

/// The answer for one mount.
#[derive(Debug)]
pub(crate) enum Reply {
    /// It answered.
    Usage(Usage),
    /// It refused.
    Refused(io::Error),
    /// It did not answer in time, now or earlier.
    TimedOut,
    /// No thread was free to ask it.
    NotAsked,
}

/// Without progress for this long, another thread takes over the rest.
const PATIENCE: Duration = Duration::from_millis(5);
/// A thread without work for this long ends.
const IDLE: Duration = Duration::from_secs(60);
/// Mounts that may keep a thread each.
const MOST_STUCK: usize = 64;
/// The first pause after being late twice; doubled each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(15);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

type Call = dyn Fn(&Path) -> io::Result<Usage> + Send + Sync;

/// A mount to ask about. A path that is mounted anew is another mount, whatever became of the thread that asked the
/// one before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    /// The kernel's number of the mount.
    pub(crate) id: u64,
    /// Where.
    pub(crate) path: PathBuf,
}

/// The pool. Dropping it lets go of threads that are stuck.
pub(crate) struct StatPool {
    shared: Arc<Shared>,
    late: HashMap<Arc<Target>, Late>,
}

/// A mount that was late.
struct Late {
    /// Whether a thread is still waiting for it.
    waiting: bool,
    /// How often in a row.
    times: u32,
    /// Not to be asked before.
    pause_until: Option<Instant>,
}

struct Shared {
    call: Box<Call>,
    /// Threads that are kept when nothing is stuck.
    kept: usize,
    state: Mutex<State>,
    work: Condvar,
    done: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Arc<Target>>,
    /// Mounts that somebody waits for.
    open: usize,
    answers: HashMap<Arc<Target>, io::Result<Usage>>,
    /// Mounts that a thread waits for although nobody wants the answer any more.
    stuck: HashSet<Arc<Target>>,
    /// Those among them that have come back.
    returned: Vec<Arc<Target>>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl StatPool {
    /// A pool that keeps `kept` threads, and has more only while some are stuck.
    pub(crate) fn new(kept: usize, call: impl Fn(&Path) -> io::Result<Usage> + Send + Sync + 'static) -> Self {
        let (state, work, done) = (Mutex::default(), Condvar::new(), Condvar::new());
        let shared = Shared { call: Box::new(call), kept: kept.max(1), state, work, done };
        Self { shared: Arc::new(shared), late: HashMap::new() }
    }

    /// Asks all mounts and gives their replies in the same order, at `until` at the latest. A mount that comes twice
    /// is asked once.
    pub(crate) fn ask(&mut self, mounts: &[Arc<Target>], until: Instant) -> Vec<Reply> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        self.welcome_returned(&mut state);
        self.enqueue(&mut state, mounts);
        if state.open > 0 {
            add_thread(&self.shared, &mut state);
        }
        let mut state = wait(&shared, state, until);
        let unasked: HashSet<_> = state.queue.drain(..).collect();
        self.give_up(&mut state, mounts, &unasked);
        let answers = std::mem::take(&mut state.answers);
        drop(state);
        mounts.iter().map(|mount| reply(mount, &answers, &unasked)).collect()
    }

    /// Forgets mounts that are gone, so that what is kept is bounded by what is mounted. Those that still hold a
    /// thread stay.
    pub(crate) fn forget_all_but(&mut self, mounts: &[Arc<Target>]) {
        self.late.retain(|mount, late| late.waiting || mounts.contains(mount));
    }

    fn welcome_returned(&mut self, state: &mut State) {
        for mount in state.returned.drain(..) {
            let Some(late) = self.late.get_mut(&mount) else { continue };
            late.waiting = false;
            late.pause_until = pause(late.times).map(|pause| Instant::now() + pause);
        }
    }

    fn enqueue(&self, state: &mut State, mounts: &[Arc<Target>]) {
        let now = Instant::now();
        let mut seen = HashSet::with_capacity(mounts.len());
        for mount in mounts {
            if self.late.get(mount).is_none_or(|late| late.is_askable(now)) && seen.insert(mount) {
                state.queue.push_back(Arc::clone(mount));
            }
        }
        state.open = state.queue.len();
    }

    /// Marks what has not answered. What is still in the queue was never asked, and that is not the mount's fault.
    fn give_up(&mut self, state: &mut State, mounts: &[Arc<Target>], unasked: &HashSet<Arc<Target>>) {
        let now = Instant::now();
        state.open = 0;
        for mount in mounts {
            if state.answers.contains_key(mount) {
                self.late.remove(mount);
                continue;
            }
            let was_asked = self.late.get(mount).is_none_or(|late| late.is_askable(now)) && !unasked.contains(mount);
            if was_asked && state.stuck.insert(Arc::clone(mount)) {
                let times = self.late.get(mount).map_or(1, |late| late.times.saturating_add(1));
                self.late.insert(Arc::clone(mount), Late { waiting: true, times, pause_until: None });
                tracing::warn!(mount = %mount.path.display(), "mount does not answer");
            }
        }
    }
}

impl Late {
    fn is_askable(&self, now: Instant) -> bool {
        !self.waiting && self.pause_until.is_none_or(|until| until <= now)
    }
}

/// Waits until all have answered, and adds a thread whenever nothing moves.
fn wait<'a>(shared: &'a Arc<Shared>, mut state: MutexGuard<'a, State>, until: Instant) -> MutexGuard<'a, State> {
    while state.open > 0 {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let before = state.open;
        let patience = if state.queue.is_empty() { left } else { left.min(PATIENCE) };
        state = shared.done.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner).0;
        if state.open == before && !state.queue.is_empty() {
            add_thread(shared, &mut state);
        }
    }
    state
}

/// Wakes or starts a thread, unless there are as many as there may be.
fn add_thread(shared: &Arc<Shared>, state: &mut State) {
    if state.idle > 0 {
        shared.work.notify_one();
    } else if state.threads < shared.kept + MOST_STUCK {
        let theirs = Arc::clone(shared);
        let started = thread::Builder::new().name("statfs".into()).stack_size(128 << 10).spawn(move || theirs.work());
        state.threads += usize::from(started.is_ok());
    }
}

fn reply(
    mount: &Arc<Target>,
    answers: &HashMap<Arc<Target>, io::Result<Usage>>,
    unasked: &HashSet<Arc<Target>>,
) -> Reply {
    match answers.get(mount) {
        Some(Ok(usage)) => Reply::Usage(*usage),
        Some(Err(error)) => Reply::Refused(copy(error)),
        None if unasked.contains(mount) => Reply::NotAsked,
        None => Reply::TimedOut,
    }
}

/// A mount that was asked once may have been wanted twice.
fn copy(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

fn pause(times: u32) -> Option<Duration> {
    let doublings = times.checked_sub(2)?;
    Some(FIRST_PAUSE.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(LONGEST_PAUSE))
}

impl Drop for StatPool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each thread does.
    fn work(&self) {
        let mut state = self.lock();
        while !state.closed {
            if let Some(mount) = state.queue.pop_front() {
                drop(state);
                let answer = (self.call)(&mount.path);
                state = self.lock();
                self.take_answer(&mut state, mount, answer);
                continue;
            }
            if state.threads.saturating_sub(state.stuck.len()) > self.kept {
                break;
            }
            state.idle += 1;
            let (guard, waited) = self.work.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = guard;
            state.idle -= 1;
            if waited.timed_out() && state.queue.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }

    fn take_answer(&self, state: &mut State, mount: Arc<Target>, answer: io::Result<Usage>) {
        if state.stuck.remove(&mount) {
            tracing::info!(mount = %mount.path.display(), "mount answers again");
            state.returned.push(mount);
            return;
        }
        state.answers.insert(mount, answer);
        state.open = state.open.saturating_sub(1);
        if state.open == 0 {
            self.done.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);
    const SHORT: Duration = Duration::from_secs(1);

    fn target(path: &str) -> Arc<Target> {
        Arc::new(Target { id: 1, path: path.into() })
    }

    /// Mounts below `/stuck` answer when the sender is dropped, all others at once.
    fn pool() -> (StatPool, mpsc::Sender<()>) {
        let (release, released) = mpsc::channel();
        let released = Mutex::new(released);
        let pool = StatPool::new(2, move |path| {
            if path.starts_with("/stuck") {
                let _ = released.lock().unwrap_or_else(PoisonError::into_inner).recv();
            }
            if path.starts_with("/gone") {
                return Err(io::Error::from_raw_os_error(2));
            }
            Ok(Usage { blocks: path.as_os_str().len() as u64, ..Usage::default() })
        });
        (pool, release)
    }

    fn seen(replies: &[Reply]) -> Vec<&'static str> {
        let word = |reply: &Reply| match reply {
            Reply::Usage(_) => "usage",
            Reply::Refused(_) => "refused",
            Reply::TimedOut => "late",
            Reply::NotAsked => "unasked",
        };
        replies.iter().map(word).collect()
    }

    fn ask(pool: &mut StatPool, paths: &[&str], wait: Duration) -> Vec<&'static str> {
        let mounts: Vec<_> = paths.iter().map(|path| target(path)).collect();
        seen(&pool.ask(&mounts, Instant::now() + wait))
    }

    /// Until the pool has no thread that is stuck.
    fn wait_for_return(pool: &StatPool) {
        let give_up = Instant::now() + LONG;
        while !pool.shared.lock().stuck.is_empty() {
            assert!(Instant::now() < give_up, "the thread did not come back");
            thread::yield_now();
        }
    }

    #[test]
    fn mounts_answer_in_order_and_once() {
        let (mut pool, _release) = pool();
        let mounts = [target("/a"), target("/gone"), target("/bcd"), target("/a")];
        let replies = pool.ask(&mounts, Instant::now() + LONG);
        assert_eq!(seen(&replies), ["usage", "refused", "usage", "usage"]);
        assert!(matches!(replies[2], Reply::Usage(Usage { blocks: 4, .. })));
        assert_eq!(pool.shared.lock().threads, 1);
    }

    #[test]
    fn stuck_mounts_cost_themselves_alone_and_recover() {
        let (mut pool, release) = pool();
        let paths = ["/stuck/1", "/a", "/stuck/2", "/stuck/3", "/b", "/stuck/4", "/c"];
        let want = ["late", "usage", "late", "late", "usage", "late", "usage"];
        assert_eq!(ask(&mut pool, &paths, SHORT), want);
        // Now it is known which mounts are stuck, so that even an endless deadline costs nothing.
        assert_eq!(ask(&mut pool, &paths, LONG), want);
        assert!(pool.shared.lock().threads >= 4);
        drop(release);
        wait_for_return(&pool);
        assert_eq!(ask(&mut pool, &paths, LONG), ["usage"; 7]);
        assert!(pool.late.is_empty());
        let state = pool.shared.lock();
        assert!(state.threads <= 3, "{} threads", state.threads);
    }

    #[test]
    fn a_mount_that_is_late_again_gets_a_pause() {
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);
        let mut pool = StatPool::new(1, move |_| {
            let _ = released.lock().unwrap_or_else(PoisonError::into_inner).recv();
            Ok(Usage::default())
        });
        for _ in 0..2 {
            assert_eq!(ask(&mut pool, &["/slow"], SHORT), ["late"]);
            release.send(()).unwrap();
            wait_for_return(&pool);
        }
        // It would answer now, but it is in its pause, and is not waited for.
        release.send(()).unwrap();
        assert_eq!(ask(&mut pool, &["/slow"], LONG), ["late"]);
        pool.late.values_mut().for_each(|late| late.pause_until = Some(Instant::now()));
        assert_eq!(ask(&mut pool, &["/slow"], LONG), ["usage"]);
        assert!(pool.late.is_empty());
    }

    #[test]
    fn a_path_that_is_mounted_anew_is_asked_again() {
        let (mut pool, _release) = pool();
        assert_eq!(ask(&mut pool, &["/stuck"], SHORT), ["late"]);
        let again = [Arc::new(Target { id: 2, path: "/stuck".into() })];
        assert_eq!(seen(&pool.ask(&again, Instant::now() + SHORT)), ["late"]);
        assert_eq!(pool.shared.lock().stuck.len(), 2);
    }

    #[test]
    fn threads_are_bounded() {
        let (mut pool, _release) = pool();
        let many: Vec<_> = (0..100).map(|i| target(&format!("/stuck/{i}"))).collect();
        let give_up = Instant::now() + LONG;
        loop {
            let replies = pool.ask(&many, Instant::now() + SHORT);
            let threads = pool.shared.lock().threads;
            assert_eq!(seen(&replies).iter().filter(|r| **r == "unasked").count(), 100 - threads);
            assert!(threads <= 2 + MOST_STUCK, "{threads} threads");
            if threads == 2 + MOST_STUCK {
                break;
            }
            assert!(Instant::now() < give_up, "only {threads} threads");
        }
    }

    #[test]
    fn what_is_not_mounted_any_more_is_forgotten() {
        let (mut pool, release) = pool();
        assert_eq!(ask(&mut pool, &["/stuck/1"], SHORT), ["late"]);
        pool.forget_all_but(&[]);
        assert_eq!(pool.late.len(), 1, "its thread is not back yet");
        drop(release);
        wait_for_return(&pool);
        assert_eq!(ask(&mut pool, &["/a"], LONG), ["usage"]);
        pool.forget_all_but(&[]);
        assert!(pool.late.is_empty());
    }

    #[test]
    fn pauses_grow_to_a_bound() {
        assert_eq!([0, 1].map(pause), [None; 2]);
        assert_eq!(pause(2), Some(FIRST_PAUSE));
        assert_eq!(pause(3), Some(FIRST_PAUSE * 2));
        assert_eq!(pause(u32::MAX), Some(LONGEST_PAUSE));
    }
}
