//! The Prometheus HTTP API v1, the lifecycle endpoints and the remote-write receiver. One file an endpoint group,
//! one line a route.

mod error;
pub mod json;
mod lifecycle;
mod own_metrics;
mod params;
mod query;
mod rules;
mod series;
mod status;
mod targets;
mod write;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, header};
use axum::routing::{get, post};

use crate::Shared;
pub use collector_model::chain;
pub use error::ApiError;

/// The largest request body that is read, in bytes: remote writes come compressed.
const BODY_LIMIT: usize = 32 << 20;

/// All routes, below the route prefix.
pub fn router(shared: Shared) -> Router {
    let v1 = Router::new()
        .route("/query", get(query::query).post(query::query))
        .route("/query_range", get(query::query_range).post(query::query_range))
        .route("/query_exemplars", get(query::query_exemplars).post(query::query_exemplars))
        .route("/series", get(series::series).post(series::series))
        .route("/labels", get(series::labels).post(series::labels))
        .route("/label/{name}/values", get(series::label_values))
        .route("/targets", get(targets::targets))
        .route("/targets/metadata", get(targets::target_metadata))
        .route("/scrape_pools", get(targets::scrape_pools))
        .route("/metadata", get(targets::metadata))
        .route("/rules", get(rules::rules))
        .route("/alerts", get(rules::alerts))
        .route("/alertmanagers", get(rules::alertmanagers))
        .route("/status/config", get(status::config))
        .route("/status/flags", get(status::flags))
        .route("/status/buildinfo", get(status::build_info))
        .route("/status/runtimeinfo", get(status::runtime_info))
        .route("/status/tsdb", get(status::tsdb))
        .route("/status/walreplay", get(status::wal_replay))
        .route("/write", post(write::write))
        .fallback(unknown);
    let prefix = shared.route_prefix.clone();
    let below = |path: &str| format!("{prefix}{path}");
    // The page is below the prefix with a slash at its end, so that its relative links stay below it.
    let home = below("/");
    let mut all = Router::new()
        .nest(&below("/api/v1"), v1)
        .route(&home, get(crate::page::page))
        .route(&below("/metrics"), get(own_metrics::metrics))
        .route(&below("/-/healthy"), get(lifecycle::healthy))
        .route(&below("/-/ready"), get(lifecycle::ready))
        .route(&below("/-/reload"), post(lifecycle::reload).put(lifecycle::reload))
        .route(&below("/-/quit"), post(lifecycle::quit).put(lifecycle::quit));
    if !prefix.is_empty() {
        let to_home = get(move || async move { (StatusCode::FOUND, [(header::LOCATION, home)]) });
        all = all.route(&prefix, to_home.clone()).route("/", to_home);
    }
    all.layer(DefaultBodyLimit::max(BODY_LIMIT)).with_state(shared)
}

async fn unknown() -> ApiError {
    ApiError::not_found("there is no such endpoint")
}
