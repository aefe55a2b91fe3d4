//! Operators between operands, and the matching of series between vectors.

use collector_model::Labels;
use hashbrown::HashMap;

use super::arithmetic::{compute, holds};
use super::{ABSENT, Column, Columns, Evaluator, Grid, Operand, is_present};
use crate::QueryError;
use crate::expr::{Binary, BinaryOp, Cardinality, Grouping};

impl Evaluator<'_> {
    pub(super) fn binary(
        &self,
        binary: &Binary,
        lhs: Operand,
        rhs: Operand,
        grid: &Grid,
    ) -> Result<Operand, QueryError> {
        self.check_canceled()?;
        match (lhs, rhs) {
            (Operand::Scalar(mut lhs), Operand::Scalar(rhs)) => {
                lhs.iter_mut().zip(&rhs).for_each(|(a, b)| *a = compute(binary.op, *a, *b));
                Ok(Operand::Scalar(lhs))
            }
            (Operand::Vector(vector), Operand::Scalar(scalar)) => {
                with_scalar(binary, vector, &scalar, false).map(Operand::Vector)
            }
            (Operand::Scalar(scalar), Operand::Vector(vector)) => {
                with_scalar(binary, vector, &scalar, true).map(Operand::Vector)
            }
            (Operand::Vector(lhs), Operand::Vector(rhs)) if binary.op.is_set() => {
                self.set_operation(binary, lhs, &rhs, grid).map(Operand::Vector)
            }
            (Operand::Vector(lhs), Operand::Vector(rhs)) => {
                self.match_vectors(binary, &lhs, &rhs, grid).map(Operand::Vector)
            }
            _ => Err(QueryError::Execution("operators do not work on strings".to_owned())),
        }
    }

    fn set_operation(&self, binary: &Binary, lhs: Columns, rhs: &Columns, grid: &Grid) -> Result<Columns, QueryError> {
        let on = &binary.matching.on;
        if binary.op == BinaryOp::Or {
            let taken = presence(&lhs, on, grid);
            let mut series = lhs.series;
            series.extend(rhs.series.iter().map(|column| filtered(column, taken.get(&on.key(&column.labels)), false)));
            return self.columns(series)?.merge_same_labels();
        }
        let there = presence(rhs, on, grid);
        let keep_where_there = binary.op == BinaryOp::And;
        let series = lhs.series.iter().map(|c| filtered(c, there.get(&on.key(&c.labels)), keep_where_there));
        self.columns(series.collect())
    }

    fn match_vectors(&self, binary: &Binary, lhs: &Columns, rhs: &Columns, grid: &Grid) -> Result<Columns, QueryError> {
        // For group_right the sides change places, and values change back when they are computed.
        let swapped = matches!(binary.matching.cardinality, Cardinality::OneToMany(_));
        let (many, one) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
        let mut matcher = VectorMatch {
            binary,
            swapped,
            both: both_sides(lhs, rhs, grid),
            known: HashMap::new(),
            results: Vec::new(),
        };
        let on = &binary.matching.on;
        let mut groups: HashMap<Labels, (Vec<&Column>, Vec<&Column>)> = HashMap::new();
        let mut order = Vec::new();
        for column in &many.series {
            let group = groups.entry(on.key(&column.labels)).or_insert_with_key(|key| {
                order.push(key.clone());
                Default::default()
            });
            group.0.push(column);
        }
        for column in &one.series {
            groups.entry(on.key(&column.labels)).or_default().1.push(column);
        }
        // A doubled "one" side is an error even where nothing matches it.
        for (key, (_, ones)) in &groups {
            matcher.check_unique(key, ones)?;
        }
        for key in order {
            self.check_canceled()?;
            if let Some((manys, ones)) = groups.get(&key)
                && !ones.is_empty()
            {
                matcher.group(manys, ones)?;
            }
        }
        self.columns(matcher.results)
    }
}

