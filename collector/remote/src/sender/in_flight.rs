//! Which blocks are on their way, so that the cursor never passes one that is not acknowledged whole.

use std::collections::VecDeque;

use collector_model::TimestampMs;

use crate::queue::cursor::Mark;

/// Blocks that were read and not yet acknowledged whole, in the order of the queue.
#[derive(Default)]
pub(super) struct InFlight {
    blocks: VecDeque<Outstanding>,
    /// Number of the first of them.
    first: u64,
    samples: u64,
    cursor: Option<Mark>,
}

struct Outstanding {
    mark: Mark,
    samples: usize,
    oldest_ms: TimestampMs,
}

impl InFlight {
    /// Begins a block; gives its number.
    pub(super) fn begin(&mut self, mark: Mark) -> u64 {
        self.blocks.push_back(Outstanding { mark, samples: 0, oldest_ms: TimestampMs::MAX });
        self.first + self.blocks.len() as u64 - 1
    }

    /// Adds a sample to the block that was begun last.
    pub(super) fn add(&mut self, timestamp_ms: TimestampMs) {
        if let Some(block) = self.blocks.back_mut() {
            block.samples += 1;
            block.oldest_ms = block.oldest_ms.min(timestamp_ms);
            self.samples += 1;
        }
    }

    /// So many samples of a block need no more care: delivered, or refused for good.
    pub(super) fn done(&mut self, block: u64, count: usize) {
        let index = usize::try_from(block.saturating_sub(self.first)).unwrap_or(usize::MAX);
        if let Some(block) = self.blocks.get_mut(index) {
            block.samples = block.samples.saturating_sub(count);
            self.samples = self.samples.saturating_sub(count as u64);
        }
    }

    /// Lets go of the blocks at the front that are done; gives the mark behind the last of them.
    pub(super) fn settle(&mut self) -> Option<Mark> {
        let mut mark = None;
        while let Some(block) = self.blocks.front()
            && block.samples == 0
        {
            mark = Some(block.mark);
            self.blocks.pop_front();
            self.first += 1;
        }
        mark
    }

    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Samples that were read and are not done.
    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// The oldest sample of the first block that is not done.
    pub(super) fn oldest_ms(&self) -> Option<TimestampMs> {
        self.blocks.front().map(|block| block.oldest_ms).filter(|oldest| *oldest != TimestampMs::MAX)
    }

    /// Whether the cursor file says something else; it is taken to say this from now on.
    pub(super) fn cursor_moved(&mut self, mark: Mark) -> bool {
        self.cursor.replace(mark) != Some(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(offset: u64) -> Mark {
        Mark { segment: 1, offset, samples: 0 }
    }

    #[test]
    fn the_cursor_waits_for_the_first_gap() {
        let mut in_flight = InFlight::default();
        let blocks: Vec<u64> = (1..=3).map(|offset| in_flight.begin(mark(offset))).collect();
        assert_eq!(blocks, [0, 1, 2]);
        // All three are empty: everything in them was dropped on this side.
        assert_eq!(in_flight.settle(), Some(mark(3)));
        let (a, b) = (in_flight.begin(mark(4)), {
            in_flight.add(100);
            in_flight.add(50);
            in_flight.begin(mark(5))
        });
        in_flight.add(200);
        assert_eq!((in_flight.samples(), in_flight.oldest_ms()), (3, Some(50)));
        in_flight.done(b, 1);
        assert_eq!(in_flight.settle(), None);
        in_flight.done(a, 1);
        assert_eq!(in_flight.settle(), None);
        in_flight.done(a, 1);
        assert_eq!(in_flight.settle(), Some(mark(5)));
        assert!(in_flight.is_empty());
    }
}
