//! The pages for a browser, built into the program.

use axum::response::Response;
use services_kit::http::asset;

const HTML: &str = "text/html; charset=utf-8";
const INDEX: &str = include_str!("../../page/index.html");
const LISTING: &str = include_str!("../../page/listing.html");

/// The page for uploads.
pub(super) async fn index() -> Response {
    asset(HTML, INDEX)
}

pub(super) async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("../../page/style.css"))
}

pub(super) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("../../page/script.js"))
}

/// The listing that needs no script, around rows of a table.
pub(super) fn listing(rows: &str) -> Response {
    asset(HTML, LISTING.replace("<!-- rows -->", rows))
}
