//! Functions that order an instant vector.

use std::cmp::Ordering;

use crate::QueryError;
use crate::eval::{Column, Evaluator, Grid, Operand};
use crate::expr::{Call, Expr};
use crate::notes::Notes;

pub(super) fn ascending(evaluator: &Evaluator<'_>, call: &Call, grid: &Grid) -> Result<Operand, QueryError> {
    sort(evaluator, call, grid, |a, b| nan_last(value(a), value(b), Ordering::Less))
}

pub(super) fn descending(evaluator: &Evaluator<'_>, call: &Call, grid: &Grid) -> Result<Operand, QueryError> {
    sort(evaluator, call, grid, |a, b| nan_last(value(a), value(b), Ordering::Greater))
}

pub(super) fn by_label(evaluator: &Evaluator<'_>, call: &Call, grid: &Grid) -> Result<Operand, QueryError> {
    sort(evaluator, call, grid, |a, b| compare_labels(call, a, b))
}

pub(super) fn by_label_descending(evaluator: &Evaluator<'_>, call: &Call, grid: &Grid) -> Result<Operand, QueryError> {
    sort(evaluator, call, grid, |a, b| compare_labels(call, b, a))
}

fn sort(
    evaluator: &Evaluator<'_>,
    call: &Call,
    grid: &Grid,
    compare: impl Fn(&Column, &Column) -> Ordering,
) -> Result<Operand, QueryError> {
    let mut columns = evaluator.vector_arg(call, 0, grid)?;
    if evaluator.query_grid().steps > 1 {
        evaluator.note(Notes::sort_in_range_query);
    } else {
        columns.series.sort_by(compare);
    }
    Ok(Operand::Vector(columns))
}

/// The value at the only step.
fn value(column: &Column) -> f64 {
    column.values.first().copied().unwrap_or(f64::NAN)
}

/// Orders numbers so that the smaller one compares as `smaller`, and NaN behind all of them.
pub(crate) fn nan_last(a: f64, b: f64, smaller: Ordering) -> Ordering {
    match a.partial_cmp(&b) {
        Some(Ordering::Less) => smaller,
        Some(Ordering::Greater) => smaller.reverse(),
        Some(Ordering::Equal) => Ordering::Equal,
        None => a.is_nan().cmp(&b.is_nan()),
    }
}

fn compare_labels(call: &Call, a: &Column, b: &Column) -> Ordering {
    for arg in call.args.iter().skip(1) {
        let Expr::String(name) = arg else { continue };
        let order = natural(a.labels.get(name).unwrap_or(""), b.labels.get(name).unwrap_or(""));
        if order != Ordering::Equal {
            return order;
        }
    }
    a.labels.cmp(&b.labels)
}

/// Compares text, runs of digits in it by the number that they are.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    while !a.is_empty() && !b.is_empty() {
        let (left, rest_a) = chunk(a);
        let (right, rest_b) = chunk(b);
        let digits = left.starts_with(|c: char| c.is_ascii_digit()) && right.starts_with(|c: char| c.is_ascii_digit());
        let order = if digits {
            let (l, r) = (left.trim_start_matches('0'), right.trim_start_matches('0'));
            l.len().cmp(&r.len()).then_with(|| l.cmp(r))
        } else {
            left.cmp(right)
        };
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    a.len().cmp(&b.len())
}

/// The leading run of digits, or of anything else.
fn chunk(text: &str) -> (&str, &str) {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_numbers_in_text_by_size() {
        let mut have = ["cpu10", "cpu9", "cpu", "cpu09b", "a"];
        have.sort_by(|a, b| natural(a, b));
        assert_eq!(have, ["a", "cpu", "cpu9", "cpu09b", "cpu10"]);
    }

    #[test]
    fn puts_nan_last_both_ways() {
        let mut have = [f64::NAN, 1.0, 3.0, 2.0];
        have.sort_by(|a, b| nan_last(*a, *b, Ordering::Less));
        assert_eq!(have[..3], [1.0, 2.0, 3.0]);
        have.sort_by(|a, b| nan_last(*a, *b, Ordering::Greater));
        assert_eq!(have[..3], [3.0, 2.0, 1.0]);
        assert!(have[3].is_nan());
    }
}
