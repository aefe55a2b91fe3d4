//! Looking at file systems on a thread that may be left behind in one that hangs.
//!
//! What hangs in the kernel cannot be called back. So errands are run one after the other on a thread of their own; when
//! one has not moved for a while its thread is left alone with it, its mount is not touched again before that thread
//! comes back, and another thread goes on with the rest.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::super::Budget;
use super::{DiskBoard, Failure};

/// Threads that may be left behind. Beyond them nothing is looked at but what lies on the machine's own disks.
const MOST_LEFT: usize = 8;
/// Threads that may be left behind in all.
const MOST_LEFT_AT_ALL: usize = 16;
/// The first pause of a mount that hung and came back; doubled each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// The lowest of the kernel's priorities for the CPU; that for the disk follows from it.
const LOWEST_PRIORITY: i32 = 19;
const STACK: usize = 256 << 10;

/// Where the thread says that it moves, and is told that nobody waits any more.
#[derive(Debug, Default)]
struct Pulse {
    steps: AtomicU64,
    is_left: AtomicBool,
    has_ended: AtomicBool,
}

/// What an errand calls as it goes.
pub(super) struct Pace<'a> {
    budget: Budget<'a>,
    pulse: &'a Pulse,
}

impl Pace<'_> {
    /// After each thing that was looked at; waits where that is due. `false` when the errand shall end.
    pub(super) fn step(&mut self) -> bool {
        self.pulse.steps.fetch_add(1, Ordering::Relaxed);
        !self.pulse.is_left.load(Ordering::Relaxed) && self.budget.step()
    }

    /// Whether the last step waited.
    pub(super) fn has_paused(&self) -> bool {
        self.budget.is_at_pause()
    }
}

