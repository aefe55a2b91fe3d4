//! `targets`, `targets/metadata`, `scrape_pools`, `metadata`.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::error::{ApiError, success_value};
use super::params::Params;
use super::rules::object;
use super::status::{NEVER, rfc3339};
use crate::Shared;

/// `/api/v1/targets`
pub async fn targets(State(shared): State<Shared>, params: Params) -> Result<Response, ApiError> {
    let state = params.get("state").unwrap_or("any").to_ascii_lowercase();
    if !matches!(state.as_str(), "active" | "dropped" | "any") {
        return Err(ApiError::bad_parameter("state", "it must be active, dropped or any"));
    }
    let asked_pool = params.get("scrapePool");
    let wanted = |pool: &str| asked_pool.is_none_or(|asked| asked == pool);
    let targets = shared.scrapes.targets();
    let active: Vec<Value> = targets
        .active
        .iter()
        .filter(|t| state != "dropped" && wanted(&t.scrape_pool))
        .map(|target| {
            json!({
                "discoveredLabels": object(&target.discovered_labels),
                "labels": object(&target.labels),
                "scrapePool": target.scrape_pool,
                "scrapeUrl": target.scrape_url,
                "globalUrl": target.global_url,
                "lastError": target.last_error.as_deref().unwrap_or(""),
                "lastScrape": target.last_scrape_ms.map_or_else(|| NEVER.to_owned(), rfc3339),
                "lastScrapeDuration": target.last_duration.as_secs_f64(),
                "health": target.health.as_str(),
                "scrapeInterval": duration(target.interval),
                "scrapeTimeout": duration(target.timeout),
            })
        })
        .collect();
    let dropped: Vec<Value> = targets
        .dropped
        .iter()
        .filter(|t| state != "active" && wanted(&t.scrape_pool))
        .map(
            |target| json!({ "discoveredLabels": object(&target.discovered_labels), "scrapePool": target.scrape_pool }),
        )
        .collect();
    Ok(success_value(&json!({
        "activeTargets": active,
        "droppedTargets": dropped,
        "droppedTargetCounts": targets.dropped_counts,
    })))
}

fn duration(span: std::time::Duration) -> String {
    collector_model::PromDuration(span).to_string()
}

/// `/api/v1/scrape_pools`
pub async fn scrape_pools(State(shared): State<Shared>) -> Response {
    let targets = shared.scrapes.targets();
    let mut pools: Vec<String> = targets.active.into_iter().map(|t| t.scrape_pool).collect();
    pools.extend(targets.dropped_counts.into_keys());
    pools.sort();
    pools.dedup();
    success_value(&json!({ "scrapePools": pools }))
}

/// `/api/v1/targets/metadata`
pub async fn target_metadata(State(shared): State<Shared>, params: Params) -> Result<Response, ApiError> {
    let matchers = match params.get("match_target") {
        Some(text) => collector_promql::parse_selector(text)
            .map_err(|e| ApiError::bad_parameter("match_target", &e.to_string()))?,
        None => Vec::new(),
    };
    let metric = params.get("metric");
    let limit = params.limit("limit")?.unwrap_or(usize::MAX);
    let found: Vec<Value> = shared
        .scrapes
        .metadata()
        .into_iter()
        .filter(|m| metric.is_none_or(|asked| asked == m.metric))
        .filter(|m| matchers.iter().all(|matcher| matcher.matches_labels(&m.target)))
        .take(limit)
        .map(|m| {
            let mut said = Map::new();
            let mut set = |name: &str, value: Value| said.insert(name.to_owned(), value);
            set("target", object(&m.target));
            // Who asks for one metric knows its name.
            if metric.is_none() {
                set("metric", json!(m.metric));
            }
            set("type", json!(m.metadata.kind));
            set("help", json!(m.metadata.help));
            set("unit", json!(m.metadata.unit));
            Value::Object(said)
        })
        .collect();
    Ok(success_value(&found))
}

/// `/api/v1/metadata`: what all targets together say of each metric.
pub async fn metadata(State(shared): State<Shared>, params: Params) -> Result<Response, ApiError> {
    let asked = params.get("metric");
    let limit = params.limit("limit")?.unwrap_or(usize::MAX);
    let per_metric = params.limit("limit_per_metric")?.unwrap_or(usize::MAX);
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for entry in shared.scrapes.metadata() {
        if asked.is_some_and(|asked| asked != entry.metric)
            || (found.len() >= limit && !found.contains_key(&entry.metric))
        {
            continue;
        }
        let said = json!({ "type": entry.metadata.kind, "help": entry.metadata.help, "unit": entry.metadata.unit });
        let list = found.entry(entry.metric).or_default();
        if list.len() < per_metric && !list.contains(&said) {
            list.push(said);
        }
    }
    Ok(success_value(&found))
}
