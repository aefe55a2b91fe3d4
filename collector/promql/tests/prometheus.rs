//! The same samples and the same queries, here and in the Prometheus 2.42 that Debian ships.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod corpus;
mod support;

use std::collections::BTreeMap;

use collector_promql::{Engine, Limits, RangeParams, Value};
use provisioning_parts::Prometheus;
use serde_json::Value as Json;
use support::{Data, T0, api, prometheus};

/// A result without its order: for each series, by its labels, its points in milliseconds.
#[derive(Debug, PartialEq)]
enum Outcome {
    Series(BTreeMap<String, Vec<(i64, f64)>>),
    Text(String),
    Failed,
}

/// Half a second off, so that no step of a subquery lies on the edge of its range.
const AT_MS: [i64; 3] = [T0 * 1_000 + 1_800_500, T0 * 1_000 + 2_940_500, T0 * 1_000 + 4_000_500];
const RANGE: RangeParams =
    RangeParams { start_ms: T0 * 1_000 + 240_500, end_ms: T0 * 1_000 + 4_500_500, step_ms: 60_000 };

#[test]
fn agrees_with_prometheus() {
    let data = Data::new();
    let prometheus = prometheus(&data);
    let queries = corpus::queries();
    assert!(queries.len() >= 300, "only {} queries", queries.len());
    let mut wrong = Vec::new();
    for query in &queries {
        wrong.extend(differences(&data, &prometheus, query));
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn differs_only_where_prometheus_3_changed() {
    let data = Data::new();
    let prometheus = prometheus(&data);
    for (query, reason) in corpus::CHANGED_SINCE_2_42 {
        let different = differences(&data, &prometheus, query);
        assert!(!different.is_empty(), "{query} no longer differs: {reason}");
    }
}

/// What is not the same, at each of the times and over the range.
fn differences(data: &Data, prometheus: &Prometheus, query: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for at_ms in AT_MS {
        let (ours, theirs) = (instant(data, query, at_ms), their_instant(prometheus, query, at_ms));
        wrong.extend(difference(&ours, &theirs).map(|d| format!("{query} at {at_ms}: {d}")));
    }
    let (ours, theirs) = (range(data, query), their_range(prometheus, query));
    wrong.extend(difference(&ours, &theirs).map(|d| format!("{query} over the range: {d}")));
    wrong
}

fn instant(data: &Data, query: &str, at_ms: i64) -> Outcome {
    match Engine::default().instant(query, at_ms, &data.memory, &Limits::default()) {
        Ok(result) => outcome(result.value, at_ms),
        Err(_) => Outcome::Failed,
    }
}

fn range(data: &Data, query: &str) -> Outcome {
    match Engine::default().range(query, RANGE, &data.memory, &Limits::default()) {
        Ok(result) => outcome(result.value, 0),
        Err(_) => Outcome::Failed,
    }
}

fn outcome(value: Value, at_ms: i64) -> Outcome {
    let series = match value {
        Value::Scalar(value) => vec![(String::new(), vec![(at_ms, value)])],
        Value::String(text) => return Outcome::Text(text),
        Value::Vector(samples) => samples.into_iter().map(|s| (s.labels.to_string(), vec![(at_ms, s.value)])).collect(),
        Value::Matrix(series) => series
            .into_iter()
            .map(|s| (s.labels.to_string(), s.points.iter().map(|p| (p.timestamp_ms, p.value)).collect()))
            .map(|(labels, points)| (if labels == "{}" { String::new() } else { labels }, points))
            .collect(),
    };
    let series =
        series.into_iter().map(|(labels, points)| (if labels == "{}" { String::new() } else { labels }, points));
    Outcome::Series(series.collect())
}

fn their_instant(prometheus: &Prometheus, query: &str, at_ms: i64) -> Outcome {
    their_outcome(&api(prometheus, "query", &[("query", query), ("time", &seconds(at_ms))]))
}

fn their_range(prometheus: &Prometheus, query: &str) -> Outcome {
    let step = seconds(RANGE.step_ms);
    let (start, end) = (seconds(RANGE.start_ms), seconds(RANGE.end_ms));
    their_outcome(&api(
        prometheus,
        "query_range",
        &[("query", query), ("start", &start), ("end", &end), ("step", &step)],
    ))
}

fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

fn their_outcome(answer: &Json) -> Outcome {
    if answer["status"] != "success" {
        return Outcome::Failed;
    }
    let result = &answer["data"]["result"];
    let points = |series: &Json| match series.get("values") {
        Some(values) => values.as_array().unwrap().iter().map(point).collect(),
        None => vec![point(&series["value"])],
    };
    match answer["data"]["resultType"].as_str().unwrap() {
        "scalar" => Outcome::Series([(String::new(), vec![point(result)])].into()),
        "string" => Outcome::Text(result[1].as_str().unwrap().to_owned()),
        _ => Outcome::Series(
            result.as_array().unwrap().iter().map(|series| (labels(&series["metric"]), points(series))).collect(),
        ),
    }
}

fn labels(metric: &Json) -> String {
    let pairs = metric.as_object().unwrap().iter().map(|(n, v)| (n.as_str(), v.as_str().unwrap()));
    let labels = collector_model::Labels::from_pairs(pairs).to_string();
    if labels == "{}" { String::new() } else { labels }
}

fn point(point: &Json) -> (i64, f64) {
    let value = point[1].as_str().unwrap();
    ((point[0].as_f64().unwrap() * 1_000.0).round() as i64, value.parse().unwrap())
}

fn difference(ours: &Outcome, theirs: &Outcome) -> Option<String> {
    let (Outcome::Series(ours), Outcome::Series(theirs)) = (ours, theirs) else {
        return (ours != theirs).then(|| format!("{ours:?} instead of {theirs:?}"));
    };
    let names = |series: &BTreeMap<String, Vec<(i64, f64)>>| series.keys().cloned().collect::<Vec<_>>();
    if names(ours) != names(theirs) {
        return Some(format!("series {:?} instead of {:?}", names(ours), names(theirs)));
    }
    for (name, our_points) in ours {
        let their_points = &theirs[name];
        if our_points.len() != their_points.len() {
            return Some(format!("{name:?} has {} points instead of {}", our_points.len(), their_points.len()));
        }
        for (ours, theirs) in our_points.iter().zip(their_points) {
            if ours.0 != theirs.0 || !same(ours.1, theirs.1) {
                return Some(format!("{name:?} is {ours:?} instead of {theirs:?}"));
            }
        }
    }
    None
}

/// Equal up to the last digits, as summation differs in them.
fn same(ours: f64, theirs: f64) -> bool {
    ours == theirs
        || (ours.is_nan() && theirs.is_nan())
        || (ours - theirs).abs() <= 1e-12 * ours.abs().max(theirs.abs()).max(1e-3)
}
