//! Functions that rewrite labels.

use collector_model::{Labels, anchored_pattern};
use regex::Regex;

use crate::QueryError;
use crate::eval::{Evaluator, Grid, Operand};
use crate::expr::{Call, Expr};

pub(super) fn replace(evaluator: &Evaluator<'_>, call: &Call, grid: &Grid) -> Result<Operand, QueryError> {
    let [_, dst, replacement, src, pattern] = call.args.as_slice() else { return Err(arguments(call)) };
    let (dst, replacement, src, pattern) = (text(dst), text(replacement), text(src), text(pattern));
    let regex = Regex::new(&anchored_pattern(pattern))
        .map_err(|_| QueryError::Execution(format!("invalid regular expression in label_replace(): {pattern}")))?;
    check_label(call, dst, "destination")?;
    relabel(evaluator, call, grid, |labels| {
        let captures = regex.captures(labels.get(src).unwrap_or(""))?;
        let mut value = String::new();
        captures.expand(replacement, &mut value);
        let mut builder = labels.to_builder();
        builder.set(dst, value);
        Some(builder.build())
    })
}

pub(super) fn join(evaluator: &Evaluator<'_>, call: &Call, grid: &Grid) -> Result<Operand, QueryError> {
    let [_, dst, separator, sources @ ..] = call.args.as_slice() else { return Err(arguments(call)) };
    let (dst, separator) = (text(dst), text(separator));
    check_label(call, dst, "destination")?;
    for source in sources {
        check_label(call, text(source), "source")?;
    }
    relabel(evaluator, call, grid, |labels| {
        let values: Vec<&str> = sources.iter().map(|s| labels.get(text(s)).unwrap_or("")).collect();
        let mut builder = labels.to_builder();
        builder.set(dst, values.join(separator));
        Some(builder.build())
    })
}

fn relabel(
    evaluator: &Evaluator<'_>,
    call: &Call,
    grid: &Grid,
    rewrite: impl Fn(&Labels) -> Option<Labels>,
) -> Result<Operand, QueryError> {
    let mut columns = evaluator.vector_arg(call, 0, grid)?;
    for column in &mut columns.series {
        if let Some(labels) = rewrite(&column.labels) {
            column.labels = labels;
        }
    }
    columns.merge_same_labels().map(Operand::Vector)
}

fn check_label(call: &Call, name: &str, what: &str) -> Result<(), QueryError> {
    if name.is_empty() {
        let function = call.function.name;
        return Err(QueryError::Execution(format!("invalid {what} label name in {function}(): {name}")));
    }
    Ok(())
}

fn text(arg: &Expr) -> &str {
    match arg {
        Expr::String(text) => text,
        _ => "",
    }
}

/// The parser checked types and number of arguments already.
fn arguments(call: &Call) -> QueryError {
    QueryError::Execution(format!("wrong arguments in call to {}", call.function.name))
}
