//! Counts, and how they are told.

use serde::Serialize;

/// How many chose which option.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// The first.
    pub a: u64,
    /// The second.
    pub b: u64,
}

impl Tally {
    /// Tenths of a percent of the first and of the second; together 1000, and half each when there are no votes.
    fn shares(self) -> (u64, u64) {
        let (a, total) = (u128::from(self.a), u128::from(self.a) + u128::from(self.b));
        // Rounded to the nearest; no more than 1000, so it fits.
        let a = (a * 2000 + total).checked_div(total * 2).map_or(500, |share| share as u64);
        (a, 1000 - a)
    }

    /// `N votes`, `1 vote`, `No votes yet`.
    #[must_use]
    pub fn total(self) -> String {
        match u128::from(self.a) + u128::from(self.b) {
            0 => "No votes yet".to_owned(),
            1 => "1 vote".to_owned(),
            total => format!("{total} votes"),
        }
    }
}

/// What the page shows, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct View {
    /// Percentage of the first option, such as `66.7%`; a dash if nothing is known.
    pub percent_a: String,
    /// Of the second.
    pub percent_b: String,
    /// Votes for the first option, in digits; a dash if nothing is known.
    pub votes_a: String,
    /// For the second.
    pub votes_b: String,
    /// How many voted.
    pub total: String,
    /// What is wrong, or nothing.
    pub problem: String,
}

impl View {
    /// Of what was counted last, if anything; `away` if that is not what is there now.
    #[must_use]
    pub fn new(tally: Option<Tally>, away: bool) -> Self {
        let Some(tally) = tally else {
            let dash = || "–".to_owned();
            let problem = if away { "The database is away: the votes cannot be shown." } else { "" };
            return Self {
                percent_a: dash(),
                percent_b: dash(),
                votes_a: dash(),
                votes_b: dash(),
                total: "Waiting for the votes…".to_owned(),
                problem: problem.to_owned(),
            };
        };
        let percent = |tenths: u64| format!("{}.{}%", tenths / 10, tenths % 10);
        let (a, b) = tally.shares();
        Self {
            percent_a: percent(a),
            percent_b: percent(b),
            votes_a: tally.a.to_string(),
            votes_b: tally.b.to_string(),
            total: tally.total(),
            problem: match away {
                true => "The database is away: these are the last votes that we know of.".to_owned(),
                false => String::new(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(a: u64, b: u64, percent: (&str, &str), total: &str) {
        let view = View::new(Some(Tally { a, b }), false);
        assert_eq!(
            (view.percent_a.as_str(), view.percent_b.as_str(), view.total.as_str()),
            (percent.0, percent.1, total)
        );
    }

    #[test]
    fn votes_are_told_in_percent() {
        check(0, 0, ("50.0%", "50.0%"), "No votes yet");
        check(1, 0, ("100.0%", "0.0%"), "1 vote");
        check(2, 1, ("66.7%", "33.3%"), "3 votes");
        check(1, 2, ("33.3%", "66.7%"), "3 votes");
        check(1, 1, ("50.0%", "50.0%"), "2 votes");
        check(u64::MAX, u64::MAX, ("50.0%", "50.0%"), "36893488147419103230 votes");
    }

    proptest! {
        #[test]
        fn shares_make_a_whole(a: u64, b: u64) {
            let (x, y) = Tally { a, b }.shares();
            prop_assert_eq!(x + y, 1000);
            prop_assert_eq!(x.max(y) == x, a >= b || x == y);
        }
    }

    #[test]
    fn what_is_not_known_is_not_zero() {
        let view = View::new(None, true);
        assert_eq!((view.votes_a.as_str(), view.percent_b.as_str()), ("–", "–"));
        assert!(view.problem.contains("away"));
        assert!(View::new(Some(Tally { a: 1, b: 0 }), true).problem.contains("last votes"));
    }
}
