//! The queries of the boards: where each stands, which variables it uses, which series it reads.

use std::collections::BTreeSet;
use std::convert::Infallible;

use promql_parser::parser::{Expr, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};

use crate::schema::{Board, DataSourceRef, Panel, PrometheusFormat, Target};

/// What Grafana puts into queries and links by itself.
pub const BUILT_IN: [&str; 6] =
    ["__interval", "__rate_interval", "__range", "timeFilter", "__value.raw", "__url_time_range"];

/// One query of a panel.
pub struct Query<'a> {
    /// Board, panel and query, for who reads about it.
    pub place: String,
    pub source: &'a DataSourceRef,
    pub language: Language,
    pub text: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Evaluated at the end of the time range, or at each step of it.
    PromQl {
        instant: bool,
    },
    InfluxQl,
}

/// Every query of the board that its panel sends somewhere.
pub fn queries(board: &Board) -> Vec<Query<'_>> {
    let panels = board.dashboard.panels.iter();
    let sent = panels.filter_map(|panel| Some((panel, panel.datasource.as_ref()?)));
    sent.flat_map(|(panel, source)| panel.targets.iter().map(move |target| query(board, panel, source, target)))
        .collect()
}

fn query<'a>(board: &'a Board, panel: &'a Panel, source: &'a DataSourceRef, target: &'a Target) -> Query<'a> {
    let (reference, language, text) = match target {
        Target::Prometheus(target) => {
            let instant = target.instant || target.format == Some(PrometheusFormat::Table);
            (&target.ref_id, Language::PromQl { instant }, &target.expr)
        }
        Target::Influx(target) => (&target.ref_id, Language::InfluxQl, &target.query),
    };
    let place = format!("{}: {}: {reference}", board.stem, panel.title);
    Query { place, source, language, text }
}

/// Puts a value in place of each `$name`, `${name}` and `${name:format}`. `value` gives nothing for a name that is
/// none; that name is the error.
pub fn substituted(text: &str, mut value: impl FnMut(&str) -> Option<String>) -> Result<String, String> {
    let mut done = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        done += before;
        let (name, tail) = match after.strip_prefix('{').and_then(|inside| inside.split_once('}')) {
            Some((inside, tail)) => (inside.split(':').next().unwrap_or_default(), tail),
            None => after.split_at(after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len())),
        };
        match name {
            "" => done.push('$'),
            name => done += &value(name).ok_or_else(|| name.to_owned())?,
        }
        rest = tail;
    }
    Ok(done + rest)
}

/// The names that a text uses, those of Grafana's own among them.
pub fn names(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let none = |name: &str| {
        found.insert(name.to_owned());
        Some(String::new())
    };
    substituted(text, none).map(|_| found).unwrap_or_default()
}

/// Reads PromQL with its variables still in it; gives the names of the series that it reads.
pub fn metrics(text: &str) -> Result<BTreeSet<String>, String> {
    // Fits a duration, a number and a string alike.
    let stand_in = |name: &str| Some(if name.starts_with("__") { "1m" } else { "1" }.to_owned());
    let expression = promql_parser::parser::parse(&substituted(text, stand_in)?)?;
    let mut selectors = Names(BTreeSet::new());
    match walk_expr(&mut selectors, &expression) {
        Ok(_) => Ok(selectors.0),
    }
}

struct Names(BTreeSet<String>);

impl Names {
    /// A selector without a name has none that could be looked up, which no query here needs.
    fn add(&mut self, selector: &VectorSelector) {
        self.0.insert(selector.name.clone().unwrap_or_else(|| "a selector without a name".to_owned()));
    }
}

impl ExprVisitor for Names {
    type Error = Infallible;

    fn pre_visit(&mut self, expression: &Expr) -> Result<bool, Infallible> {
        match expression {
            Expr::VectorSelector(selector) => self.add(selector),
            Expr::MatrixSelector(selector) => self.add(&selector.vs),
            _ => {}
        }
        Ok(true)
    }
}

/// A variable's query to a Prometheus data source: `label_values(LABEL)` or `label_values(SELECTOR, LABEL)`.
pub struct LabelValues<'a> {
    pub selector: Option<&'a str>,
    pub label: &'a str,
}

impl<'a> LabelValues<'a> {
    pub fn read(text: &'a str) -> Option<Self> {
        let inside = text.strip_prefix("label_values(")?.strip_suffix(')')?;
        let (selector, label) = match inside.rsplit_once(',') {
            Some((selector, label)) => (Some(selector.trim()), label.trim()),
            None => (None, inside.trim()),
        };
        let plain = !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        plain.then_some(Self { selector, label })
    }
}
