//! Requests that wait for their delivery, within a bound.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// A request that is ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// The body, compressed.
    pub body: Bytes,
    /// How many samples are in it.
    pub samples: u64,
    /// When they were taken.
    pub taken: Instant,
}

/// What waits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Pending {
    pub bytes: usize,
    pub samples: u64,
    /// When the oldest was taken.
    pub since: Option<Instant>,
}

/// Batches in the order in which they came. The first stays until it is [done](Queue::done) with.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Notify,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<Batch>,
    bytes: usize,
    /// The first is with the receiver: it cannot be dropped any more.
    first_is_out: bool,
    closed: bool,
}

impl Queue {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { state: Mutex::default(), changed: Notify::new(), max_bytes }
    }

    /// Adds a batch; gives the samples of those that were dropped to make room, the oldest first. One that is larger
    /// than the whole queue is dropped itself.
    pub(crate) fn push(&self, batch: Batch) -> u64 {
        let mut state = self.state.lock();
        state.bytes += batch.body.len();
        state.batches.push_back(batch);
        let mut dropped = 0;
        while state.bytes > self.max_bytes {
            let oldest = usize::from(state.first_is_out);
            let Some(batch) = state.batches.remove(oldest) else { break };
            state.bytes -= batch.body.len();
            dropped += batch.samples;
        }
        drop(state);
        self.changed.notify_one();
        dropped
    }

    /// Waits for a batch and gives the first; `None` when the queue is closed and empty. It counts as being with the
    /// receiver until it is [done](Self::done) with or [kept](Self::keep).
    pub(crate) async fn first(&self) -> Option<Batch> {
        loop {
            {
                let mut state = self.state.lock();
                if let Some(batch) = state.batches.front().cloned() {
                    state.first_is_out = true;
                    return Some(batch);
                }
                if state.closed {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    /// The first has been delivered or refused.
    pub(crate) fn done(&self) {
        let mut state = self.state.lock();
        state.first_is_out = false;
        if let Some(batch) = state.batches.pop_front() {
            state.bytes -= batch.body.len();
        }
    }

    /// The first has come back and waits again.
    pub(crate) fn keep(&self) {
        self.state.lock().first_is_out = false;
    }

    /// No more batches will come.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_one();
    }

    pub(crate) fn pending(&self) -> Pending {
        let state = self.state.lock();
        Pending {
            bytes: state.bytes,
            samples: state.batches.iter().map(|batch| batch.samples).sum(),
            since: state.batches.front().map(|batch| batch.taken),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(bytes: usize, samples: u64) -> Batch {
        Batch { body: vec![0; bytes].into(), samples, taken: Instant::now() }
    }

    async fn next(queue: &Queue) -> u64 {
        queue.first().await.unwrap().samples
    }

    #[tokio::test]
    async fn the_oldest_make_room() {
        let queue = Queue::new(100);
        assert_eq!((queue.push(batch(40, 1)), queue.push(batch(40, 2)), queue.push(batch(40, 3))), (0, 0, 1));
        assert_eq!((queue.pending().bytes, queue.pending().samples), (80, 5));
        assert_eq!(next(&queue).await, 2);
        // What is with the receiver stays, the next oldest goes.
        assert_eq!(queue.push(batch(40, 4)), 3);
        queue.keep();
        assert_eq!(queue.push(batch(40, 5)), 2);
        assert_eq!(next(&queue).await, 4);
        queue.done();
        assert_eq!(next(&queue).await, 5);
        queue.done();
        assert_eq!(queue.pending(), Pending::default());
        assert_eq!(queue.push(batch(101, 6)), 6);
    }

    #[tokio::test]
    async fn a_closed_queue_is_emptied_first() {
        let queue = Queue::new(100);
        queue.push(batch(1, 1));
        queue.close();
        assert_eq!(next(&queue).await, 1);
        queue.done();
        assert!(queue.first().await.is_none());
    }
}