/// A vector and a scalar. Comparisons keep the vector's value, on whichever side it stands.
fn with_scalar(
    binary: &Binary,
    mut vector: Columns,
    scalar: &[f64],
    scalar_first: bool,
) -> Result<Columns, QueryError> {
    for column in &mut vector.series {
        for (value, scalar) in column.values.iter_mut().zip(scalar) {
            if is_present(*value) {
                let (a, b) = if scalar_first { (*scalar, *value) } else { (*value, *scalar) };
                *value = outcome(binary, a, b, *value);
            }
        }
    }
    if drops_name(binary) {
        return vector.without_names();
    }
    vector.series.retain(|column| column.values.iter().any(|v| is_present(*v)));
    Ok(vector)
}

fn drops_name(binary: &Binary) -> bool {
    binary.returns_bool || !binary.op.is_comparison()
}

/// The value that a pair gives, [`ABSENT`] where a filter drops it.
fn outcome(binary: &Binary, a: f64, b: f64, kept: f64) -> f64 {
    if !binary.op.is_comparison() || binary.returns_bool {
        compute(binary.op, a, b)
    } else if holds(binary.op, a, b) {
        kept
    } else {
        ABSENT
    }
}

/// At which steps each group has a series.
fn presence(columns: &Columns, on: &Grouping, grid: &Grid) -> HashMap<Labels, Vec<bool>> {
    let mut groups: HashMap<Labels, Vec<bool>> = HashMap::new();
    for column in &columns.series {
        let present = groups.entry(on.key(&column.labels)).or_insert_with(|| vec![false; grid.steps]);
        present.iter_mut().zip(&column.values).for_each(|(p, v)| *p |= is_present(*v));
    }
    groups
}

/// The column with the values at steps where `mask` is `keep`; a missing mask is false everywhere.
fn filtered(column: &Column, mask: Option<&Vec<bool>>, keep: bool) -> Column {
    let values = match mask {
        Some(mask) => column.values.iter().zip(mask).map(|(v, m)| if *m == keep { *v } else { ABSENT }).collect(),
        None if keep => Vec::new(),
        None => column.values.clone(),
    };
    Column { labels: column.labels.clone(), values }
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
        let [_, _, ..] = ones else { return Ok(()) };
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

    /// Matches the series of one group. The "one" side has at most one of them at each step.
    fn group(&mut self, manys: &[&Column], ones: &[&Column]) -> Result<(), QueryError> {
        let one_to_one = self.binary.matching.cardinality == Cardinality::OneToOne;
        // Which steps already have a match: of the whole group, or of each result when there may be many.
        let mut matched: HashMap<Labels, Vec<bool>> = HashMap::new();
        for many in manys {
            for one in ones {
                let labels = self.result_labels(&many.labels, &one.labels);
                if manys.len() > 1 {
                    let key = if one_to_one { Labels::empty() } else { labels.clone() };
                    let matched = matched.entry(key).or_insert_with(|| vec![false; self.both.len()]);
                    mark(matched, many, one, one_to_one)?;
                }
                self.pair(labels, many, one)?;
            }
        }
        Ok(())
    }

    fn pair(&mut self, labels: Labels, many: &Column, one: &Column) -> Result<(), QueryError> {
        let (binary, swapped) = (self.binary, self.swapped);
        let computed = many.values.iter().zip(&one.values).map(|(many, one)| {
            if !is_present(*many) || !is_present(*one) {
                return ABSENT;
            }
            let (a, b) = if swapped { (*one, *many) } else { (*many, *one) };
            outcome(binary, a, b, a)
        });
        let values: Vec<f64> = computed.collect();
        let Some(known) = self.known.get(&labels).and_then(|index| self.results.get_mut(*index)) else {
            self.known.insert(labels.clone(), self.results.len());
            self.results.push(Column { labels, values });
            return Ok(());
        };
        for (into, value) in known.values.iter_mut().zip(values) {
            if !is_present(value) {
                continue;
            }
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
            labels.remove(collector_model::METRIC_NAME);
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

fn mark(matched: &mut [bool], many: &Column, one: &Column, one_to_one: bool) -> Result<(), QueryError> {
    for ((matched, many), one) in matched.iter_mut().zip(&many.values).zip(&one.values) {
        if !is_present(*many) || !is_present(*one) {
            continue;
        }
        if *matched {
            return Err(QueryError::Execution(
                match one_to_one {
                    true => {
                        "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                    }
                    false => "multiple matches for labels: grouping labels must ensure unique matches",
                }
                .to_owned(),
            ));
        }
        *matched = true;
    }
    Ok(())
}
