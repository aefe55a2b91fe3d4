//! `POST /service`, `GET /service`, `GET /service/ID`, and a page for people.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures_util::stream;
use services_kit::{Refusal, http};

use crate::metrics::Metrics;
use crate::page;
use crate::record::Record;
use crate::store::{Error, Store};

/// About as many bytes of records as are read, and kept in memory, at once for an answer.
const PAGE_BYTES: usize = 128 << 10;
/// Records on the page for people.
const RECENT: u32 = 100;
const JSON: &str = "application/json";

#[derive(Clone)]
struct Shared {
    store: Store,
    metrics: Metrics,
}

/// The routes over a store.
pub fn router(store: Store, metrics: Metrics) -> Router {
    Router::new()
        .route("/service", get(all).post(add))
        .route("/service/{id}", get(latest))
        .route("/", get(people))
        .route("/style.css", get(|| async { http::asset("text/css; charset=utf-8", page::STYLE) }))
        .with_state(Shared { store, metrics })
}

/// An empty 200, once the record is on the disk.
async fn add(State(shared): State<Shared>, body: Result<Bytes, BytesRejection>) -> Result<StatusCode, Refusal> {
    let body = body.map_err(|rejection| {
        shared.metrics.no_record(rejection.status() == StatusCode::PAYLOAD_TOO_LARGE);
        no_body(&rejection)
    })?;
    let record = Record::parse(&body).map_err(|error| {
        shared.metrics.no_record(false);
        Refusal::bad_request(in_one_line(&error))
    })?;
    shared.store.insert(record).await.map_err(|error| {
        shared.metrics.not_kept(&error);
        refusal(&error)
    })?;
    Ok(StatusCode::OK)
}

/// All records as an array in the order of their arrival, a page at a time.
async fn all(State(shared): State<Shared>) -> Result<Response, Refusal> {
    let store = shared.store;
    // What comes later is not waited for: the answer has an end.
    let until = store.newest().await.map_err(|error| refusal(&error))?;
    // What fails at once is told by the status, and not by an answer that breaks off.
    let first = store.page(0, until, PAGE_BYTES).await.map_err(|error| refusal(&error))?;
    let texts = stream::try_unfold((store, Some(first), "["), move |(store, page, mark)| async move {
        let Some(page) = page else { return Ok(None) };
        if page.count == 0 || page.last >= until {
            let text = format!("{mark}{}]\n", page.text);
            return Ok(Some((Bytes::from(text), (store, None, ""))));
        }
        let next = store.page(page.last, until, PAGE_BYTES).await.inspect_err(|error| {
            tracing::error!(error = in_one_line(&**error), "an answer breaks off");
        })?;
        let text = format!("{mark}{}", page.text);
        Ok::<_, Arc<Error>>(Some((Bytes::from(text), (store, Some(next), ",\n"))))
    });
    Ok(([(CONTENT_TYPE, JSON)], Body::from_stream(texts)).into_response())
}

/// The newest record of a container.
async fn latest(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Response, Refusal> {
    let found = shared.store.latest_of(id.clone()).await.map_err(|error| refusal(&error))?;
    let none = || Refusal::new(StatusCode::NOT_FOUND, format!("no record has the id {id:?}"));
    Ok(([(CONTENT_TYPE, JSON)], found.ok_or_else(none)? + "\n").into_response())
}

async fn people(State(shared): State<Shared>) -> Result<Response, Refusal> {
    let recent = shared.store.recent(RECENT).await.map_err(|error| refusal(&error))?;
    Ok(http::asset("text/html; charset=utf-8", page::table(&recent)))
}

fn no_body(rejection: &BytesRejection) -> Refusal {
    let causes = std::iter::successors(Some(rejection as &dyn std::error::Error), |error| error.source());
    let mut causes = causes.filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    match causes.find(|cause| cause.kind() == std::io::ErrorKind::TimedOut) {
        Some(cause) => Refusal::new(StatusCode::REQUEST_TIMEOUT, cause.to_string()),
        None if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Refusal::new(rejection.status(), "the record is longer than 65536 bytes")
        }
        None => Refusal::bad_request("the body broke off"),
    }
}

fn refusal(error: &Error) -> Refusal {
    let status = match error {
        Error::Full { .. } => StatusCode::INSUFFICIENT_STORAGE,
        Error::Busy { .. } | Error::TooMany | Error::Slow { .. } | Error::Ended => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Refusal::new(status, in_one_line(error))
}

/// An error and its causes.
pub(crate) fn in_one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
