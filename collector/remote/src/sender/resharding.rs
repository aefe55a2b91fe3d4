//! How many requests may be in flight at once, from what comes in and how long requests take.

use std::time::Duration;

/// Weight of the newest interval; Prometheus's own.
const NEWEST: f64 = 0.2;

/// Part of the backlog that should be caught up each second; Prometheus's own.
const CATCH_UP: f64 = 0.05;

/// Changes smaller than this part are not worth the pause that they cost; Prometheus's own.
const DEAD_BAND: f64 = 0.3;

/// Decides how many shards there should be.
pub(super) struct Resharding {
    min: usize,
    max: usize,
    target: usize,
    desired: f64,
    sent_before: u64,
    waiting_before: u64,
    out_rate: f64,
    in_rate: f64,
    busy_rate: f64,
    begun: bool,
}

impl Resharding {
    pub(super) fn new(shards: usize, min: usize, max: usize) -> Self {
        Self {
            min,
            max,
            target: shards,
            desired: shards as f64,
            sent_before: 0,
            waiting_before: 0,
            out_rate: 0.0,
            in_rate: 0.0,
            busy_rate: 0.0,
            begun: false,
        }
    }

    /// How many there should be from now on.
    pub(super) fn target(&self) -> usize {
        self.target
    }

    /// What the load asks for, before bounds.
    pub(super) fn desired(&self) -> f64 {
        self.desired
    }

    pub(super) fn is_due(&self, shards: usize) -> bool {
        self.target != shards
    }

    /// An interval has passed: `sent` samples were acknowledged in all, `waiting` wait, and requests took `busy`
    /// together.
    pub(super) fn tick(&mut self, interval: Duration, sent: u64, waiting: u64, busy: Duration) {
        let seconds = interval.as_secs_f64();
        let out = sent.saturating_sub(self.sent_before) as f64 / seconds;
        let grown = waiting as f64 - self.waiting_before as f64;
        self.sent_before = sent;
        self.waiting_before = waiting;
        if !std::mem::replace(&mut self.begun, true) {
            return;
        }
        let smooth = |before: f64, newest: f64| before + NEWEST * (newest - before);
        self.out_rate = smooth(self.out_rate, out);
        self.in_rate = smooth(self.in_rate, (out + grown / seconds).max(0.0));
        self.busy_rate = smooth(self.busy_rate, busy.as_secs_f64() / seconds);
        // Without a success there is nothing to learn, and more requests do not help a destination that is down.
        if out <= 0.0 || self.out_rate <= 0.0 {
            return;
        }
        let seconds_per_sample = self.busy_rate / self.out_rate;
        self.desired = seconds_per_sample * (self.in_rate + CATCH_UP * waiting as f64);
        let now = self.target as f64;
        if (now * (1.0 - DEAD_BAND)..=now * (1.0 + DEAD_BAND)).contains(&self.desired) {
            return;
        }
        self.target = (self.desired.ceil().min(self.max as f64) as usize).clamp(self.min, self.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    #[test]
    fn a_slow_destination_with_a_backlog_gets_more_shards() {
        let mut resharding = Resharding::new(1, 1, 50);
        for tick in 0..10_u64 {
            // One shard is busy all the time and still the backlog grows.
            resharding.tick(INTERVAL, tick * 1_000, tick * 9_000, Duration::from_secs(10));
        }
        assert!(resharding.target() > 5, "{}", resharding.target());
        let many = resharding.target();
        for tick in 10..60_u64 {
            resharding.tick(INTERVAL, tick * 1_000, 0, Duration::from_millis(50));
        }
        assert!(resharding.target() < many);
        assert_eq!(resharding.target(), 1);
    }

    #[test]
    fn a_dead_destination_gets_no_more_shards() {
        let mut resharding = Resharding::new(2, 1, 50);
        for tick in 0..10_u64 {
            resharding.tick(INTERVAL, 0, tick * 9_000, Duration::from_secs(20));
        }
        assert_eq!(resharding.target(), 2);
    }

    #[test]
    fn the_bounds_hold() {
        let mut resharding = Resharding::new(2, 2, 4);
        for tick in 0..20_u64 {
            resharding.tick(INTERVAL, tick, tick * 1_000_000, Duration::from_secs(10));
        }
        assert_eq!(resharding.target(), 4);
        for tick in 20..80_u64 {
            resharding.tick(INTERVAL, tick * 1_000, 0, Duration::from_millis(1));
        }
        assert_eq!(resharding.target(), 2);
    }
}
