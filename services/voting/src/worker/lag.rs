//! How long the oldest vote on the list has waited, though votes carry no time.
//!
//! Each vote has a position: how many were cut off the list before it, plus how far from the left end it lies. At each
//! look the place behind the last vote is noted with the time. A vote that lies at or behind that place came after that
//! look. So the age of the oldest vote is less than the time since the last look that had ended before it. That is an
//! upper bound, and too high by the time between two looks at most; for votes that were there at the first look, only
//! the time since then is known.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Looks that are remembered: an hour of one a second. With a longer lag the bound is less close.
const LOOKS: usize = 3600;

/// The looks at the list.
#[derive(Debug, Default)]
pub struct Looks {
    /// When, and the position behind the last vote then; the oldest first, never two with one position.
    ends: VecDeque<(Instant, u64)>,
    /// What is known of votes that lie before the first of them: the first look, or one that is forgotten.
    before: Option<Instant>,
}

impl Looks {
    /// Notes a look, and gives the age of the oldest vote, 0 if there is none.
    pub fn look(&mut self, now: Instant, taken: u64, queued: u64) -> Duration {
        let end = taken.saturating_add(queued);
        if self.ends.back().is_some_and(|(_, last)| *last > end) {
            // Redis came back with less than it had: positions begin anew.
            *self = Self::default();
        }
        // Of all looks that ended before the oldest vote only the last is needed.
        while self.ends.get(1).is_some_and(|(_, next)| *next <= taken) {
            self.ends.pop_front();
        }
        let before = *self.before.get_or_insert(now);
        let oldest = self.ends.front().filter(|(_, end)| *end <= taken).map_or(before, |(at, _)| *at);
        match self.ends.back_mut() {
            Some((at, last)) if *last == end => *at = now,
            _ => self.ends.push_back((now, end)),
        }
        if self.ends.len() > LOOKS {
            self.before = self.ends.pop_front().map(|(at, _)| at);
        }
        if queued == 0 { Duration::ZERO } else { now.saturating_duration_since(oldest) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_vote_came_after_the_last_look_that_ended_before_it() {
        let (begin, second) = (Instant::now(), Duration::from_secs(1));
        let mut looks = Looks::default();
        let mut check = |at: u32, taken, queued, want: u32| {
            assert_eq!(looks.look(begin + second * at, taken, queued), second * want, "at {at} s");
        };
        check(0, 100, 0, 0);
        check(1, 100, 0, 0);
        // Three came after second 1.
        check(2, 100, 3, 1);
        check(3, 100, 5, 2);
        // The oldest is one of the two that came after second 2.
        check(4, 103, 2, 2);
        // The one that is left came after second 4: 105 were there then.
        check(5, 105, 1, 1);
        check(6, 106, 0, 0);
        // Under load the list is never empty, and the lag stays small.
        check(7, 900, 50, 1);
        check(8, 1900, 50, 1);
        check(9, 1900, 1050, 2);
    }

    #[test]
    fn votes_that_were_there_at_the_first_look_are_as_old_as_that_look() {
        let (begin, second) = (Instant::now(), Duration::from_secs(1));
        let mut looks = Looks::default();
        assert_eq!(looks.look(begin, 0, 9), Duration::ZERO);
        assert_eq!(looks.look(begin + second, 0, 9), second);
        assert_eq!(looks.look(begin + second * 2, 0, 10), second * 2);
    }

    #[test]
    fn a_list_that_lost_votes_begins_anew() {
        let (begin, second) = (Instant::now(), Duration::from_secs(1));
        let mut looks = Looks::default();
        looks.look(begin, 100, 5);
        assert_eq!(looks.look(begin + second, 0, 3), Duration::ZERO);
        assert_eq!(looks.look(begin + second * 2, 0, 3), second);
    }

    #[test]
    fn looks_are_bounded() {
        let begin = Instant::now();
        let mut looks = Looks::default();
        for n in 0..10_000u32 {
            looks.look(begin + Duration::from_secs(n.into()), 0, n.into());
        }
        assert_eq!(looks.ends.len(), LOOKS);
    }
}
