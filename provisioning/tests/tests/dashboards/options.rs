//! Of Grafana's model, what each kind of panel has of its own. What has a default there may be left out, and is not
//! listed where no board says otherwise.
#![allow(dead_code, reason = "a field that no check looks at is still held to its type")]

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextOptions {
    pub mode: TextMode,
    pub content: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextMode {
    Markdown,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct StatOptions {
    pub reduce_options: ReduceOptions,
    pub color_mode: StatColor,
    pub graph_mode: StatGraph,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatColor {
    Value,
    None,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatGraph {
    Area,
    None,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReduceOptions {
    pub calcs: Vec<Calc>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Calc {
    LastNotNull,
    Max,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct BarGaugeOptions {
    pub reduce_options: ReduceOptions,
    pub orientation: Orientation,
    pub display_mode: BarDisplay,
    pub show_unfilled: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Orientation {
    Horizontal,
    Vertical,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BarDisplay {
    Basic,
    Gradient,
    Lcd,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeSeriesOptions {
    pub legend: Legend,
    pub tooltip: Tooltip,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Legend {
    pub display_mode: LegendDisplay,
    pub placement: Placement,
    pub show_legend: bool,
    pub calcs: Vec<Calc>,
    pub sort_by: Option<String>,
    pub sort_desc: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LegendDisplay {
    List,
    Table,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Placement {
    Bottom,
    Right,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Tooltip {
    pub mode: TooltipMode,
    pub sort: SortOrder,
    pub max_height: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TooltipMode {
    Single,
    Multi,
    None,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SortOrder {
    Asc,
    Desc,
    None,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct GraphField {
    pub fill_opacity: Option<u8>,
    /// Milliseconds that a line bridges.
    pub span_nulls: Option<u64>,
    pub stacking: Option<Stacking>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stacking {
    pub mode: StackingMode,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StackingMode {
    Normal,
    None,
    Percent,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TableOptions {
    pub show_header: bool,
    pub cell_height: CellHeight,
    pub sort_by: Vec<SortBy>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CellHeight {
    Sm,
    Md,
    Lg,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SortBy {
    pub display_name: String,
    pub desc: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableField {
    pub filterable: bool,
}
