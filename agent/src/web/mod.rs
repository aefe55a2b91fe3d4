//! The agent's pages.

mod api;
mod browse;
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

/// Whether cAdvisor's API and pages are here: beside the container families, unless they are switched off.
fn serves_api(role: Role, settings: &Settings) -> bool {
    settings.api && settings.containers.is_some() && (role == Role::Containers || settings.container_listen.is_empty())
}

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
    let serves_api = serves_api(page.role(), settings);
    let mut router = Router::new();
    if path != "/" {
        let html = landing::page(&page, &path, settings);
        router = router.route("/", get(move || std::future::ready(axum::response::Html(html.clone()))));
    }
    for path in ["/healthz", "/-/healthy", "/-/ready"].into_iter().filter(|p| *p != path) {
        router = router.route(path, get(|| std::future::ready("ok\n")));
    }
    // POST scrapes too, as it does with node_exporter.
    let metrics = Router::new().route(&path, get(metrics::answer).post(metrics::answer)).with_state(page);
    router = router.merge(metrics);
    if let Some(containers) = containers.clone().filter(|_| serves_api) {
        let desk = api::Desk::new(containers);
        router = router.merge(api::routes(desk.clone(), &path)).merge(browse::routes(desk, &path));
    }
    let info = Router::new().route("/info/{*id}", get(info::answer)).with_state(info::Lookup::new(containers));
    router = router.merge(info);
    if path == reload::PATH { router } else { router.merge(reload::router(reloader, settings.lifecycle)) }
}
