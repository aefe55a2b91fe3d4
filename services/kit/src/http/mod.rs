//! HTTP: within limits, measured, with the pages that every service has.

mod metrics;
mod panic;
pub mod refusal;
mod server;
mod stall;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use crate::{Readiness, Refusal, Shutdown};

/// A request's body may be this long unless a route says otherwise.
const BODY_BYTES: usize = 64 << 10;
/// OpenMetrics, which the registry writes.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Where a service listens, and within which limits.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "HTTP")]
#[group(skip)]
pub struct Settings {
    /// Address to listen on.
    #[arg(long, env = "BIND_ADDRESS", default_value = "0.0.0.0", value_name = "ADDRESS")]
    pub bind_address: IpAddr,
    /// Port to listen on; 0 lets the system choose.
    #[arg(long, env = "BIND_PORT", value_name = "PORT")]
    pub bind_port: u16,
    /// Connections served at once; more wait to be accepted.
    #[arg(long, env = "MAX_CONNECTIONS", default_value = "1024", value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: u32,
    /// Seconds that a peer may keep silent, in the head or the body of a request, before it is let go.
    #[arg(long, env = "IDLE_TIMEOUT_SECONDS", default_value = "30", value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub idle_timeout_seconds: u32,
    /// Seconds that open requests may take to end after SIGTERM.
    #[arg(long, env = "GRACE_SECONDS", default_value = "8", value_name = "SECONDS")]
    pub grace_seconds: u32,
}

impl Settings {
    fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_timeout_seconds.into())
    }
}

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (BIND_ADDRESS and BIND_PORT choose another)")]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

/// Listens where the settings say.
///
/// # Errors
/// See [`ListenError`].
pub async fn listen(settings: &Settings) -> Result<TcpListener, ListenError> {
    let address = SocketAddr::new(settings.bind_address, settings.bind_port);
    let listener = TcpListener::bind(address).await.map_err(|source| ListenError { address, source })?;
    let bound = listener.local_addr().map_err(|source| ListenError { address, source })?;
    tracing::info!(address = %bound, "listening");
    Ok(listener)
}

/// Serves the router and the pages that every service has until shutdown and the grace after it.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    readiness: Readiness,
    mut registry: Registry,
    settings: &Settings,
    shutdown: &Shutdown,
) {
    let metrics = metrics::Metrics::register(&mut registry);
    let registry = Arc::new(registry);
    let pages = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(move || ready(readiness.clone())))
        .route("/metrics", get(move || page_of(registry.clone())));
    let idle = settings.idle();
    let router = router
        .merge(pages)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(axum::middleware::map_request(move |request| stall::bound(request, idle)))
        .layer(axum::middleware::from_fn(panic::answer))
        .layer(axum::middleware::from_fn_with_state(metrics, metrics::measure));
    server::serve(listener, router, settings, shutdown).await;
}

async fn ready(readiness: Readiness) -> Response {
    match readiness.ask().await {
        Ok(()) => "ready\n".into_response(),
        Err(reasons) => (StatusCode::SERVICE_UNAVAILABLE, reasons).into_response(),
    }
}

async fn page_of(registry: Arc<Registry>) -> Result<Response, Refusal> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)
        .map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written as text"))?;
    Ok(([(CONTENT_TYPE, METRICS_TYPE)], text).into_response())
}

/// A part of a page that is built into the program: HTML, a style sheet, a script, with headers that let a browser
/// load nothing from elsewhere.
pub fn asset(content_type: &'static str, body: impl Into<String>) -> Response {
    let headers = [
        (CONTENT_TYPE, content_type),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'self'; img-src 'self' data:; frame-ancestors 'self'; form-action 'self'",
        ),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, body.into()).into_response()
}
