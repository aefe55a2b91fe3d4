//! The pages `/containers/…` and `/docker/…`: what runs here, live, in a browser.
//!
//! A page is the same few files for every container: it looks at its own address, asks the API, and puts what it gets
//! on the screen as text. All of it is in the binary, and the browser is told to load nothing from elsewhere.

use agent_container::Containers;
use agent_container::api::Request;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::api::Desk;

const PAGE: &str = include_str!("pages/browse.html");
const STYLE: &str = include_str!("pages/browse.css");
const SCRIPT: &str = include_str!("pages/browse.js");

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The paths, but for one that serves metrics.
pub(super) fn routes(desk: Desk, taken: &str) -> Router {
    let mut router = Router::new();
    let files =
        [("/browse.css", "text/css; charset=utf-8", STYLE), ("/browse.js", "text/javascript; charset=utf-8", SCRIPT)];
    for (path, kind, content) in files.into_iter().filter(|(path, _, _)| *path != taken) {
        router = router.route(path, get(move || std::future::ready(file(kind, content))));
    }
    for path in ["/containers", "/containers/", "/docker", "/docker/"].into_iter().filter(|path| *path != taken) {
        router = router.route(path, get(|| std::future::ready(page(StatusCode::OK))));
    }
    router.route("/containers/{*path}", get(cgroup)).route("/docker/{*path}", get(container)).with_state(desk)
}

async fn cgroup(State(desk): State<Desk>, Path(path): Path<String>) -> Response {
    of(&desk, format!("v1.3/containers/{path}")).await
}

async fn container(State(desk): State<Desk>, Path(name): Path<String>) -> Response {
    of(&desk, format!("v1.3/docker/{name}")).await
}

/// The page says itself that there is no such container; the status says it to programs.
async fn of(desk: &Desk, path: String) -> Response {
    let question = move |containers: &Containers| {
        let nothing = [("num_stats".to_owned(), "0".to_owned())];
        containers.api(Request { path: &path, parameters: &nothing, body: &[] }).is_ok()
    };
    match desk.ask(question).await {
        Ok(true) => page(StatusCode::OK),
        Ok(false) => page(StatusCode::NOT_FOUND),
        Err(refusal) => refusal,
    }
}

fn page(status: StatusCode) -> Response {
    (status, file("text/html; charset=utf-8", PAGE)).into_response()
}

fn file(kind: &'static str, content: &'static str) -> Response {
    let value = HeaderValue::from_static;
    let headers: [(HeaderName, HeaderValue); 5] = [
        (header::CONTENT_TYPE, value(kind)),
        (header::CONTENT_SECURITY_POLICY, value(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, value("nosniff")),
        (header::REFERRER_POLICY, value("no-referrer")),
        (header::CACHE_CONTROL, value("no-cache")),
    ];
    (headers, content).into_response()
}
