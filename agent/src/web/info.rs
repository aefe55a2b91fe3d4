//! `GET /info/ID`: the short story of one container, as JSON.

use std::sync::Arc;

use agent_container::{Containers, InfoError};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

/// Look-ups at the same time; more wait. Each has a thread, for as long as the CPU time of a container is watched.
const AT_ONCE: usize = 4;

/// Where containers are looked up.
#[derive(Clone)]
pub(super) struct Lookup {
    containers: Option<Containers>,
    places: Arc<Semaphore>,
}

impl Lookup {
    pub(super) fn new(containers: Option<Containers>) -> Self {
        Self { containers, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

pub(super) async fn answer(State(lookup): State<Lookup>, Path(asked): Path<String>) -> Response {
    let Some(containers) = lookup.containers else {
        return refuse(StatusCode::NOT_FOUND, "container metrics are off here: --collector.container turns them on");
    };
    // It goes with the thread, which does not end when the client goes away.
    let place = lookup.places.acquire_owned().await;
    let lookup = tokio::task::spawn_blocking(move || {
        let _place = place;
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
