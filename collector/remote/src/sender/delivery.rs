//! Delivers one parcel whatever it takes: tries again, halves what is too large, finds what is malformed.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use collector_model::{Clock, TimestampMs};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Parts;
use super::shard::Parcel;
use crate::config::QueueConfig;
use crate::metrics::{Meter, Reason};
use crate::sinks::{Outcome, Point, Sink};
use crate::status::Health;

/// Pieces that one parcel may fall into in search of malformed points. A receiver that calls everything malformed
/// costs no more requests than twice that.
const MAX_PIECES: usize = 128;

/// What all requests to a destination share.
pub(super) struct Delivery {
    name: String,
    sink: Arc<dyn Sink>,
    config: QueueConfig,
    meter: Meter,
    health: Arc<Health>,
    clock: Arc<dyn Clock>,
    busy: Mutex<Duration>,
}

/// A piece must be halved.
struct Halve {
    /// What the receiver said.
    message: String,
    /// Whether that is to find malformed points, not to send less at once.
    searching: bool,
}

impl Delivery {
    pub(super) fn new(parts: &Parts) -> Self {
        Self {
            name: parts.name.clone(),
            sink: Arc::clone(&parts.sink),
            config: parts.config.clone(),
            meter: parts.meter.clone(),
            health: Arc::clone(&parts.health),
            clock: Arc::clone(&parts.clock),
            busy: Mutex::default(),
        }
    }

    /// The destination's name, for messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// How long requests took, together, since this was last asked.
    pub(super) fn take_busy(&self) -> Duration {
        std::mem::take(&mut self.busy.lock())
    }

    /// The time stamp of the oldest sample that is still to be sent.
    pub(super) fn oldest_allowed(&self, now_ms: TimestampMs) -> TimestampMs {
        match self.config.sample_age_limit.as_millis() {
            0 => TimestampMs::MIN,
            limit => now_ms.saturating_sub(limit),
        }
    }

    /// Returns when every point of the parcel is delivered, refused for good, or too old.
    pub(super) async fn deliver(&self, parcel: &Parcel) {
        let points = together(parcel);
        let mut pieces = VecDeque::from([&*points]);
        let mut begun = 0;
        while let Some(piece) = pieces.pop_front() {
            begun += 1;
            let Some(halve) = self.deliver_piece(piece).await else { continue };
            if piece.len() < 2 || (halve.searching && begun + pieces.len() >= MAX_PIECES) {
                self.fail(piece.len(), &halve.message);
            } else {
                let (first, second) = piece.split_at(piece.len() / 2);
                pieces.push_front(second);
                pieces.push_front(first);
            }
        }
    }

    /// Returns when the piece needs no more care, or must be halved.
    async fn deliver_piece(&self, piece: &[Point]) -> Option<Halve> {
        let mut piece = Cow::Borrowed(piece);
        let mut body = self.sink.encode(&piece);
        let mut backoff = self.config.min_backoff.0;
        for attempt in 0.. {
            let (message, after, slowly) = match self.send(&body, attempt).await {
                Outcome::Delivered => {
                    self.delivered(&piece, 0, &body);
                    return None;
                }
                Outcome::Partly { refused, message } => {
                    let refused = refused.min(piece.len());
                    self.delivered(&piece, refused, &body);
                    self.fail(refused, &message);
                    return None;
                }
                Outcome::TooLarge { message } => return Some(Halve { message, searching: false }),
                Outcome::Malformed { message } => return Some(Halve { message, searching: true }),
                Outcome::Rejected { message } => {
                    self.fail(piece.len(), &message);
                    return None;
                }
                Outcome::Retry { message, after, slowly } => (message, after, slowly),
            };
            self.health.failed(&self.name, self.clock.now_ms(), message);
            self.meter.retried.inc_by(piece.len() as u64);
            let longest = self.config.max_backoff.0;
            let wait = if slowly { longest } else { backoff }.max(after.unwrap_or_default());
            self.health.wait(wait).await;
            backoff = (backoff * 2).min(longest);
            if self.drop_old(&mut piece) {
                if piece.is_empty() {
                    return None;
                }
                body = self.sink.encode(&piece);
            }
        }
        None
    }

