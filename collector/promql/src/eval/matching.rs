//! Vector matching: which series of two vectors belong together, and what the pairs are called.

use collector_model::{Labels, METRIC_NAME};
use hashbrown::HashMap;

use super::binary::{drops_name, outcome};
use super::{ABSENT, Column, Columns, Evaluator, Grid, is_present};
use crate::QueryError;
use crate::expr::{Binary, Cardinality, Grouping};

/// The series of both sides that have the matching labels in common.
#[derive(Default)]
struct MatchGroup<'a> {
    manys: Vec<&'a Column>,
    ones: Vec<&'a Column>,
}

impl Evaluator<'_> {
    pub(super) fn match_vectors(
        &self,
        binary: &Binary,
        lhs: &Columns,
        rhs: &Columns,
        grid: &Grid,
    ) -> Result<Columns, QueryError> {
        // For group_right the sides change places, and values change back when they are computed.
        let swapped = matches!(binary.matching.cardinality, Cardinality::OneToMany(_));
        let (many, one) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
        let on = &binary.matching.on;
        let mut groups: HashMap<Labels, MatchGroup<'_>> = HashMap::new();
        let mut order = Vec::new();
        for column in &many.series {
            let group = groups.entry(on.key(&column.labels)).or_insert_with_key(|key| {
                order.push(key.clone());
                MatchGroup::default()
            });
            group.manys.push(column);
        }
        for column in &one.series {
            groups.entry(on.key(&column.labels)).or_default().ones.push(column);
        }
        let both = both_sides(lhs, rhs, grid);
        let mut matcher = VectorMatch { binary, swapped, both, known: HashMap::new(), results: Vec::new() };
        // A doubled "one" side is an error even where nothing matches it.
        for (key, group) in groups.iter().filter(|(_, group)| group.ones.len() > 1) {
            self.check_canceled()?;
            matcher.check_unique(key, &group.ones)?;
        }
        for group in order.iter().filter_map(|key| groups.get(key)) {
            self.check_canceled()?;
            matcher.group(group)?;
        }
        self.columns(matcher.results)
    }
}

/// At which steps both vectors have any series: where one is empty nothing is matched, and so nothing is wrong.
fn both_sides(lhs: &Columns, rhs: &Columns, grid: &Grid) -> Vec<bool> {
    let any = |columns: &Columns| {
        let mut any = vec![false; grid.steps];
        for column in &columns.series {
            any.iter_mut().zip(&column.values).for_each(|(a, v)| *a |= is_present(*v));
        }
        any
    };
    any(lhs).into_iter().zip(any(rhs)).map(|(l, r)| l && r).collect()
}

struct VectorMatch<'a> {
    binary: &'a Binary,
    swapped: bool,
    both: Vec<bool>,
    known: HashMap<Labels, usize>,
    results: Vec<Column>,
}

impl VectorMatch<'_> {
    fn check_unique(&self, key: &Labels, ones: &[&Column]) -> Result<(), QueryError> {
        let mut seen: Vec<Option<&Column>> = vec![None; self.both.len()];
        for column in ones {
            for ((seen, value), both) in seen.iter_mut().zip(&column.values).zip(&self.both) {
                if !both || !is_present(*value) {
                    continue;
                }
                if let Some(first) = seen {
                    let side = if self.swapped { "left" } else { "right" };
                    return Err(QueryError::Execution(format!(
                        "found duplicate series for the match group {key} on the {side} hand-side of the operation: \
                         [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
                        column.labels, first.labels
                    )));
                }
                *seen = Some(column);
            }
        }
        Ok(())
    }

    fn group(&mut self, group: &MatchGroup<'_>) -> Result<(), QueryError> {
        let one_to_one = self.binary.matching.cardinality == Cardinality::OneToOne;
        // Which steps already have a match: of the whole group, or of each result when there may be many.
        let mut matched: HashMap<Labels, Vec<bool>> = HashMap::new();
        for many in &group.manys {
            for one in group.ones.iter().filter(|one| group.ones.len() == 1 || meet(many, one)) {
                let labels = self.result_labels(&many.labels, &one.labels);
                if group.manys.len() > 1 {
                    let key = if one_to_one { Labels::empty() } else { labels.clone() };
                    let matched = matched.entry(key).or_insert_with(|| vec![false; self.both.len()]);
                    mark(matched, many, one, one_to_one)?;
                }
                self.pair(labels, many, one)?;
            }
        }
        Ok(())
    }

    /// Computes the values of a pair, into the result of that name when another pair had it at other steps.
    fn pair(&mut self, labels: Labels, many: &Column, one: &Column) -> Result<(), QueryError> {
        let (binary, swapped) = (self.binary, self.swapped);
        let computed = many.values.iter().zip(&one.values).map(|(many, one)| {
            if !is_present(*many) || !is_present(*one) {
                return ABSENT;
            }
            let (a, b) = if swapped { (*one, *many) } else { (*many, *one) };
            outcome(binary, a, b, a)
        });
        let Some(known) = self.known.get(&labels).and_then(|index| self.results.get_mut(*index)) else {
            let values = computed.collect();
            self.known.insert(labels.clone(), self.results.len());
            self.results.push(Column { labels, values });
            return Ok(());
        };
        for (into, value) in known.values.iter_mut().zip(computed).filter(|(_, value)| is_present(*value)) {
            if is_present(*into) {
                return Err(QueryError::Execution("vector cannot contain metrics with the same labelset".to_owned()));
            }
            *into = value;
        }
        Ok(())
    }

    fn result_labels(&self, many: &Labels, one: &Labels) -> Labels {
        let mut labels = many.to_builder();
        if drops_name(self.binary) {
            labels.remove(METRIC_NAME);
        }
        let matching = &self.binary.matching;
        match &matching.cardinality {
            Cardinality::OneToOne => match &matching.on {
                Grouping::Only(names) => {
                    labels.retain(|name, _| names.iter().any(|n| n == name));
                }
                Grouping::Except(names) => {
                    labels.retain(|name, _| !names.iter().any(|n| n == name));
                }
            },
            Cardinality::ManyToOne(include) | Cardinality::OneToMany(include) => {
                for name in include {
                    labels.set(name.as_str(), one.get(name).unwrap_or(""));
                }
            }
        }
        labels.build()
    }
}

/// Whether both have a value at the same step: most pairs of a group with restarts do not.
fn meet(many: &Column, one: &Column) -> bool {
    many.values.iter().zip(&one.values).any(|(many, one)| is_present(*many) && is_present(*one))
}

/// Notes at which steps a pair matches, and refuses the second match at one.
fn mark(matched: &mut [bool], many: &Column, one: &Column, one_to_one: bool) -> Result<(), QueryError> {
    let text = match one_to_one {
        true => "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
        false => "multiple matches for labels: grouping labels must ensure unique matches",
    };
    for ((matched, many), one) in matched.iter_mut().zip(&many.values).zip(&one.values) {
        if !is_present(*many) || !is_present(*one) {
            continue;
        }
        if *matched {
            return Err(QueryError::Execution(text.to_owned()));
        }
        *matched = true;
    }
    Ok(())
}
