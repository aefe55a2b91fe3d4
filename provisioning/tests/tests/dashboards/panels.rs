//! What must hold for each panel, and for the panels of a board beside each other.

use std::collections::BTreeSet;

use crate::fields::{ColorMode, FieldConfig, Matcher, Property};
use crate::lint::unknown_source;
use crate::schema::{Board, DataSourceRef, GridPos, Panel, PanelKind, Target, Transformation};

/// Columns of Grafana's grid.
const COLUMNS: u32 = 24;

/// Of Grafana's units, those that mean what the boards show. `suffix:…` is a unit of one's own.
const UNITS: [&str; 12] = [
    "none",
    "short",
    "percent",
    "percentunit",
    "bytes",
    "binBps",
    "s",
    "dtdurations",
    "cps",
    "reqps",
    "pps",
    "bool_yes_no",
];

/// What is wrong with the panels of a board.
pub fn complaints(board: &Board, sources: &BTreeSet<DataSourceRef>) -> Vec<String> {
    let panels = &board.dashboard.panels;
    let mut found = Vec::new();
    for (position, panel) in panels.iter().enumerate() {
        let named = |why: String| format!("{}: {why}", panel.title);
        found.extend(of_one(panel, sources).into_iter().map(named));
        for other in &panels[..position] {
            if other.id == panel.id {
                found.push(named(format!("the id {} is that of {} too", panel.id, other.title)));
            }
            if overlap(other.grid_pos, panel.grid_pos) {
                found.push(named(format!("it lies over {}", other.title)));
            }
        }
    }
    found
}

fn overlap(a: GridPos, b: GridPos) -> bool {
    a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h
}

fn of_one(panel: &Panel, sources: &BTreeSet<DataSourceRef>) -> Vec<String> {
    let mut found = Vec::new();
    let GridPos { w, h, x, .. } = panel.grid_pos;
    if w == 0 || h == 0 || x + w > COLUMNS {
        found.push(format!("{w} columns from column {x} and {h} lines do not fit"));
    }
    if panel.title.is_empty() {
        found.push("it has no title".to_owned());
    }
    if panel.has_data() {
        if panel.description.as_deref().is_none_or(str::is_empty) {
            found.push("it has no description".to_owned());
        }
        found.extend(queried(panel, sources));
        found.extend(shown(panel));
    }
    found
}

/// Its data source, and that its queries are such as that understands.
fn queried(panel: &Panel, sources: &BTreeSet<DataSourceRef>) -> Vec<String> {
    let Some(source) = &panel.datasource else { return vec!["it has no data source".to_owned()] };
    let mut found = Vec::new();
    if !sources.contains(source) {
        found.push(unknown_source(source));
    }
    if panel.targets.is_empty() {
        found.push("it asks nothing".to_owned());
    }
    let mut references = BTreeSet::new();
    for target in &panel.targets {
        let (reference, kind) = match target {
            Target::Prometheus(target) => (&target.ref_id, "prometheus"),
            Target::Influx(target) => (&target.ref_id, "influxdb"),
        };
        if !references.insert(reference) {
            found.push(format!("two queries are called {reference}"));
        }
        if kind != source.kind {
            found.push(format!("{reference} is a query for {kind}"));
        }
        found.extend(wrong_alias(target));
    }
    found
}

/// An alias names tags that the query groups by.
fn wrong_alias(target: &Target) -> Option<String> {
    let Target::Influx(target) = target else { return None };
    let tag = target.alias.strip_prefix("$tag_");
    let grouped =
        |tag: &str| target.query.rsplit("GROUP BY").next().unwrap_or_default().contains(&format!("\"{tag}\""));
    let right = tag.is_some_and(grouped) && target.raw_query;
    (!right).then(|| format!("the alias {} is no tag that {} groups by", target.alias, target.ref_id))
}

/// Unit, colours, and that overrides meet something.
fn shown(panel: &Panel) -> Vec<String> {
    let Some(config) = &panel.field_config else { return vec!["it has no unit".to_owned()] };
    let mut found = Vec::new();
    let overridden = config.overrides.iter().flat_map(|override_| &override_.properties);
    let units = overridden.filter_map(|property| match property {
        Property::Unit(unit) => Some(Some(unit.as_str())),
        _ => None,
    });
    for unit in units.chain([config.defaults.unit.as_deref()]) {
        match unit {
            None => found.push("it has no unit".to_owned()),
            Some(unit) if UNITS.contains(&unit) || unit.starts_with("suffix:") => {}
            Some(unit) => found.push(format!("the unit {unit} is none of ours")),
        }
    }
    if panel.kind == PanelKind::Stat && !chosen_colour(&config.defaults) {
        found.push("without thresholds or a colour it turns red at 80".to_owned());
    }
    let columns = columns(panel);
    for override_ in &config.overrides {
        if let Matcher::Name(name) = &override_.matcher
            && !columns.contains(name.as_str())
        {
            found.push(format!("there is no column {name}"));
        }
    }
    found
}

fn chosen_colour(defaults: &FieldConfig) -> bool {
    match &defaults.color {
        Some(color) if color.mode == ColorMode::Thresholds => defaults.thresholds.is_some(),
        Some(color) => color.mode == ColorMode::PaletteClassic || color.fixed_color.is_some(),
        None => false,
    }
}

/// The names that a table gives to its columns.
fn columns(panel: &Panel) -> BTreeSet<&str> {
    let organized = panel.transformations.iter().filter_map(|transformation| match transformation {
        Transformation::Organize(organize) => Some(organize.rename_by_name.values()),
        Transformation::Merge(_) => None,
    });
    organized.flatten().map(String::as_str).collect()
}

/// Where the fields of a panel lead.
pub fn link_urls(panel: &Panel) -> Vec<&str> {
    let overrides = panel.field_config.iter().flat_map(|config| &config.overrides);
    let properties = overrides.flat_map(|override_| &override_.properties);
    let links = properties.filter_map(|property| match property {
        Property::Links(links) => Some(links),
        _ => None,
    });
    links.flatten().map(|link| link.url.as_str()).collect()
}
