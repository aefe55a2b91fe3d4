//! The places for connections: as many as may be open at once.
//!
//! When all are taken, the connection that has been silent longest makes room, so that peers who connect and say
//! nothing cannot keep out those who speak. One that has just come, or has just been answered, keeps its place for a
//! moment, so that a flood of connections does not wash away everybody else.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

/// How long a silent connection keeps its place in any case.
pub(super) const KEPT: Duration = Duration::from_millis(250);

/// Why a connection is told to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// Another needs its place.
    MakeRoom,
    /// The server ends: what has come is to be answered.
    Shutdown,
}

/// All places.
pub(super) struct Places {
    room: usize,
    began: Instant,
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Default)]
struct Taken {
    next: u64,
    by: HashMap<u64, Holder>,
}

struct Holder {
    /// Milliseconds after `began`.
    silent_since: Arc<AtomicU64>,
    /// None once told.
    leave: Option<oneshot::Sender<Leave>>,
}

/// A place that is taken, until it is let go.
pub(super) struct Place {
    places: Arc<Places>,
    id: u64,
    silent_since: Arc<AtomicU64>,
}

impl Places {
    pub(super) fn new(room: usize) -> Arc<Self> {
        let (taken, freed) = (Mutex::default(), Notify::new());
        Arc::new(Self { room, began: Instant::now(), taken, freed })
    }

    /// Takes a place; waits until there is one.
    pub(super) async fn take(self: &Arc<Self>) -> (Place, oneshot::Receiver<Leave>) {
        loop {
            // Before the look, so that a place that comes free in between is not missed.
            let freed = self.freed.notified();
            if let Some(taken) = self.try_take() {
                return taken;
            }
            match self.make_room() {
                None => freed.await,
                Some(later) => drop(tokio::time::timeout_at(later, freed).await),
            }
        }
    }

    fn try_take(self: &Arc<Self>) -> Option<(Place, oneshot::Receiver<Leave>)> {
        let now = self.since_began(Instant::now());
        let mut taken = self.taken.lock();
        if taken.by.len() >= self.room {
            return None;
        }
        let id = taken.next;
        taken.next += 1;
        let silent_since = Arc::new(AtomicU64::new(now));
        let (leave, told) = oneshot::channel();
        taken.by.insert(id, Holder { silent_since: Arc::clone(&silent_since), leave: Some(leave) });
        Some((Place { places: Arc::clone(self), id, silent_since }, told))
    }

    /// Tells the longest silent connection to leave. When that is not due yet: when it is.
    fn make_room(&self) -> Option<Instant> {
        let now = self.since_began(Instant::now());
        let mut taken = self.taken.lock();
        if taken.by.values().any(|holder| holder.leave.is_none()) {
            // One is on its way out.
            return None;
        }
        let silent_since = |holder: &&mut Holder| holder.silent_since.load(Ordering::Relaxed);
        let longest = taken.by.values_mut().min_by_key(silent_since)?;
        let due = longest.silent_since.load(Ordering::Relaxed) + millis(KEPT);
        if due > now {
            return Some(self.began + Duration::from_millis(due));
        }
        if let Some(leave) = longest.leave.take() {
            // It may be gone already.
            let _ = leave.send(Leave::MakeRoom);
        }
        None
    }

    /// Tells all to leave because the server ends.
    pub(super) fn close(&self) {
        let mut taken = self.taken.lock();
        for leave in taken.by.values_mut().filter_map(|holder| holder.leave.take()) {
            let _ = leave.send(Leave::Shutdown);
        }
    }

    fn since_began(&self, now: Instant) -> u64 {
        millis(now.saturating_duration_since(self.began))
    }
}

impl Place {
    /// The peer said something just now.
    pub(super) fn heard(&self, now: Instant) {
        self.silent_since.store(self.places.since_began(now), Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken.lock().by.remove(&self.id);
        self.places.freed.notify_one();
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_longest_silent_makes_room_but_not_at_once() {
        let places = Places::new(2);
        let (first, mut told_first) = places.take().await;
        tokio::time::advance(KEPT).await;
        let (_second, mut told_second) = places.take().await;
        first.heard(Instant::now() + Duration::from_millis(1));

        let asked = Instant::now();
        let third = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.take().await }
        });
        // The second is now the longest silent, and keeps its place for a moment.
        assert_eq!((&mut told_second).await, Ok(Leave::MakeRoom));
        assert_eq!(asked.elapsed(), KEPT);
        assert!(told_first.try_recv().is_err(), "one is enough");
        drop(_second);
        let (_third, _) = third.await.unwrap();
        places.close();
        assert_eq!(told_first.await, Ok(Leave::Shutdown));
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_comes_free_is_taken_with_nobody_told_to_leave() {
        let places = Places::new(1);
        let (place, mut told) = places.take().await;
        let next = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.take().await }
        });
        tokio::task::yield_now().await;
        drop(place);
        drop(next.await.unwrap());
        assert_eq!(told.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }
}
