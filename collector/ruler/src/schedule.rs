//! When a group is evaluated: at multiples of its interval, shifted by an offset that its name decides, so that
//! groups spread over the interval and keep their place over restarts and reloads.

use collector_model::TimestampMs;

/// The times of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    interval_ms: i64,
    offset_ms: i64,
}

impl Schedule {
    pub(crate) fn new(file: &str, group: &str, interval_ms: i64) -> Self {
        let interval_ms = interval_ms.max(1);
        let mut key = Vec::with_capacity(file.len() + group.len() + 1);
        key.extend_from_slice(file.as_bytes());
        key.push(0xff);
        key.extend_from_slice(group.as_bytes());
        let offset = xxhash_rust::xxh3::xxh3_64(&key) % interval_ms.unsigned_abs();
        Self { interval_ms, offset_ms: i64::try_from(offset).unwrap_or(0) }
    }

    pub(crate) fn interval_ms(&self) -> i64 {
        self.interval_ms
    }

    /// The first slot after `ms`.
    pub(crate) fn after(&self, ms: TimestampMs) -> TimestampMs {
        let since_slot = (ms - self.offset_ms).rem_euclid(self.interval_ms);
        ms - since_slot + self.interval_ms
    }

    /// The slot to evaluate next once `slot` is done at `now_ms`, and how many lie between them that are missed.
    /// An evaluation that overran by less than an interval is caught up on at once. After a step of the clock
    /// backwards by more than an interval the schedule starts anew.
    pub(crate) fn next(&self, slot: TimestampMs, now_ms: TimestampMs) -> (TimestampMs, u64) {
        if slot - now_ms > self.interval_ms {
            return (self.after(now_ms), 0);
        }
        let missed = ((now_ms - slot) / self.interval_ms - 1).max(0);
        (slot + (missed + 1) * self.interval_ms, missed.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_3: Schedule = Schedule { interval_ms: 10, offset_ms: 3 };

    #[test]
    fn slots_are_multiples_of_the_interval_plus_the_offset() {
        assert_eq!(AT_3.after(0), 3);
        assert_eq!(AT_3.after(3), 13);
        assert_eq!(AT_3.after(12), 13);
        assert_eq!(AT_3.after(-8), -7);
    }

    #[test]
    fn the_offset_is_inside_the_interval_and_depends_on_both_names() {
        let offset = |file, group| Schedule::new(file, group, 60_000).offset_ms;
        assert_eq!(offset("a.yml", "g"), offset("a.yml", "g"));
        assert_ne!(offset("a.yml", "g"), offset("b.yml", "g"));
        assert_ne!(offset("a.yml", "g"), offset("a.yml", "h"));
        assert_ne!(offset("a", "bg"), offset("ab", "g"));
        for group in 0..100 {
            let group = group.to_string();
            assert!((0..60_000).contains(&Schedule::new("a.yml", &group, 60_000).offset_ms));
        }
    }

    #[test]
    fn missed_slots_are_skipped_and_counted() {
        assert_eq!(AT_3.next(13, 14), (23, 0));
        assert_eq!(AT_3.next(13, 24), (23, 0), "overran by less than an interval: catch up");
        assert_eq!(AT_3.next(13, 33), (33, 1));
        assert_eq!(AT_3.next(13, 60), (53, 3));
        assert_eq!(AT_3.next(103, 40), (43, 0), "the clock was set back");
    }
}
