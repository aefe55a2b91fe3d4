//! Takes connections and answers them, within bounds.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::Settings;
use crate::Shutdown;

/// How long to wait after a failed accept, such as for want of descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// How long the peer may leave sent data unacknowledged, or its window shut.
const UNREAD: Duration = Duration::from_secs(60);

/// Serves until shutdown and the connections have ended, or the grace is over.
pub(super) async fn serve(listener: TcpListener, router: Router, settings: &Settings, shutdown: &Shutdown) {
    let places = Arc::new(Semaphore::new(settings.max_connections as usize));
    let open = GracefulShutdown::new();
    let idle = settings.idle();
    loop {
        let next = async { (places.clone().acquire_owned().await, listener.accept().await) };
        let (place, accepted) = tokio::select! {
            next = next => next,
            () = shutdown.wait() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let answered = answer(stream, router.clone(), idle, open.watcher());
                tokio::spawn(async move {
                    answered.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    drop(listener);
    let grace = Duration::from_secs(settings.grace_seconds.into());
    if tokio::time::timeout(grace, open.shutdown()).await.is_err() {
        tracing::warn!("requests are still open after {} s and are cut off", settings.grace_seconds);
    }
}

/// One connection. What goes wrong on it is the peer's affair.
async fn answer(stream: TcpStream, router: Router, idle: Duration, watcher: Watcher) {
    // Both only make a connection better: without them it still works.
    let _ = stream.set_nodelay(true);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, u32::try_from(UNREAD.as_millis()).unwrap_or(u32::MAX));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "connection ended early");
    }
}
