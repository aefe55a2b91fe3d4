//! The API's envelope: `{"status":"success","data":…}` or `{"status":"error",…}`.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use collector_model::{SelectError, chain};
use collector_promql::QueryError;
use serde::Serialize;

use super::json::push_string;

/// A request failed: which kind, and one sentence.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

impl ApiError {
    /// The request was wrong (400).
    pub fn bad_data(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind: "bad_data", message: message.into() }
    }

    /// One parameter was wrong (400).
    pub fn bad_parameter(name: &str, reason: &str) -> Self {
        Self::bad_data(format!("invalid parameter {name:?}: {reason}"))
    }

    /// There is nothing here (404).
    pub fn not_found(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, kind: "not_found", message: message.into() }
    }

    /// The query took longer than allowed (503).
    pub fn timeout() -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            kind: "timeout",
            message: "query timed out in expression evaluation".to_owned(),
        }
    }

    /// Not now (503).
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, kind: "unavailable", message: message.into() }
    }

    /// Our fault (500).
    pub fn internal(message: impl Into<String>) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, kind: "internal", message: message.into() }
    }

    fn execution(message: String) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, kind: "execution", message }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Parse(_) => Self::bad_data(error.to_string()),
            QueryError::Select(SelectError::Read(_)) => Self::internal(chain(&error)),
            QueryError::Canceled => Self::timeout(),
            _ => Self::execution(error.to_string()),
        }
    }
}

impl From<SelectError> for ApiError {
    fn from(error: SelectError) -> Self {
        QueryError::from(error).into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = format!("{{\"status\":\"error\",\"errorType\":\"{}\",\"error\":", self.kind);
        push_string(&mut body, &self.message);
        body.push('}');
        json(self.status, body)
    }
}

/// A successful answer around `data`, which is JSON already.
pub fn success(data: &str, warnings: &[String], infos: &[String]) -> Response {
    let mut body = String::with_capacity(data.len() + 64);
    body.push_str("{\"status\":\"success\",\"data\":");
    body.push_str(data);
    for (name, lines) in [("warnings", warnings), ("infos", infos)] {
        if !lines.is_empty() {
            body.push_str(",\"");
            body.push_str(name);
            body.push_str("\":");
            super::json::push_list(&mut body, lines, |out, line| push_string(out, line));
        }
    }
    body.push('}');
    json(StatusCode::OK, body)
}

/// A successful answer around a value.
pub fn success_value(data: &impl Serialize) -> Response {
    match serde_json::to_string(data) {
        Ok(text) => success(&text, &[], &[]),
        Err(error) => ApiError::internal(format!("cannot encode the answer: {error}")).into_response(),
    }
}

fn json(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
