//! Of Grafana's model, how values are shown: units, colours, thresholds, and what differs from column to column.
#![allow(dead_code, reason = "a field that no check looks at is still held to its type")]

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::options::BarDisplay;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldConfigSource {
    pub defaults: FieldConfig,
    pub overrides: Vec<Override>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FieldConfig {
    pub unit: Option<String>,
    pub decimals: Option<u8>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub no_value: Option<String>,
    pub color: Option<FieldColor>,
    pub thresholds: Option<Thresholds>,
    pub mappings: Option<Vec<ValueMap>>,
    pub custom: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FieldColor {
    pub mode: ColorMode,
    pub fixed_color: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColorMode {
    Fixed,
    Thresholds,
    PaletteClassic,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    pub mode: ThresholdsMode,
    pub steps: Vec<Threshold>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThresholdsMode {
    Absolute,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    pub color: String,
    #[serde(deserialize_with = "number_or_null")]
    pub value: Option<f64>,
}

/// `null`, which means from the beginning, has to be written.
fn number_or_null<'de, D: Deserializer<'de>>(input: D) -> Result<Option<f64>, D::Error> {
    Option::deserialize(input)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueMap {
    #[serde(rename = "type")]
    pub kind: MappingKind,
    pub options: BTreeMap<String, MappingResult>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MappingKind {
    Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingResult {
    pub text: Option<String>,
    pub color: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    pub matcher: Matcher,
    pub properties: Vec<Property>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "id", content = "options", deny_unknown_fields)]
pub enum Matcher {
    #[serde(rename = "byName")]
    Name(String),
    #[serde(rename = "byRegexp")]
    Regexp(String),
}

/// One setting of the fields that an override matches.
#[derive(Debug, Deserialize)]
#[serde(tag = "id", content = "value", rename_all = "camelCase", deny_unknown_fields)]
pub enum Property {
    Unit(String),
    Decimals(u8),
    Min(f64),
    Max(f64),
    Mappings(Vec<ValueMap>),
    Links(Vec<DataLink>),
    #[serde(rename = "custom.cellOptions")]
    CellOptions(CellOptions),
    #[serde(rename = "custom.transform")]
    Transform(GraphTransform),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataLink {
    pub title: String,
    pub url: String,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum CellOptions {
    Gauge { mode: BarDisplay },
    ColorText {},
}

#[derive(Debug, Deserialize)]
pub enum GraphTransform {
    #[serde(rename = "negative-Y")]
    NegativeY,
}
