//! `/-/healthy`, `/-/ready`, `/-/reload`, `/-/quit`.

use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::Shared;
use collector_model::chain;

const DISABLED: &str = "Lifecycle API is not enabled. Start the collector with --web.enable-lifecycle.\n";

/// `/-/healthy`: the process answers.
pub async fn healthy() -> &'static str {
    "Atalaia collector is Healthy.\n"
}

/// `/-/ready`: the configuration is applied and samples are taken.
pub async fn ready(State(shared): State<Shared>) -> Response {
    if shared.ready.load(Ordering::Acquire) {
        (StatusCode::OK, "Atalaia collector is Ready.\n").into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable\n").into_response()
    }
}

/// `/-/reload`: applies the configuration file as it is now, or keeps the old one and says why.
pub async fn reload(State(shared): State<Shared>) -> Response {
    if !shared.flags.enable_lifecycle {
        return (StatusCode::FORBIDDEN, DISABLED).into_response();
    }
    match shared.reload().await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => {
            let message = format!("failed to reload config: {}\n", chain(&error));
            (StatusCode::INTERNAL_SERVER_ERROR, message).into_response()
        }
    }
}

/// `/-/quit`: stops in order, as SIGTERM does.
pub async fn quit(State(shared): State<Shared>) -> Response {
    if !shared.flags.enable_lifecycle {
        return (StatusCode::FORBIDDEN, DISABLED).into_response();
    }
    shared.stop.notify_one();
    (StatusCode::OK, "Requesting termination... Goodbye!\n").into_response()
}
