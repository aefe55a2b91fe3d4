//! When a target is scraped: on a grid of its own, spread by a hash, the same after a restart and a reload.

use std::time::Duration;

use collector_model::TimestampMs;

/// Samples carry the grid's time when the scrape began within this of it. Even distances between time stamps
/// compress much better.
const TOLERANCE_MS: i64 = 2;

/// The scrape times of one target: all `k · interval + offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    interval_ms: i64,
    offset_ms: i64,
}

impl Schedule {
    /// `key` spreads targets over the interval.
    pub(crate) fn new(interval: Duration, key: u64) -> Self {
        let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1);
        Self { interval_ms, offset_ms: i64::try_from(key % interval_ms.unsigned_abs()).unwrap_or(0) }
    }

    pub(crate) fn interval(self) -> Duration {
        Duration::from_millis(self.interval_ms.unsigned_abs())
    }

    /// The next scrape time after now. `last` is the one served before, which timers that fire a little early
    /// would give a second time.
    pub(crate) fn next(self, now_ms: TimestampMs, last: Option<TimestampMs>) -> TimestampMs {
        let into = (now_ms - self.offset_ms).rem_euclid(self.interval_ms);
        let next = now_ms - into + self.interval_ms;
        if last == Some(next) { next + self.interval_ms } else { next }
    }

    /// The time stamp of a scrape that was due at `due_ms` and begins now.
    pub(crate) fn snap(self, now_ms: TimestampMs, due_ms: TimestampMs) -> TimestampMs {
        let tolerance = TOLERANCE_MS.min(self.interval_ms / 100);
        if (now_ms - due_ms).abs() <= tolerance { due_ms } else { now_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn late_scrapes_keep_their_own_time() {
        let schedule = Schedule::new(Duration::from_secs(15), 0);
        assert_eq!(schedule.snap(15_002, 15_000), 15_000);
        assert_eq!(schedule.snap(14_999, 15_000), 15_000);
        assert_eq!(schedule.snap(15_003, 15_000), 15_003);
        let short = Schedule::new(Duration::from_millis(100), 0);
        assert_eq!((short.snap(1_001, 1_000), short.snap(1_002, 1_000)), (1_000, 1_002));
    }

    proptest! {
        #[test]
        fn the_next_time_is_on_the_grid_and_within_an_interval(
            interval in 1_u64..100_000, key: u64, now in -1_000_000_i64..2_000_000_000_000,
        ) {
            let schedule = Schedule::new(Duration::from_millis(interval), key);
            let interval = interval as i64;
            let next = schedule.next(now, None);
            prop_assert!(next > now && next <= now + interval);
            prop_assert_eq!((next - (key % interval as u64) as i64).rem_euclid(interval), 0);
            // A timer that fires early does not repeat a scrape.
            prop_assert_eq!(schedule.next(now, Some(next)), next + interval);
            // A clock that was set back does not stop the scrapes.
            prop_assert_eq!(schedule.next(now, Some(next + 10 * interval)), next);
        }
    }
}
