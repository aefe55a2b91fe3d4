//! Takes connections and answers them, within bounds.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::arrival;
use crate::guard::Guard;
use crate::listener::{Listener, Socket, Stream};
use crate::settings::Limits;

/// How long the peer may leave sent data unacknowledged, or its window shut.
const UNREAD: Duration = Duration::from_secs(60);
/// The largest head of a request: a scrape's has a few hundred bytes, and each connection may take so much.
const LARGEST_HEAD: usize = 64 << 10;
/// How long to wait after a failed accept, such as for want of descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Serves in the clear until `stopped` turns true and the connections have ended, or the grace is over.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stopped: watch::Receiver<bool>) {
    match Listener::try_from(listener) {
        Ok(listener) => serve_guarded(listener, router, limits, None, stopped).await,
        Err(error) => tracing::error!(%error, "cannot use a listener"),
    }
}

/// Serves as [`serve`] does, behind a guard where there is one: that before its connections. The one before its
/// requests is already in the router.
pub(crate) async fn serve_guarded(
    listener: Listener,
    router: Router,
    limits: Limits,
    guard: Option<Arc<Guard>>,
    mut stopped: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let router = arrival::bound(router, limits.idle);
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok(socket) => {
                let (router, guard, mut stopped) = (router.clone(), guard.clone(), stopped.clone());
                connections.spawn(async move {
                    bound_unread(&socket);
                    let stream = tokio::select! {
                        stream = receive(socket, guard) => stream,
                        _ = stopped.wait_for(|stopped| *stopped) => None,
                    };
                    if let Some(stream) = stream {
                        answer(stream, router, limits.idle, stopped).await;
                    }
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
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.grace, all).await.is_err() {
        tracing::warn!("requests are still open after the grace and are cut off");
    }
}

/// A peer that takes no answer does not keep its connection for ever.
fn bound_unread(socket: &Socket) {
    if let Some(stream) = socket.tcp() {
        let unread = u32::try_from(UNREAD.as_millis()).unwrap_or(u32::MAX);
        let _ = stream.set_nodelay(true);
        let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, unread);
    }
}

async fn receive(socket: Socket, guard: Option<Arc<Guard>>) -> Option<Box<dyn Stream>> {
    match guard {
        Some(guard) => guard.receive(socket).await,
        None => Some(Box::new(socket)),
    }
}

/// One connection. What goes wrong on it is the peer's affair.
async fn answer(stream: Box<dyn Stream>, router: Router, idle: Duration, mut stopped: watch::Receiver<bool>) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    tokio::select! {
        result = connection.as_mut() => return log_end(result),
        _ = stopped.wait_for(|stopped| *stopped) => connection.as_mut().graceful_shutdown(),
    }
    log_end(connection.await);
}

fn log_end(result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended early");
    }
}