type Errand = Box<dyn FnOnce(&mut Pace<'_>) + Send>;

/// A thread that runs errands until its sender is gone.
struct Runner {
    errands: mpsc::Sender<Errand>,
    pulse: Arc<Pulse>,
}

/// A mount that hung.
#[derive(Default)]
struct Late {
    pulse: Option<Arc<Pulse>>,
    times: u32,
    until: Option<Instant>,
}

/// Runs errands for the disk thread.
pub(super) struct Errands {
    board: Arc<DiskBoard>,
    share: f64,
    /// Without a step for so long an errand hangs.
    patience: Duration,
    runner: Option<Runner>,
    late: HashMap<Arc<Path>, Late>,
}

impl Errands {
    pub(super) fn new(board: Arc<DiskBoard>, share: f64, patience: Duration) -> Self {
        Self { board, share, patience, runner: None, late: HashMap::new() }
    }

    /// Whether a mount may be touched now; `is_local` of one on the machine's own disks.
    pub(super) fn may_touch(&mut self, mount: &Path, is_local: bool) -> bool {
        let now = Instant::now();
        for late in self.late.values_mut() {
            if late.pulse.as_ref().is_some_and(|pulse| pulse.has_ended.load(Ordering::Relaxed)) {
                late.pulse = None;
                let doublings = late.times.saturating_sub(1).min(16);
                late.until = Some(now + FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE));
            }
        }
        let left = self.late.values().filter(|late| late.pulse.is_some()).count();
        self.board.stuck.store(left as u64, Ordering::Relaxed);
        let is_late = |late: &Late| late.pulse.is_some() || late.until.is_some_and(|until| now < until);
        left < (if is_local { MOST_LEFT_AT_ALL } else { MOST_LEFT }) && !self.late.get(mount).is_some_and(is_late)
    }

    /// Forgets mounts that are gone; those that still hold a thread stay.
    pub(super) fn forget_all_but(&mut self, is_there: impl Fn(&Path) -> bool) {
        self.late.retain(|mount, late| late.pulse.is_some() || is_there(mount));
    }

    /// Runs an errand on a mount and waits for it, as long as it moves.
    ///
    /// # Errors
    /// [`Failure::Stuck`] when it hangs, or no thread could be had.
    pub(super) fn run<T: Send + 'static>(
        &mut self,
        mount: &Arc<Path>,
        errand: impl FnOnce(&mut Pace<'_>) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let (done, answer) = mpsc::sync_channel(1);
        let runner = match self.runner.take() {
            Some(runner) => runner,
            None => self.start()?,
        };
        let job: Errand = Box::new(move |pace| {
            let _ = done.send(errand(pace));
        });
        runner.errands.send(job).map_err(|_| Failure::Stuck)?;
        let (mut steps, mut moved) = (runner.pulse.steps.load(Ordering::Relaxed), Instant::now());
        loop {
            match answer.recv_timeout(self.patience / 4) {
                Ok(result) => {
                    self.runner = Some(runner);
                    self.late.remove(mount);
                    return Ok(result);
                }
                Err(RecvTimeoutError::Disconnected) => return Err(Failure::Stuck),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = runner.pulse.steps.load(Ordering::Relaxed);
            if now != steps {
                (steps, moved) = (now, Instant::now());
            } else if moved.elapsed() >= self.patience || self.board.signal.is_stopped() {
                runner.pulse.is_left.store(true, Ordering::Relaxed);
                let late = self.late.entry(mount.clone()).or_default();
                late.pulse = Some(runner.pulse);
                late.times = late.times.saturating_add(1);
                tracing::warn!(mount = %mount.display(), "file system does not answer, its disk use is not measured");
                return Err(Failure::Stuck);
            }
        }
    }

    fn start(&self) -> Result<Runner, Failure> {
        let (errands, mine) = mpsc::channel::<Errand>();
        let pulse = Arc::new(Pulse::default());
        let (board, its_pulse, share) = (self.board.clone(), pulse.clone(), self.share);
        let work = move || {
            // Of this thread alone, as Linux has it. Without it the errands are a little dearer for others.
            let _ = rustix::process::setpriority_process(None, LOWEST_PRIORITY);
            while let Ok(errand) = mine.recv() {
                let budget = Budget::new(&board.signal, &board.cost, share).sparing_the_disk();
                let mut pace = Pace { budget, pulse: &its_pulse };
                errand(&mut pace);
                pace.budget.account();
            }
            its_pulse.has_ended.store(true, Ordering::Relaxed);
        };
        let thread = std::thread::Builder::new().name("atalaia-walk".to_owned()).stack_size(STACK).spawn(work);
        thread.map(|_| Runner { errands, pulse }).map_err(|_| Failure::Stuck)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errands(patience: u64) -> Errands {
        Errands::new(Arc::default(), 1.0, Duration::from_millis(patience))
    }

    #[test]
    fn what_hangs_costs_its_mount_alone_and_is_welcome_again() {
        let mut errands = errands(200);
        let (dead, alive): (Arc<Path>, Arc<Path>) = (Path::new("/dead").into(), Path::new("/alive").into());
        let (release, released) = mpsc::channel::<()>();
        let hung = errands.run(&dead, move |_| released.recv().is_ok());
        assert_eq!(hung, Err(Failure::Stuck));
        assert!(!errands.may_touch(&dead, true) && errands.may_touch(&alive, false));
        assert_eq!(errands.board.stuck.load(Ordering::Relaxed), 1);
        assert_eq!(errands.run(&alive, |pace| pace.step()), Ok(true));
        errands.forget_all_but(|_| false);
        assert_eq!(errands.late.len(), 1, "its thread is not back yet");
        drop(release);
        let give_up = Instant::now() + Duration::from_secs(30);
        while errands.late.values().any(|late| late.pulse.is_some()) {
            assert!(Instant::now() < give_up, "the thread did not come back");
            errands.may_touch(&alive, true);
            std::thread::yield_now();
        }
        assert!(!errands.may_touch(&dead, true), "it has a pause");
        assert_eq!(errands.board.stuck.load(Ordering::Relaxed), 0);
        errands.forget_all_but(|_| false);
        assert!(errands.may_touch(&dead, true));
    }

    #[test]
    fn what_moves_is_waited_for() {
        let mut errands = errands(400);
        let mount: Arc<Path> = Path::new("/slow").into();
        let begun = Instant::now();
        let slow = errands.run(&mount, move |pace| {
            while begun.elapsed() < Duration::from_millis(1200) {
                pace.step();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        assert_eq!(slow, Ok(()));
    }

    #[test]
    fn threads_are_bounded() {
        let mut errands = errands(4);
        let (release, released) = mpsc::channel::<()>();
        let released = Arc::new(parking_lot::Mutex::new(released));
        for at in 0..MOST_LEFT_AT_ALL {
            let mount: Arc<Path> = Path::new(&format!("/dead/{at}")).into();
            assert_eq!(errands.may_touch(&mount, false), at < MOST_LEFT, "{at}");
            assert!(errands.may_touch(&mount, true), "{at}");
            let released = released.clone();
            assert_eq!(errands.run(&mount, move |_| released.lock().recv().is_ok()), Err(Failure::Stuck));
        }
        assert!(!errands.may_touch(Path::new("/alive"), true));
        drop(release);
    }
}
