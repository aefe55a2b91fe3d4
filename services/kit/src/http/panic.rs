//! A panic costs the request that it happens in, and no other.

use std::panic::AssertUnwindSafe;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;

use crate::Refusal;

/// Answers 500 where a handler panics. What it panicked at is in the log.
pub(super) async fn answer(request: Request, next: Next) -> Response {
    // Nothing of a request outlives its panic but what its service shares, whose locks do not poison.
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the service failed at this request").into_response(),
    }
}
