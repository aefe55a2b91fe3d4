//! What must hold for the boards, whatever is in the databases.

use std::collections::{BTreeMap, BTreeSet};

use crate::panels;
use crate::queries::{BUILT_IN, LabelValues, metrics, names, queries};
use crate::schema::{Board, DataSourceRef, LinkKind, Target, Variable, VariableKind};

/// What is wrong with the boards, or with one of them; nothing when all is well.
pub fn complaints(boards: &[Board], sources: &BTreeSet<DataSourceRef>) -> Vec<String> {
    let each = boards.iter().flat_map(|board| {
        let found = [
            identity(board),
            variables(board, sources),
            links(board, boards),
            panels::complaints(board, sources),
            unreadable(board),
        ];
        found.concat().into_iter().map(|complaint| format!("{}: {complaint}", board.stem))
    });
    each.collect()
}

/// The uid follows from the file's name, so two boards never share one, and whoever links knows it.
fn identity(board: &Board) -> Vec<String> {
    let dashboard = &board.dashboard;
    let wanted = format!("atalaia-{}", board.stem);
    let mut found = Vec::new();
    if dashboard.uid != wanted {
        found.push(format!("its uid is {}, not {wanted}", dashboard.uid));
    }
    if dashboard.title.is_empty() || dashboard.description.is_empty() {
        found.push("it lacks a title or a description".to_owned());
    }
    if !(39..=41).contains(&dashboard.schema_version) {
        found.push(format!("schema version {}", dashboard.schema_version));
    }
    found
}

/// Each name that is used is a variable's, each variable is used, and none twice.
fn variables(board: &Board, sources: &BTreeSet<DataSourceRef>) -> Vec<String> {
    let all = &board.dashboard.templating.list;
    let mut defined = BTreeSet::new();
    let mut found = Vec::new();
    for variable in all {
        if !defined.insert(variable.name.as_str()) {
            found.push(format!("the variable {} is there twice", variable.name));
        }
        found.extend(variable_complaint(variable, sources).map(|why| format!("the variable {}: {why}", variable.name)));
    }
    let used = names_used(board);
    let unknown = used.iter().filter(|name| !defined.contains(name.as_str()) && !BUILT_IN.contains(&name.as_str()));
    found.extend(unknown.map(|name| format!("${name} is no variable")));
    let idle = defined.iter().filter(|name| !used.contains(**name));
    found.extend(idle.map(|name| format!("the variable {name} is not used")));
    found
}

fn variable_complaint(variable: &Variable, sources: &BTreeSet<DataSourceRef>) -> Option<String> {
    match (variable.kind, &variable.datasource) {
        (VariableKind::Custom, None) => None,
        (VariableKind::Custom, Some(_)) => Some("a list has no data source".to_owned()),
        (VariableKind::Query, None) => Some("it has no data source".to_owned()),
        (VariableKind::Query, Some(source)) if !sources.contains(source) => Some(unknown_source(source)),
        (VariableKind::Query, Some(source)) if source.kind == "prometheus" => {
            match LabelValues::read(&variable.query) {
                None => Some(format!("{} is no label_values(…)", variable.query)),
                Some(LabelValues { selector, .. }) => selector.and_then(|selector| metrics(selector).err()),
            }
        }
        (VariableKind::Query, Some(_)) => None,
    }
}

pub fn unknown_source(source: &DataSourceRef) -> String {
    format!("the data source {} of type {} is not provisioned", source.uid, source.kind)
}

/// Of queries, of variables' queries and of texts that Grafana fills in. Aliases have names of their own.
fn names_used(board: &Board) -> BTreeSet<String> {
    let dashboard = &board.dashboard;
    let asked = dashboard.templating.list.iter().map(|variable| variable.query.as_str());
    let texts = dashboard.panels.iter().flat_map(|panel| {
        let legends = panel.targets.iter().filter_map(|target| match target {
            Target::Prometheus(target) => target.legend_format.as_deref(),
            Target::Influx(_) => None,
        });
        let description = panel.description.as_deref().into_iter();
        legends.chain(description).chain([panel.title.as_str()]).chain(panels::link_urls(panel))
    });
    let queries = queries(board).into_iter().map(|query| query.text);
    asked.chain(texts).chain(queries).flat_map(names).collect()
}

/// Links lead to boards that are there, and set variables that these have.
fn links(board: &Board, boards: &[Board]) -> Vec<String> {
    let mut found = Vec::new();
    for link in &board.dashboard.links {
        let others = boards.iter().filter(|other| other.stem != board.stem);
        match (&link.kind, &link.url) {
            (LinkKind::Dashboards, None) => {
                let reached = others.filter(|other| link.tags.iter().all(|tag| other.dashboard.tags.contains(tag)));
                if link.tags.is_empty() || reached.count() == 0 {
                    found.push(format!("the link {} finds no board with the tags {:?}", link.title, link.tags));
                }
            }
            (LinkKind::Link, Some(url)) => found.extend(dangling(url, boards)),
            _ => found.push(format!("the link {} has the fields of another kind", link.title)),
        }
    }
    let urls = board.dashboard.panels.iter().flat_map(panels::link_urls);
    found.extend(urls.filter_map(|url| dangling(url, boards)));
    found
}

fn dangling(url: &str, boards: &[Board]) -> Option<String> {
    let Some(path) = url.strip_prefix("/d/") else { return Some(format!("{url} leads to no board")) };
    let (uid, query) = path.split_once('?').unwrap_or((path, ""));
    let uid = uid.split('/').next().unwrap_or_default();
    let Some(board) = boards.iter().find(|board| board.dashboard.uid == uid) else {
        return Some(format!("{url} leads to a board that is not there"));
    };
    let set = query.split('&').filter_map(|part| part.split('=').next()?.strip_prefix("var-"));
    let has = |name: &str| board.dashboard.templating.list.iter().any(|variable| variable.name == name);
    set.into_iter().find(|name| !has(name)).map(|name| format!("{url} sets {name}, which {} does not have", board.stem))
}

/// PromQL that does not parse.
fn unreadable(board: &Board) -> Vec<String> {
    read(board).into_iter().filter_map(|(place, read)| read.err().map(|why| format!("{place}: {why}"))).collect()
}

/// What the PromQL of a board and of its variables reads, by place.
fn read(board: &Board) -> Vec<(String, Result<BTreeSet<String>, String>)> {
    let queries = queries(board).into_iter().filter(|query| query.source.kind == "prometheus");
    let of_panels = queries.map(|query| (query.place, metrics(query.text)));
    let variables = board.dashboard.templating.list.iter();
    let of_variables = variables.filter_map(|variable| {
        let selector = LabelValues::read(&variable.query)?.selector?;
        Some((format!("the variable {}", variable.name), metrics(selector)))
    });
    of_panels.chain(of_variables).collect()
}

/// Names in the boards' PromQL that no program gives, with the places that use them.
pub fn unknown_metrics(boards: &[Board], known: &BTreeSet<String>) -> BTreeMap<String, Vec<String>> {
    let mut unknown = BTreeMap::<String, Vec<String>>::new();
    for (place, names) in boards.iter().flat_map(read) {
        for name in names.unwrap_or_default().into_iter().filter(|name| !known.contains(name)) {
            unknown.entry(name).or_default().push(place.clone());
        }
    }
    unknown
}
