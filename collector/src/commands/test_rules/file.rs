//! The format of unit test files.

use std::collections::BTreeMap;

use collector_model::{PromDuration, TimestampMs};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// A unit test file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TestFile {
    /// Paths and patterns, from the file's own folder.
    #[serde(default)]
    pub(super) rule_files: Vec<String>,
    #[serde(default = "one_minute")]
    pub(super) evaluation_interval: PromDuration,
    /// Groups in the order in which they are evaluated at each step; those not named come first.
    #[serde(default)]
    pub(super) group_eval_order: Vec<String>,
    /// Whether values may differ in the last bit.
    #[serde(default)]
    pub(super) fuzzy_compare: bool,
    #[serde(default)]
    pub(super) tests: Vec<TestCase>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TestCase {
    #[serde(default)]
    pub(super) name: String,
    /// Between the values of an input series; the evaluation interval where it is not given.
    pub(super) interval: Option<PromDuration>,
    /// Where time begins.
    #[serde(default, deserialize_with = "start_timestamp")]
    pub(super) start_timestamp: TimestampMs,
    #[serde(default)]
    pub(super) input_series: Vec<InputSeries>,
    #[serde(default)]
    pub(super) alert_rule_test: Vec<AlertTest>,
    #[serde(default)]
    pub(super) promql_expr_test: Vec<ExprTest>,
    #[serde(default)]
    pub(super) external_labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) external_url: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputSeries {
    pub(super) series: String,
    pub(super) values: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AlertTest {
    /// Since the start.
    pub(super) eval_time: PromDuration,
    pub(super) alertname: String,
    #[serde(default)]
    pub(super) exp_alerts: Vec<ExpectedAlert>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedAlert {
    #[serde(default)]
    pub(super) exp_labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) exp_annotations: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExprTest {
    pub(super) expr: String,
    /// Since the start.
    pub(super) eval_time: PromDuration,
    #[serde(default)]
    pub(super) exp_samples: Vec<ExpectedSample>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedSample {
    #[serde(default)]
    pub(super) labels: String,
    #[serde(default)]
    pub(super) value: f64,
}

fn one_minute() -> PromDuration {
    PromDuration::from_secs(60)
}

/// Seconds since the epoch, or RFC 3339.
fn start_timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TimestampMs, D::Error> {
    let text = String::deserialize(deserializer)?;
    crate::commands::query::client::parse_time(&text).map_err(D::Error::custom)
}
