//! Samples that wait for one request after the other.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::sinks::Point;

/// What is to be sent in order, one request at a time.
#[derive(Default)]
pub(super) struct Shard {
    points: VecDeque<Point>,
    /// The hash of each point's series.
    hashes: VecDeque<u64>,
    /// Which block each run of points is of.
    blocks: VecDeque<(u64, usize)>,
    /// When the oldest point came, as far as it is remembered.
    since: Option<Instant>,
    busy: bool,
}

/// What one request, or the pieces it falls into, is to deliver.
#[derive(Debug)]
pub(super) struct Parcel {
    pub shard: usize,
    pub points: Vec<Point>,
    /// A hash of each point's labels.
    pub hashes: Vec<u64>,
    /// How many of the points are of which block.
    pub blocks: Vec<(u64, usize)>,
}

impl Shard {
    /// Adds a point; `hash` is of its labels.
    pub(super) fn push(&mut self, point: Point, hash: u64, block: u64, now: Instant) {
        self.points.push_back(point);
        self.hashes.push_back(hash);
        match self.blocks.back_mut() {
            Some((number, count)) if *number == block => *count += 1,
            _ => self.blocks.push_back((block, 1)),
        }
        self.since.get_or_insert(now);
    }

    pub(super) fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether a request should go out now.
    pub(super) fn is_due(&self, now: Instant, most: usize, wait: Duration, hurry: bool) -> bool {
        let waited = || self.since.is_some_and(|since| now.duration_since(since) >= wait);
        !self.busy && !self.points.is_empty() && (hurry || self.points.len() >= most || waited())
    }

    /// When a request that is not full should go out.
    pub(super) fn due_at(&self, wait: Duration) -> Option<Instant> {
        if self.busy { None } else { self.since.map(|since| since + wait) }
    }

    /// Takes the oldest points, `most` of them at most. The next are taken when these are delivered.
    pub(super) fn take(&mut self, shard: usize, most: usize, now: Instant) -> Parcel {
        self.busy = true;
        let mut left = most.min(self.points.len());
        let points = self.points.drain(..left).collect();
        let hashes = self.hashes.drain(..left).collect();
        let mut blocks = Vec::new();
        while left > 0
            && let Some((number, count)) = self.blocks.front_mut()
        {
            let taken = left.min(*count);
            blocks.push((*number, taken));
            left -= taken;
            *count -= taken;
            if *count == 0 {
                self.blocks.pop_front();
            }
        }
        self.since = (!self.points.is_empty()).then_some(now);
        Parcel { shard, points, hashes, blocks }
    }

    pub(super) fn finished(&mut self) {
        self.busy = false;
    }
}

#[cfg(test)]
mod tests {
    use collector_model::Labels;

    use super::*;

    #[test]
    fn takes_in_order_and_knows_the_blocks() {
        let now = Instant::now();
        let mut shard = Shard::default();
        for (block, timestamp_ms) in [(1, 10), (1, 11), (2, 12), (3, 13)] {
            shard.push(Point { labels: Labels::empty(), timestamp_ms, value: 0.0 }, 0, block, now);
        }
        assert!(shard.is_due(now, 3, Duration::from_secs(5), false));
        let parcel = shard.take(0, 3, now);
        assert_eq!(parcel.points.iter().map(|p| p.timestamp_ms).collect::<Vec<_>>(), [10, 11, 12]);
        assert_eq!(parcel.blocks, [(1, 2), (2, 1)]);
        let later = now + Duration::from_secs(5);
        assert!(!shard.is_due(later, 1, Duration::from_secs(5), true), "one request at a time");
        shard.finished();
        assert!(!shard.is_due(now, 3, Duration::from_secs(5), false), "not full");
        assert!(shard.is_due(later, 3, Duration::from_secs(5), false), "waited long enough");
        assert_eq!(shard.take(0, 3, later).blocks, [(3, 1)]);
        assert_eq!(shard.due_at(Duration::from_secs(5)), None);
    }
}
