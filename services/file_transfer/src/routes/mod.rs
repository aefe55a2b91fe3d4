//! What can be asked over HTTP.

mod buffers;
mod conditions;
mod content;
mod download;
mod files;
mod intake;
mod listing;
mod page;
mod refusal;
mod upload;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use services_kit::Refusal;
use tokio::task::spawn_blocking;

use crate::metrics::Metrics;
use crate::store::{Store, StoreError};
use buffers::Buffers;

/// What every route needs.
#[derive(Clone)]
pub struct App {
    store: Store,
    metrics: Metrics,
    buffers: Arc<Buffers>,
}

impl App {
    /// One over a folder.
    #[must_use]
    pub fn new(store: Store, metrics: Metrics) -> Self {
        Self { store, metrics, buffers: Arc::default() }
    }

    /// Asks the folder, on a thread that may wait.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let store = self.store.clone();
        match spawn_blocking(move || question(&store)).await {
            Ok(answer) => answer.map_err(|error| refusal::of_store(&error)),
            Err(_) => Err(refusal::broken()),
        }
    }
}

/// All routes.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/", get(page::index))
        .route("/style.css", get(page::style))
        .route("/script.js", get(page::script))
        .route("/upload", post(upload::upload))
        .route("/download", post(download::download))
        .route("/files", get(listing::list))
        .route("/files/", get(listing::list))
        .route("/files/{*name}", get(files::get).delete(files::delete))
        .with_state(app)
}
