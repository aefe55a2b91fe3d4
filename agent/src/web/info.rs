//! `GET /info/ID`: the short story of one container, as JSON.

use agent_container::{Containers, InfoError};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

pub(super) async fn answer(State(containers): State<Option<Containers>>, Path(asked): Path<String>) -> Response {
    let Some(containers) = containers else {
        return refuse(StatusCode::NOT_FOUND, "container metrics are off here: --collector.container turns them on");
    };
    let lookup = tokio::task::spawn_blocking(move || {
        let found = containers.info(&asked);
        // A cgroup's path comes without its leading slash, which the route has taken.
        match found {
            Err(InfoError::NotFound { .. }) if asked.contains('/') || asked.contains('.') => {
                containers.info(&format!("/{asked}")).map_err(|_| InfoError::NotFound { asked })
            }
            other => other,
        }
    });
    match lookup.await {
        Ok(Ok(info)) => Json(info).into_response(),
        Ok(Err(error)) => {
            let status = match &error {
                InfoError::NotFound { .. } => StatusCode::NOT_FOUND,
                InfoError::Ambiguous { .. } => StatusCode::BAD_REQUEST,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            refuse(status, &error.to_string())
        }
        Err(_) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "the look-up failed"),
    }
}

fn refuse(status: StatusCode, text: &str) -> Response {
    (status, format!("{text}\n")).into_response()
}
