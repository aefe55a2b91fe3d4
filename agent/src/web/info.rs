//! `GET /info/ID`: the short story of one container, as JSON.

use std::sync::Arc;
use std::time::Duration;

use agent_container::{Containers, Info, InfoError};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Look-ups at the same time; more wait. Each has a thread, for as long as the CPU time of a container is watched.
const AT_ONCE: usize = 4;
/// How long a look-up may take, with the wait for its turn: it waits for a scrape that does not come back.
const DEADLINE: Duration = Duration::from_secs(10);

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
    let places = lookup.places;
    let found = timeout(DEADLINE, async move {
        let place = places.acquire_owned().await;
        // The place goes with the thread, which does not end when nobody waits for it any more.
        tokio::task::spawn_blocking(move || {
            let _place = place;
            look_up(&containers, asked)
        })
        .await
    });
    match found.await {
        Ok(Ok(Ok(info))) => Json(info).into_response(),
        Ok(Ok(Err(error))) => {
            let status = match &error {
                InfoError::NotFound { .. } => StatusCode::NOT_FOUND,
                InfoError::Ambiguous { .. } => StatusCode::BAD_REQUEST,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            refuse(status, &error.to_string())
        }
        Ok(Err(_)) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "the look-up failed"),
        Err(_) => refuse(StatusCode::SERVICE_UNAVAILABLE, "the look-up takes too long"),
    }
}

/// A cgroup's path comes without its leading slash, which the route has taken.
fn look_up(containers: &Containers, asked: String) -> Result<Info, InfoError> {
    match containers.info(&asked) {
        Err(InfoError::NotFound { .. }) if asked.contains('/') || asked.contains('.') => {
            containers.info(&format!("/{asked}")).map_err(|_| InfoError::NotFound { asked })
        }
        other => other,
    }
}

pub(super) fn refuse(status: StatusCode, text: &str) -> Response {
    (status, format!("{text}\n")).into_response()
}
