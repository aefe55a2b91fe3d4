//! What differs between two pages, family by family.

use std::collections::{BTreeMap, BTreeSet};

use super::allowed::{Allowed, What};
use super::pages::{Page, Series, written};

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    pub family: String,
    pub what: String,
    /// Why it is meant; nothing where it is not.
    pub why: Option<&'static str>,
}

/// What a comparison came to.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    pub differences: BTreeSet<Difference>,
    /// Families that both have.
    pub families: usize,
    /// Of those, with the help in other words.
    pub other_helps: usize,
    /// Series of both that had the same value before and after ours.
    pub still: usize,
    /// Series that moved, ours between their two values.
    pub moving: usize,
    /// Series whose values are not compared.
    pub not_compared: usize,
}

impl Comparison {
    /// The differences that nobody meant.
    pub fn unexplained(&self) -> impl Iterator<Item = &Difference> {
        self.differences.iter().filter(|difference| difference.why.is_none())
    }
}

/// Pages of the same moment: theirs, ours, and theirs again.
pub struct Round {
    pub before: Page,
    pub ours: Page,
    pub after: Page,
}

/// Compares pages round by round, until every series has been right once or the rounds are over: what does not stand
/// still may move past what the other one saw.
pub fn compare(allowed: &Allowed, mut rounds: impl Iterator<Item = Round>) -> Comparison {
    let first = rounds.next().expect("there is a round");
    let mut comparison = Comparison::default();
    let mut open = differing(allowed, &first, &mut comparison);
    while !open.is_empty() {
        let Some(round) = rounds.next() else { break };
        let again = differing(allowed, &round, &mut comparison);
        open.retain(|name, _| again.contains_key(name));
    }
    let unexplained = open.into_iter().map(|(family, what)| Difference { family, what, why: None });
    comparison.differences.extend(unexplained);
    comparison
}

/// The families and series of this round that differ and are not meant to, and how. Counts the others, and notes what
/// is meant.
fn differing(allowed: &Allowed, round: &Round, comparison: &mut Comparison) -> BTreeMap<String, String> {
    let mut open = families(allowed, &round.ours, &round.before, comparison);
    let series = series(allowed, round, comparison);
    open.extend(series.into_iter().map(|(series, what)| (written(&series), what)));
    open
}

/// What each page has, and of which type.
fn families(allowed: &Allowed, ours: &Page, theirs: &Page, comparison: &mut Comparison) -> BTreeMap<String, String> {
    let mut open = BTreeMap::new();
    let mut differ = |family: &String, what: String, why: Option<&'static str>| match why {
        Some(_) => drop(comparison.differences.insert(Difference { family: family.clone(), what, why })),
        None => drop(open.insert(family.clone(), what)),
    };
    for (family, kind) in &theirs.kinds {
        match ours.kinds.get(family) {
            Some(own) if own == kind => {}
            Some(own) => {
                let why = allowed.why(family, |what| what == What::Type);
                differ(family, format!("{own:?} here, {kind:?} there").to_lowercase(), why);
            }
            None => differ(family, "only there".to_owned(), allowed.why(family, |what| what == What::Theirs)),
        }
    }
    for family in ours.kinds.keys().filter(|family| !theirs.kinds.contains_key(*family)) {
        differ(family, "only here".to_owned(), allowed.why(family, |what| what == What::Ours));
    }
    let both = || ours.kinds.keys().filter(|family| theirs.kinds.contains_key(*family));
    comparison.families = both().count();
    comparison.other_helps = both().filter(|family| ours.helps.get(*family) != theirs.helps.get(*family)).count();
    open
}

/// The series of this round that differ, and how. Counts the others, and notes what was left out.
fn series(allowed: &Allowed, round: &Round, comparison: &mut Comparison) -> BTreeMap<Series, String> {
    let Round { before, ours, after } = round;
    let meant = &mut comparison.differences;
    let (first, second) = (values(allowed, before, ours, meant), values(allowed, after, ours, meant));
    let own = values(allowed, ours, before, meant);
    let mut note = |family: &str, what: &str, why| {
        meant.insert(Difference { family: family.to_owned(), what: what.to_owned(), why: Some(why) });
    };
    let mut differing = BTreeMap::new();
    (comparison.still, comparison.moving, comparison.not_compared) = (0, 0, 0);
    for (series, before_value) in &first {
        // One that has just come or gone need not be on ours.
        let Some(after_value) = second.get(series) else { continue };
        let family = before.family(&series.0);
        match (own.get(series), allowed.without_value(family, series)) {
            (None, _) => drop(differing.insert(series.clone(), "only there".to_owned())),
            (Some(_), Some(why)) => {
                note(family, "value not compared", why);
                comparison.not_compared += 1;
            }
            (Some(value), None) if is_between(*value, *before_value, *after_value, allowed.slack(family)) => {
                let is_still = before_value.total_cmp(after_value).is_eq();
                *if is_still { &mut comparison.still } else { &mut comparison.moving } += 1;
            }
            (Some(value), None) => {
                differing.insert(series.clone(), format!("{value} here, {before_value} to {after_value} there"));
            }
        }
    }
    for series in own.keys().filter(|series| !first.contains_key(*series) && !second.contains_key(*series)) {
        let family = ours.family(&series.0);
        match allowed.series_of_ours(family, series) {
            Some(why) => note(family, "series only here", why),
            None => drop(differing.insert(series.clone(), "only here".to_owned())),
        }
    }
    differing
}

/// The values of families that both pages have, by series without the labels that are left out, which are noted.
fn values(allowed: &Allowed, page: &Page, other: &Page, meant: &mut BTreeSet<Difference>) -> BTreeMap<Series, f64> {
    let mut values = BTreeMap::new();
    let mut note = |family: &str, what: String, why| {
        meant.insert(Difference { family: family.to_owned(), what, why: Some(why) });
    };
    for ((name, labels), value) in &page.values {
        let family = page.family(name);
        if !other.kinds.contains_key(family) {
            continue;
        }
        if let Some(why) = allowed.name_alone(family) {
            note(family, "series not compared".to_owned(), why);
            continue;
        }
        let mut compared = Vec::new();
        for (label, text) in labels {
            match allowed.label_left_out(family, label) {
                Some(why) => note(family, format!("label {label}"), why),
                // A label without a value is as good as none.
                None if text.is_empty() => {}
                None => compared.push((label.clone(), text.clone())),
            }
        }
        values.insert((name.clone(), compared), *value);
    }
    values
}

/// Between two values, or the same but for the last digits: sums and units are worked out in another order.
fn is_between(value: f64, first: f64, second: f64, slack: f64) -> bool {
    let (low, high) = (first.min(second), first.max(second));
    let slack = slack + high.abs().max(low.abs()) * 1e-12;
    (value.is_nan() && first.is_nan()) || (value >= low - slack && value <= high + slack)
}
