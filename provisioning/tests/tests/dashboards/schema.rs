//! The part of Grafana's dashboard model that the boards use, after the types of its package `@grafana/schema` (11.6,
//! schema version 41): a field that is not there, or is of another type, does not parse.
#![allow(dead_code, reason = "a field that no check looks at is still held to its type")]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::fields::FieldConfigSource;
use crate::options::{
    BarGaugeOptions, GraphField, StatOptions, TableField, TableOptions, TextOptions, TimeSeriesOptions,
};

/// A board as its file has it, and the name of that file without `.json`.
#[derive(Debug)]
pub struct Board {
    pub stem: String,
    pub dashboard: Dashboard,
}

impl Board {
    /// Reads one. What is wrong is told with its line, or with its panel.
    pub fn read(stem: &str, text: &str) -> Result<Self, String> {
        let dashboard: Dashboard = serde_json::from_str(text).map_err(|e| format!("{stem}: {e}"))?;
        for panel in &dashboard.panels {
            panel.check_kind().map_err(|e| format!("{stem}: {}: {e}", panel.title))?;
        }
        Ok(Self { stem: stem.to_owned(), dashboard })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Dashboard {
    pub uid: String,
    pub title: String,
    pub description: String,
    pub tags: Vec<String>,
    pub schema_version: u32,
    pub editable: bool,
    pub graph_tooltip: u8,
    pub timezone: String,
    pub refresh: String,
    pub time: TimeRange,
    pub links: Vec<DashboardLink>,
    pub templating: Templating,
    pub panels: Vec<Panel>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeRange {
    pub from: String,
    pub to: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DashboardLink {
    #[serde(rename = "type")]
    pub kind: LinkKind,
    pub title: String,
    pub tooltip: String,
    pub tags: Vec<String>,
    pub url: Option<String>,
    pub icon: String,
    pub as_dropdown: bool,
    pub include_vars: bool,
    pub keep_time: bool,
    pub target_blank: bool,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkKind {
    Link,
    Dashboards,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Templating {
    pub list: Vec<Variable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Variable {
    pub name: String,
    pub label: String,
    #[serde(rename = "type")]
    pub kind: VariableKind,
    pub datasource: Option<DataSourceRef>,
    pub query: String,
    pub refresh: Option<u8>,
    pub sort: Option<u8>,
    #[serde(default)]
    pub multi: bool,
    #[serde(default)]
    pub include_all: bool,
    pub all_value: Option<String>,
    pub current: VariableOption,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VariableKind {
    Query,
    Custom,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariableOption {
    pub text: OneOrMany,
    pub value: OneOrMany,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub fn first(&self) -> &str {
        match self {
            Self::One(one) => one,
            Self::Many(many) => many.first().map_or("", String::as_str),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSourceRef {
    #[serde(rename = "type")]
    pub kind: String,
    pub uid: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Panel {
    pub id: u32,
    #[serde(rename = "type")]
    pub kind: PanelKind,
    pub title: String,
    pub grid_pos: GridPos,
    pub description: Option<String>,
    pub datasource: Option<DataSourceRef>,
    #[serde(default)]
    pub targets: Vec<Target>,
    pub field_config: Option<FieldConfigSource>,
    #[serde(default)]
    pub transformations: Vec<Transformation>,
    pub options: Option<Value>,
    /// Of a row.
    pub collapsed: Option<bool>,
    /// Of a row that is collapsed, which no row here is.
    pub panels: Option<[Value; 0]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PanelKind {
    Row,
    Text,
    Timeseries,
    Stat,
    Table,
    Bargauge,
}

impl Panel {
    /// Whether it shows data.
    pub fn has_data(&self) -> bool {
        !matches!(self.kind, PanelKind::Row | PanelKind::Text)
    }

    /// Reads what depends on the kind of panel.
    fn check_kind(&self) -> Result<(), String> {
        let options = self.options.clone().unwrap_or(Value::Null);
        match self.kind {
            PanelKind::Row if self.options.is_none() && self.collapsed == Some(false) => Ok(()),
            PanelKind::Row => Err("a row has no options, and is not collapsed".to_owned()),
            PanelKind::Text => typed::<TextOptions>("options", options),
            PanelKind::Stat => typed::<StatOptions>("options", options),
            PanelKind::Bargauge => typed::<BarGaugeOptions>("options", options),
            PanelKind::Timeseries => {
                typed::<TimeSeriesOptions>("options", options)?;
                self.custom().map_or(Ok(()), |custom| typed::<GraphField>("custom", custom))
            }
            PanelKind::Table => {
                typed::<TableOptions>("options", options)?;
                self.custom().map_or(Ok(()), |custom| typed::<TableField>("custom", custom))
            }
        }
    }

    fn custom(&self) -> Option<Value> {
        self.field_config.as_ref()?.defaults.custom.clone()
    }
}

fn typed<T: DeserializeOwned>(what: &str, value: Value) -> Result<(), String> {
    serde_json::from_value::<T>(value).map(drop).map_err(|e| format!("{what}: {e}"))
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GridPos {
    pub h: u32,
    pub w: u32,
    pub x: u32,
    pub y: u32,
}

/// A query: whether it is PromQL or InfluxQL is told by its fields.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Value")]
pub enum Target {
    Prometheus(PrometheusTarget),
    Influx(InfluxTarget),
}

impl TryFrom<Value> for Target {
    type Error = serde_json::Error;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        match value.get("expr") {
            Some(_) => serde_json::from_value(value).map(Self::Prometheus),
            None => serde_json::from_value(value).map(Self::Influx),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PrometheusTarget {
    pub ref_id: String,
    pub expr: String,
    pub legend_format: Option<String>,
    pub format: Option<PrometheusFormat>,
    #[serde(default)]
    pub instant: bool,
    pub range: Option<bool>,
    pub interval: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrometheusFormat {
    TimeSeries,
    Table,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct InfluxTarget {
    pub ref_id: String,
    pub query: String,
    pub raw_query: bool,
    pub result_format: InfluxFormat,
    pub alias: String,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InfluxFormat {
    TimeSeries,
    Table,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "id", content = "options", rename_all = "camelCase", deny_unknown_fields)]
pub enum Transformation {
    Merge(Nothing),
    Organize(Organize),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Organize {
    pub exclude_by_name: BTreeMap<String, bool>,
    pub index_by_name: BTreeMap<String, u32>,
    pub rename_by_name: BTreeMap<String, String>,
}
