//! The agent's pages.

mod info;
mod landing;
mod metrics;
mod reload;

use std::sync::Arc;

use agent_container::Containers;
use axum::Router;
use axum::routing::get;

pub(crate) use metrics::{MetricsPage, Role};

use crate::agent::Reloader;
use crate::settings::Settings;

/// What one listener answers.
pub(crate) fn router(
    page: Arc<MetricsPage>,
    containers: Option<Containers>,
    reloader: Reloader,
    settings: &Settings,
) -> Router {
    let path = match page.role() {
        Role::Node => settings.telemetry_path.clone(),
        Role::Containers => settings.container_path.clone(),
    };
    let mut router = Router::new();
    if path != "/" {
        let html = landing::page(&page, &path, settings);
        router = router.route("/", get(move || std::future::ready(axum::response::Html(html.clone()))));
    }
    for path in ["/healthz", "/-/healthy", "/-/ready"].into_iter().filter(|p| *p != path) {
        router = router.route(path, get(|| std::future::ready("ok\n")));
    }
    // POST scrapes too, as it does with node_exporter.
    let router = router
        .route(&path, get(metrics::answer).post(metrics::answer))
        .with_state(page)
        .merge(Router::new().route("/info/{*id}", get(info::answer)).with_state(info::Lookup::new(containers)));
    if path == reload::PATH { router } else { router.merge(reload::router(reloader, settings.lifecycle)) }
}
