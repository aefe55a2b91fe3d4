//! `status/…`: configuration, flags, build, runtime and window.

use std::fmt::Write;

use axum::extract::State;
use axum::response::Response;
use collector_tsdb::Ranked;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::error::{ApiError, success_value};
use super::params::Params;
use crate::Shared;

/// The Prometheus version whose API and query semantics are spoken. Grafana reads it to decide what it may ask.
const SPOKEN_VERSION: &str = "3.5.0";

/// `/api/v1/status/config`
pub async fn config(State(shared): State<Shared>) -> Response {
    success_value(&json!({ "yaml": shared.reload.loaded_text() }))
}

/// `/api/v1/status/flags`
pub async fn flags(State(shared): State<Shared>) -> Response {
    success_value(&shared.flags.listing())
}

/// `/api/v1/status/buildinfo`
pub async fn build_info() -> Response {
    success_value(&json!({
        "application": "atalaia-collector",
        "applicationVersion": env!("CARGO_PKG_VERSION"),
        "version": SPOKEN_VERSION,
        "revision": "",
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }))
}

/// `/api/v1/status/runtimeinfo`
pub async fn runtime_info(State(shared): State<Shared>) -> Response {
    let status = shared.window.status(0);
    let (ok, at_ms) = shared.reload.last_outcome();
    success_value(&json!({
        "startTime": rfc3339(shared.started_ms),
        "CWD": std::env::current_dir().map(|d| d.display().to_string()).unwrap_or_default(),
        "hostname": crate::process::hostname(),
        "serverTime": rfc3339(shared.clock.now_ms()),
        "reloadConfigSuccess": ok,
        "lastConfigTime": rfc3339(at_ms),
        "timeSeriesCount": status.series,
        "storageRetention": shared.flags.retention_time.to_string(),
        "goroutineCount": 0,
        "GOMAXPROCS": 0,
        "GOMEMLIMIT": 0,
        "GOGC": "",
        "GODEBUG": "",
    }))
}

/// `/api/v1/status/tsdb`
pub async fn tsdb(State(shared): State<Shared>, params: Params) -> Result<Response, ApiError> {
    let limit = params.limit("limit")?.unwrap_or(10).min(10_000);
    let window = shared.window.clone();
    let status = tokio::task::spawn_blocking(move || window.status(limit))
        .await
        .map_err(|_| ApiError::internal("the count ended abnormally; see the log"))?;
    let list =
        |rows: &[Ranked]| rows.iter().map(|row| json!({ "name": row.name, "value": row.value })).collect::<Vec<_>>();
    Ok(success_value(&json!({
        "headStats": {
            "numSeries": status.series,
            "numLabelPairs": status.label_pairs,
            "chunkCount": status.chunks,
            "minTime": status.min_ms.unwrap_or(i64::MAX),
            "maxTime": status.max_ms.unwrap_or(i64::MIN),
        },
        "seriesCountByMetricName": list(&status.series_count_by_metric_name),
        "labelValueCountByLabelName": list(&status.label_value_count_by_label_name),
        "memoryInBytesByLabelName": list(&status.memory_in_bytes_by_label_name),
        "seriesCountByLabelValuePair": list(&status.series_count_by_label_value_pair),
    })))
}

/// `/api/v1/status/walreplay`: the window is open before the API is, so the replay is always over.
pub async fn wal_replay() -> Response {
    success_value(&json!({ "min": 0, "max": 0, "current": 0, "state": "done" }))
}

/// A time as the API's JSON writes it.
pub fn rfc3339(at_ms: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_ms) * 1_000_000)
        .ok()
        .and_then(|t| t.format(&Rfc3339).ok())
        .unwrap_or_else(|| {
            let mut text = String::new();
            let _ = write!(text, "{at_ms} ms");
            text
        })
}

/// The time that stands for "never", as Go writes its zero time.
pub const NEVER: &str = "0001-01-01T00:00:00Z";
