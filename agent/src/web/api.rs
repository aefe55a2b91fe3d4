//! cAdvisor's REST API below `/api/`, and `/validate/`.

use std::sync::Arc;
use std::time::Duration;

use agent_container::Containers;
use agent_container::api::{ApiError, EventStream, INDEX, Reply, Request};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream::unfold;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::info::refuse;

/// Questions being answered at the same time; more wait. Each has a thread.
const AT_ONCE: usize = 4;
/// Streams of events at the same time; more are refused.
const STREAMS: usize = 16;
/// How long an answer may take, with the wait for its turn.
const DEADLINE: Duration = Duration::from_secs(10);
/// The largest body: a request of a few numbers.
const LARGEST_BODY: usize = 16 << 10;

/// Who answers.
#[derive(Clone)]
pub(super) struct Desk {
    containers: Containers,
    places: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

impl Desk {
    pub(super) fn new(containers: Containers) -> Self {
        let (places, streams) = (Semaphore::new(AT_ONCE), Semaphore::new(STREAMS));
        Self { containers, places: Arc::new(places), streams: Arc::new(streams) }
    }

    /// Asks on a thread that may block.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Containers) -> T + Send + 'static,
    ) -> Result<T, Response> {
        let (places, containers) = (self.places.clone(), self.containers.clone());
        let answer = timeout(DEADLINE, async move {
            let place = places.acquire_owned().await;
            // The place goes with the thread, which does not end when nobody waits for it any more.
            tokio::task::spawn_blocking(move || {
                let _place = place;
                question(&containers)
            })
            .await
        });
        match answer.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(refuse(StatusCode::INTERNAL_SERVER_ERROR, "the question could not be answered")),
            Err(_) => Err(refuse(StatusCode::SERVICE_UNAVAILABLE, "the answer takes too long: try again later")),
        }
    }
}

/// The paths, but for one that serves metrics.
pub(super) fn routes(desk: Desk, taken: &str) -> Router {
    let mut router = Router::new();
    for path in ["/api", "/api/"].into_iter().filter(|path| *path != taken) {
        router = router.route(path, get(|| std::future::ready(INDEX)));
    }
    for path in ["/validate", "/validate/"].into_iter().filter(|path| *path != taken) {
        router = router.route(path, get(validate));
    }
    // Clients of version 1 post what they want.
    router.route("/api/{*path}", get(answer).post(answer)).layer(DefaultBodyLimit::max(LARGEST_BODY)).with_state(desk)
}

async fn validate(State(desk): State<Desk>) -> Response {
    match desk.ask(Containers::validate).await {
        Ok(report) => report.into_response(),
        Err(refusal) => refusal,
    }
}

async fn answer(
    State(desk): State<Desk>,
    Path(path): Path<String>,
    Query(parameters): Query<Vec<(String, String)>>,
    body: Bytes,
) -> Response {
    let question =
        move |containers: &Containers| containers.api(Request { path: &path, parameters: &parameters, body: &body });
    match desk.ask(question).await {
        Ok(Ok(Reply::Json(text))) => json(Body::from(text)),
        Ok(Ok(Reply::Events(events))) => stream(&desk, *events),
        Ok(Ok(_)) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "an answer of an unknown kind"),
        Ok(Err(error)) => refused(&error),
        Err(refusal) => refusal,
    }
}

fn refused(error: &ApiError) -> Response {
    let status = if error.is_not_found() { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST };
    refuse(status, &error.to_string())
}

fn json(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Lines of JSON until the client goes away.
fn stream(desk: &Desk, events: EventStream) -> Response {
    let Ok(place) = desk.streams.clone().try_acquire_owned() else {
        let text = format!("{STREAMS} streams of events are open, no more are taken: close one");
        return refuse(StatusCode::SERVICE_UNAVAILABLE, &text);
    };
    let lines = unfold((events, place), |(mut events, place): (EventStream, OwnedSemaphorePermit)| async move {
        let line = events.next().await?;
        Some((Ok::<_, std::convert::Infallible>(line), (events, place)))
    });
    json(Body::from_stream(lines))
}
