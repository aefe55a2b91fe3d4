//! From text to the tree that is evaluated.

mod guard;
mod lower;

use collector_model::Matcher;

use crate::QueryError;
use crate::expr::Expr;

/// What the caller lets an expression use.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dialect {
    /// Functions and aggregations that Prometheus hides behind a feature flag.
    pub experimental: bool,
}

/// Reads and checks an expression.
pub(crate) fn parse(query: &str, dialect: Dialect) -> Result<Expr, QueryError> {
    lower::lower(parse_tree(query)?, dialect).map_err(parse_error)
}

/// Reads a selector such as `up{job="a"}`, as `match[]` of the API and federation take it.
///
/// # Errors
/// [`QueryError::Parse`] when the text is not a plain instant selector, or could match every series.
pub fn parse_selector(selector: &str) -> Result<Vec<Matcher>, QueryError> {
    match parse(selector, Dialect::default())? {
        Expr::Vector(selector) if selector.at.is_none() && selector.offset_ms == 0 => Ok(selector.matchers),
        _ => Err(parse_error("expected a plain series selector".to_owned())),
    }
}

/// Prints an expression in the canonical form, broken over lines where it is long.
///
/// # Errors
/// [`QueryError::Parse`] when it is malformed.
pub fn format(query: &str) -> Result<String, QueryError> {
    Ok(parse_tree(query)?.prettify())
}

fn parse_tree(query: &str) -> Result<promql_parser::parser::Expr, QueryError> {
    let text = guard::normalize(query).map_err(parse_error)?;
    promql_parser::parser::parse(&text).map_err(|reason| parse_error(reworded(&reason)))
}

/// The grammar's reasons with the types named as Prometheus names them.
fn reworded(reason: &str) -> String {
    match reason {
        "invalid promql query" => "unexpected token in the expression".to_owned(),
        typed if typed.starts_with("expected type") || typed.contains("only allowed on") => typed
            .replace(" matrix", " range vector")
            .replace(" vector", " instant vector")
            .replace("range instant vector", "range vector")
            .replace('\'', "\""),
        other => other.to_owned(),
    }
}

fn parse_error(reason: String) -> QueryError {
    QueryError::Parse(format!("parse error: {reason}"))
}