    async fn send(&self, body: &Bytes, attempt: u32) -> Outcome {
        let begun = Instant::now();
        let outcome = self.sink.send(body.clone(), attempt).await;
        let took = begun.elapsed();
        self.meter.duration.observe(took.as_secs_f64());
        *self.busy.lock() += took;
        outcome
    }

    fn delivered(&self, piece: &[Point], refused: usize, body: &Bytes) {
        self.meter.samples.inc_by((piece.len() - refused) as u64);
        self.meter.bytes.inc_by(body.len() as u64);
        if let Some(newest) = piece.iter().map(|p| p.timestamp_ms).max() {
            self.health.delivered(&self.name, self.clock.now_ms(), newest, &self.meter.highest_sent);
        }
    }

    fn fail(&self, count: usize, message: &str) {
        self.meter.failed.inc_by(count as u64);
        self.health.refused(&self.name, self.clock.now_ms(), count, message);
    }

    /// Drops what has grown too old while it waited; says whether anything has.
    fn drop_old(&self, piece: &mut Cow<'_, [Point]>) -> bool {
        let oldest = self.oldest_allowed(self.clock.now_ms());
        let old = piece.iter().filter(|p| p.timestamp_ms < oldest).count();
        if old > 0 {
            self.meter.drop_samples(Reason::TooOld, old as u64);
            piece.to_mut().retain(|p| p.timestamp_ms >= oldest);
        }
        old > 0
    }
}

/// The points of a parcel with those of one series side by side, each series in its order. In a parcel of one block
/// a series comes once, as a rule, so there is nothing to do.
///
/// The hash that was made when the labels were read stands for the series, as reading them all once more would cost
/// more than the rest. Two series of one hash come in more runs than they need to, each still in its order.
fn together(parcel: &Parcel) -> Cow<'_, [Point]> {
    if parcel.blocks.len() < 2 {
        return Cow::Borrowed(&parcel.points);
    }
    let mut place = hashbrown::HashMap::with_capacity(parcel.points.len());
    let mut keyed: Vec<(usize, &Point)> = parcel
        .points
        .iter()
        .zip(&parcel.hashes)
        .enumerate()
        .map(|(index, (point, hash))| (*place.entry(*hash).or_insert(index), point))
        .collect();
    if place.len() == parcel.points.len() {
        return Cow::Borrowed(&parcel.points);
    }
    keyed.sort_by_key(|(first, _)| *first);
    Cow::Owned(keyed.into_iter().map(|(_, point)| point.clone()).collect())
}

#[cfg(test)]
mod tests {
    use collector_model::Labels;

    use super::*;

    #[test]
    fn samples_of_one_series_travel_together_and_in_order() {
        let point = |name: &str, timestamp_ms| Point {
            labels: Labels::from_pairs([("__name__", name)]),
            timestamp_ms,
            value: 0.0,
        };
        let points = vec![point("a", 1), point("b", 1), point("c", 1), point("b", 2), point("a", 2)];
        let order = |parcel: &Parcel| -> Vec<String> {
            together(parcel).iter().map(|p| format!("{}{}", p.labels.metric_name(), p.timestamp_ms)).collect()
        };
        let hashes = points.iter().map(|p| p.labels.stable_hash()).collect();
        let mut parcel = Parcel { shard: 0, points, hashes, blocks: vec![(1, 3), (2, 2)] };
        assert_eq!(order(&parcel), ["a1", "a2", "b1", "b2", "c1"]);
        parcel.hashes = vec![0; 5];
        assert_eq!(order(&parcel), ["a1", "b1", "c1", "b2", "a2"], "no series loses its order");
    }
}
