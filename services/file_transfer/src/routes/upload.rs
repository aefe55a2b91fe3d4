//! `POST /upload`: a form whose field `file` is stored under the file's own name.
//!
//! One file a request: so its answer says for the whole of it whether it was stored. It is stored when the form has
//! come in to its end, not before, in place of a file that had its name. Other fields are passed over.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::EXPECT;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Body as _;
use services_kit::Refusal;

use super::intake::{Intake, IntakeError};
use super::{App, refusal};
use crate::metrics::Refused;
use crate::multipart::{FRAMING_BYTES, Form, FormError};
use crate::store::{Name, NameError, StoreError};

const FIELD: &str = "file";
/// How long a refused body is read away, so that the peer comes to read the answer.
const LINGER: Duration = Duration::from_secs(10);

/// Why an upload becomes no file.
#[derive(Debug, thiserror::Error)]
enum UploadError {
    #[error(transparent)]
    Form(#[from] FormError),
    #[error("the form has no field \"file\"; it has {0}")]
    OtherFields(String),
    #[error("the file is in the field {0:?} of the form; it has to be in the field \"file\"")]
    OtherField(String),
    #[error("the field \"file\" of the form has no file name: it has to be a file")]
    NoFile,
    #[error("the form has the field \"file\" twice: one file a request")]
    Twice,
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the service failed")]
    Broken,
}

impl From<IntakeError> for UploadError {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::Store(error) => Self::Store(error),
            IntakeError::Broken => Self::Broken,
        }
    }
}

impl UploadError {
    /// What it is counted as.
    fn reason(&self) -> Refused {
        match self {
            Self::Form(FormError::Stalled(_)) => Refused::Stalled,
            Self::Form(FormError::Cut | FormError::Body(_)) => Refused::CutOff,
            Self::Form(_) | Self::OtherFields(_) | Self::OtherField(_) | Self::NoFile | Self::Twice => Refused::Form,
            Self::Name(_) | Self::Store(StoreError::NotAFile { .. }) => Refused::Name,
            Self::Store(StoreError::TooLarge(_)) => Refused::TooLarge,
            Self::Store(StoreError::Full(_)) => Refused::NoRoom,
            Self::Store(_) | Self::Broken => Refused::Failure,
        }
    }

    fn refusal(&self) -> Refusal {
        match self {
            Self::Form(error) => refusal::of_form(error, FIELD),
            Self::Name(error) => refusal::of_name(*error),
            Self::Store(error) => refusal::of_store(error),
            Self::Broken => refusal::broken(),
            other => Refusal::bad_request(other.to_string()),
        }
    }
}

/// Answers 200 with nothing in it.
pub(super) async fn upload(State(app): State<App>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    // As the peer says, or at least what it has sent when its length is not told beforehand.
    let announced = body.size_hint().lower();
    let answered = match Form::new(&head.headers, body) {
        Ok(mut form) => match receive(&app, announced, &mut form).await {
            Ok(()) => Ok(()),
            Err(error) => {
                if !waits_for_word(&head.headers, &error) {
                    tokio::spawn(form.linger(LINGER));
                }
                Err(error)
            }
        },
        Err(error) => Err(error.into()),
    };
    match answered {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => {
            app.metrics.refused(error.reason());
            error.refusal().into_response()
        }
    }
}

/// Whether nothing of the body has been asked for, so that a peer that waits for `100 Continue` will not send it.
fn waits_for_word(headers: &HeaderMap, error: &UploadError) -> bool {
    headers.contains_key(EXPECT) && matches!(error, UploadError::Store(StoreError::TooLarge(_) | StoreError::Full(_)))
}

async fn receive(app: &App, announced: u64, form: &mut Form) -> Result<(), UploadError> {
    let store = app.store.clone();
    let least = announced.saturating_sub(FRAMING_BYTES as u64);
    tokio::task::spawn_blocking(move || store.admit(least)).await.map_err(|_| UploadError::Broken)??;
    let name = find_file(form).await?;
    let mut intake = Intake::begin(&app.store);
    while let Some(bytes) = form.chunk().await? {
        app.metrics.received_bytes.inc_by(bytes.len() as u64);
        intake.take(bytes).await?;
    }
    let upload = intake.finish().await?;
    while let Some(part) = form.next_part().await? {
        match part.file_name {
            _ if part.field == FIELD => return Err(UploadError::Twice),
            Some(_) => return Err(UploadError::OtherField(part.field)),
            None => {}
        }
    }
    // Once begun it is not left half-way, even if the peer goes: a name is given, or it is not.
    let stored = name.clone();
    let bytes = tokio::task::spawn_blocking(move || upload.commit(&name)).await.map_err(|_| UploadError::Broken)??;
    app.metrics.stored.inc();
    tracing::info!(name = %stored, bytes, "stored");
    Ok(())
}

/// Goes on to the content of the file; gives the file's name.
async fn find_file(form: &mut Form) -> Result<Name, UploadError> {
    let mut others = Vec::new();
    while let Some(part) = form.next_part().await? {
        match part.file_name {
            Some(name) if part.field == FIELD => return Ok(Name::parse(&unescape(name))?),
            None if part.field == FIELD => return Err(UploadError::NoFile),
            Some(_) => return Err(UploadError::OtherField(part.field)),
            None => others.push(format!("{:?}", part.field)),
        }
    }
    Err(UploadError::OtherFields(if others.is_empty() { "none".to_owned() } else { others.join(", ") }))
}

/// Browsers and curl write a quotation mark in a file name as `%22`, and nothing else of the kind that could be meant.
fn unescape(mut name: Vec<u8>) -> Vec<u8> {
    while let Some(at) = memchr::memmem::find(&name, b"%22") {
        name.splice(at..at + 3, *b"\"");
    }
    name
}
