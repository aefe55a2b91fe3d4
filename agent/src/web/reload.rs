//! `POST` and `PUT /-/reload`, as Prometheus has them.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};

use crate::agent::Reloader;

/// Its path.
pub(super) const PATH: &str = "/-/reload";

/// The route; one that only says no where it is not enabled.
pub(super) fn router(reloader: Reloader, is_enabled: bool) -> Router {
    let methods: MethodRouter<Reloader> = if is_enabled {
        post(answer).put(answer)
    } else {
        let refused = || async { (StatusCode::FORBIDDEN, "not enabled: --web.enable-lifecycle does it\n") };
        post(refused).put(refused)
    };
    Router::new().route(PATH, methods).with_state(reloader)
}

async fn answer(State(reloader): State<Reloader>) -> Response {
    match reloader.reload().await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("cannot reload: {error}\n")).into_response(),
    }
}
