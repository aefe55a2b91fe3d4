//! `rate_limit`: a bucket of requests.

use std::time::Instant;

use parking_lot::Mutex;

use super::config::RateLimit;

/// Holds requests up to `burst`, and gets one more each `interval`.
pub(super) struct Bucket {
    limit: RateLimit,
    level: Mutex<Level>,
}

struct Level {
    requests: f64,
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(limit: RateLimit, now: Instant) -> Self {
        Self { limit, level: Mutex::new(Level { requests: f64::from(limit.burst), at: now }) }
    }

    pub(super) fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Takes a request out; false when there is none.
    pub(super) fn take(&self, now: Instant) -> bool {
        let mut level = self.level.lock();
        let more = now.saturating_duration_since(level.at).as_secs_f64() / self.limit.interval.as_secs_f64();
        level.requests = (level.requests + more).min(f64::from(self.limit.burst));
        level.at = now;
        let is_there = level.requests >= 1.0;
        if is_there {
            level.requests -= 1.0;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn lets_a_burst_through_and_then_one_by_one() {
        let start = Instant::now();
        let bucket = Bucket::new(RateLimit { interval: Duration::from_secs(2), burst: 3 }, start);
        let taken = |seconds: f64| bucket.take(start + Duration::from_secs_f64(seconds));
        assert_eq!(
            [0.0, 0.0, 0.0, 0.0, 1.9, 2.1, 2.2, 4.1].map(taken),
            [true, true, true, false, false, true, false, true]
        );
        // However long nobody asks, there are no more than three.
        assert_eq!([900.0; 4].map(taken), [true, true, true, false]);
    }
}
