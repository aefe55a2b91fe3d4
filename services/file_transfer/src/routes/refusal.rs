//! Which status says what went wrong.

use axum::http::StatusCode;
use services_kit::Refusal;

use crate::multipart::FormError;
use crate::store::{NameError, StoreError};

pub(super) fn of_store(error: &StoreError) -> Refusal {
    let status = match error {
        StoreError::Missing(_) => StatusCode::NOT_FOUND,
        StoreError::NotAFile { .. } => StatusCode::BAD_REQUEST,
        StoreError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        StoreError::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
        StoreError::System { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Refusal::new(status, error.to_string())
}

pub(super) fn of_name(error: NameError) -> Refusal {
    Refusal::bad_request(error.to_string())
}

/// `field` is the one that the form should have.
pub(super) fn of_form(error: &FormError, field: &str) -> Refusal {
    match error {
        FormError::Stalled(_) => Refusal::new(StatusCode::REQUEST_TIMEOUT, error.to_string()),
        error => Refusal::bad_request(format!("{error}; a form with the field {field:?} is wanted")),
    }
}

/// A thread that was asked ended without an answer.
pub(super) fn broken() -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the service failed")
}
