//! Operators between operands. Where both are vectors, `matching` finds what belongs together.

use collector_model::Labels;
use hashbrown::HashMap;

use super::arithmetic::{compute, holds};
use super::{ABSENT, Column, Columns, Evaluator, Grid, Operand, is_present};
use crate::QueryError;
use crate::expr::{Binary, BinaryOp, Grouping};

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

pub(super) fn drops_name(binary: &Binary) -> bool {
    binary.returns_bool || !binary.op.is_comparison()
}

/// The value that a pair gives, [`ABSENT`] where a filter drops it.
pub(super) fn outcome(binary: &Binary, a: f64, b: f64, kept: f64) -> f64 {
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
