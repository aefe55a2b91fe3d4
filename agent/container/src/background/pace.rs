//! How a background thread waits, ends and counts its own cost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Nobody has scraped for so long: the thread rests until somebody does.
const IDLE_AFTER: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
struct State {
    stopped: bool,
    asked: Option<Instant>,
    woken: bool,
}

/// Wakes a background thread, lets it rest and stops it.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

impl Signal {
    /// A scrape happened. With `now` the thread does its next turn at once: there is something new to look at.
    pub(crate) fn scraped(&self, now: bool) {
        let mut state = self.state.lock();
        let was_idle = state.asked.is_none_or(|asked| asked.elapsed() > IDLE_AFTER);
        state.asked = Some(Instant::now());
        if now || was_idle {
            state.woken = true;
            self.changed.notify_all();
        }
    }

    pub(crate) fn stop(&self) {
        self.state.lock().stopped = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.state.lock().stopped
    }

    /// Waits so long, or until woken, and in any case while nobody scrapes. `false` when the thread shall end.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        let mut state = self.state.lock();
        loop {
            if state.stopped {
                return false;
            }
            if state.woken {
                state.woken = false;
                return true;
            }
            if state.asked.is_none_or(|asked| asked.elapsed() > IDLE_AFTER) {
                self.changed.wait(&mut state);
            } else if self.changed.wait_until(&mut state, deadline).timed_out() {
                return !state.stopped;
            }
        }
    }
}

/// Steps between two looks at the cost.
const STRIDE: u32 = 512;

/// Pauses a walk so that it keeps its share of a CPU.
pub(crate) struct Budget<'a> {
    signal: &'a Signal,
    /// Nanoseconds of CPU time, added to.
    cost: &'a AtomicU64,
    share: f64,
    since: Duration,
    /// When the last pause ended, if the disk is spared.
    rested: Option<Instant>,
    steps: u32,
}

/// The longest rest for the disk's sake.
const LONGEST_REST: Duration = Duration::from_secs(1);

impl<'a> Budget<'a> {
    pub(crate) fn new(signal: &'a Signal, cost: &'a AtomicU64, share: f64) -> Self {
        Self { signal, cost, share, since: Cpu::now(), rested: None, steps: 0 }
    }

    /// Rests as long as the walk worked or waited too: what it reads from a disk takes that little CPU time.
    pub(crate) fn sparing_the_disk(self) -> Self {
        Self { rested: Some(Instant::now()), ..self }
    }

    /// Whether the last step was one with a pause.
    pub(crate) fn is_at_pause(&self) -> bool {
        self.steps.is_multiple_of(STRIDE)
    }

    /// After each thing that was looked at. `false` when the walk shall end.
    pub(crate) fn step(&mut self) -> bool {
        self.steps = self.steps.wrapping_add(1);
        if !self.is_at_pause() {
            return true;
        }
        self.pause()
    }

    /// Waits for what the walk has taken too much so far. `false` when it shall end.
    pub(crate) fn pause(&mut self) -> bool {
        let cost = self.account();
        let of_disk = self.rested.map_or(Duration::ZERO, |rested| rested.elapsed().min(LONGEST_REST));
        std::thread::sleep(cost.div_f64(self.share).saturating_sub(cost).max(of_disk));
        self.rested = self.rested.map(|_| Instant::now());
        !self.signal.is_stopped()
    }

    /// Adds up the cost so far, and gives what came to it.
    pub(crate) fn account(&mut self) -> Duration {
        let now = Cpu::now();
        let cost = now.saturating_sub(self.since);
        self.since = now;
        self.cost.fetch_add(u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        cost
    }
}

/// CPU time of the calling thread.
pub(crate) struct Cpu;

impl Cpu {
    pub(crate) fn now() -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rests_until_a_scrape_and_ends_when_told() {
        let signal = std::sync::Arc::new(Signal::default());
        let thread = std::thread::spawn({
            let signal = signal.clone();
            move || (signal.wait(Duration::from_millis(1)), signal.wait(Duration::from_secs(3600)))
        });
        signal.scraped(true);
        while signal.state.lock().woken {
            std::thread::yield_now();
        }
        signal.stop();
        assert_eq!(thread.join().unwrap(), (true, false));
    }
}
