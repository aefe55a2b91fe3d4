//! `POST /download`: a form whose field `name` says which file, as `multipart/form-data` or urlencoded.

use axum::RequestExt;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use percent_encoding::percent_decode;
use services_kit::Refusal;

use super::{App, content, refusal};
use crate::multipart::{Form, FormError};
use crate::store::Name;

const FIELD: &str = "name";
/// A form that only names a file is not longer.
const FORM_BYTES: usize = 64 << 10;

/// Answers with the file.
pub(super) async fn download(State(app): State<App>, request: Request) -> Result<Response, Refusal> {
    let urlencoded = request.headers().get(CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes().split(|&b| b == b';').next().unwrap_or_default();
        kind.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
    });
    let request = request.with_limited_body();
    let name = if urlencoded { urlencoded_name(request).await? } else { multipart_name(request).await? };
    let name =
        name.ok_or_else(|| Refusal::bad_request(format!("the form has no field {FIELD:?} that names a file")))?;
    let name = Name::parse(&name).map_err(refusal::of_name)?;
    let wanted = name.clone();
    let stored = app.ask(move |store| store.file(&wanted)).await?;
    Ok(content::whole(&app, &name, stored))
}

async fn multipart_name(request: Request) -> Result<Option<Vec<u8>>, Refusal> {
    let (head, body) = request.into_parts();
    let mut form = Form::new(&head.headers, body).map_err(|error| refusal::of_form(&error, FIELD))?;
    field(&mut form).await.map_err(|error| refusal::of_form(&error, FIELD))
}

/// The first field of this name, whole.
async fn field(form: &mut Form) -> Result<Option<Vec<u8>>, FormError> {
    let mut name = None;
    while let Some(part) = form.next_part().await? {
        if part.field == FIELD && name.is_none() {
            let mut value = Vec::new();
            while let Some(bytes) = form.chunk().await? {
                value.extend_from_slice(&bytes);
            }
            name = Some(value);
        }
    }
    Ok(name)
}

async fn urlencoded_name(request: Request) -> Result<Option<Vec<u8>>, Refusal> {
    let body = to_bytes(request.into_body(), FORM_BYTES)
        .await
        .map_err(|error| Refusal::bad_request(format!("cannot read the form: {error}")))?;
    let decoded = |text: &[u8]| -> Vec<u8> {
        let text: Vec<u8> = text.iter().map(|&b| if b == b'+' { b' ' } else { b }).collect();
        percent_decode(&text).collect()
    };
    let mut pairs = body.split(|&b| b == b'&').filter_map(|pair| {
        let at = pair.iter().position(|&b| b == b'=')?;
        Some((decoded(pair.get(..at)?), decoded(pair.get(at + 1..)?)))
    });
    Ok(pairs.find(|(key, _)| key == FIELD.as_bytes()).map(|(_, value)| value))
}
