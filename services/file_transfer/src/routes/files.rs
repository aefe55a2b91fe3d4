//! `/files/NAME`: a file, by GET with ranges and conditions, HEAD and DELETE.

use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use percent_encoding::percent_decode_str;
use services_kit::Refusal;

use super::{App, content, refusal};
use crate::store::Name;

/// Where files are.
const FOLDER: &str = "/files/";

/// The file, or what of it was asked for.
pub(super) async fn get(State(app): State<App>, request: Request) -> Result<Response, Refusal> {
    let name = name(request.uri())?;
    let wanted = name.clone();
    let stored = app.ask(move |store| store.file(&wanted)).await?;
    Ok(content::asked_for(&app, &name, stored, request.headers()))
}

/// Removes the file: 204.
pub(super) async fn delete(State(app): State<App>, request: Request) -> Result<StatusCode, Refusal> {
    let name = name(request.uri())?;
    let gone = name.clone();
    app.ask(move |store| store.delete(&gone)).await?;
    app.metrics.deleted.inc();
    tracing::info!(%name, "deleted");
    Ok(StatusCode::NO_CONTENT)
}

/// The name in a path, decoded once. Whatever stands behind the folder is meant to be one, slashes and all, so that a
/// path that leads elsewhere is refused with its reason and not merely unknown.
fn name(uri: &Uri) -> Result<Name, Refusal> {
    let encoded = uri.path().strip_prefix(FOLDER).unwrap_or_default();
    let decoded: Vec<u8> = percent_decode_str(encoded).collect();
    Name::parse(&decoded).map_err(refusal::of_name)
}
