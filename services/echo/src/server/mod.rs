//! The server: takes connections, and ends in order.
//!
//! Each connection is a task with a place of its own (`places`), limits and deadlines (`connection`). On SIGTERM the
//! listener closes, then the connections, each with its last answers, then HTTP; all within [`GRACE`].

mod connection;
mod metrics;
mod places;
mod settings;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use prometheus_client::metrics::counter::Counter;
use services_kit as kit;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use connection::{Connection, Ended, Peer};
use metrics::Metrics;
use places::Places;
pub use settings::Settings;

/// How long the connections may take to end after SIGTERM. `docker-compose stop -t 1` kills after a second.
pub const GRACE: Duration = Duration::from_millis(600);
/// How long HTTP may take after them.
const PAGES_GRACE: Duration = Duration::from_millis(150);
/// How long to wait after a failed accept, such as for want of descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// The port for lines cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for lines on {address} (BIND_ADDRESS and SERVER_PORT choose another)")]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

/// Serves lines and, beside them, the pages of every service, until shutdown. `log_dropped` counts lines that the log
/// had no room for.
///
/// # Errors
/// One of the two ports cannot be listened on.
pub async fn serve(settings: Settings, process: kit::Process, log_dropped: Counter) -> Result<(), kit::Failure> {
    let kit::Process { http, mut registry, shutdown } = process;
    let metrics = Metrics::register(&mut registry, log_dropped);
    let pages = kit::http::listen(&http).await?;
    let lines = listen(&settings, settings.address(http.bind_address))?;
    let pages_end = kit::Shutdown::by_hand();
    let pages = tokio::spawn({
        let end = pages_end.clone();
        async move { kit::http::serve(pages, Router::new(), kit::Readiness::default(), registry, &http, &end).await }
    });

    answer(lines, Arc::new(settings), metrics, &shutdown).await;

    pages_end.begin();
    match timeout(PAGES_GRACE, pages).await {
        Ok(_) => tracing::info!("HTTP listener closed"),
        Err(_) => tracing::warn!("HTTP requests are still open and are cut off"),
    }
    tracing::info!("Server ended");
    Ok(())
}

fn listen(settings: &Settings, address: SocketAddr) -> Result<TcpListener, ListenError> {
    let open = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(settings.server_listen_backlog)?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    let (listener, bound) = open().map_err(|source| ListenError { address, source })?;
    tracing::info!("Serving lines on {bound}, backlog {}", settings.server_listen_backlog);
    Ok(listener)
}

/// Takes connections until shutdown; then closes the listener, and waits for the connections.
async fn answer(listener: TcpListener, settings: Arc<Settings>, metrics: Metrics, shutdown: &kit::Shutdown) {
    let places = Places::new(settings.places());
    let mut connections = JoinSet::new();
    loop {
        tracing::info!("Proceed to accept new connections");
        let next = async {
            let (stream, peer) = accept(&listener, &metrics).await;
            tracing::info!("Got connection from {peer}");
            ((stream, peer), places.take().await)
        };
        let (accepted, place) = tokio::select! {
            next = next => next,
            () = shutdown.wait() => break,
        };
        metrics.open.inc();
        let mut connection = Connection::new(accepted, Arc::clone(&settings), metrics.clone(), place);
        let open = metrics.open.clone();
        connections.spawn(async move {
            connection.serve().await;
            // While it still has its place: no more are told open than there are places.
            open.dec();
            drop(connection);
        });
        // Those that have ended need not be kept.
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    tracing::info!("Listener closed");
    close(&places, connections, &metrics).await;
}

async fn accept(listener: &TcpListener, metrics: &Metrics) -> (TcpStream, Peer) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                metrics.accepted.inc();
                return (stream, Peer(address));
            }
            Err(error) => {
                metrics.accept_failures.inc();
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// Lets each connection send its last answers.
async fn close(places: &Places, mut connections: JoinSet<()>, metrics: &Metrics) {
    while connections.try_join_next().is_some() {}
    tracing::info!("Closing {} connections", connections.len());
    places.close();
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(GRACE, all).await.is_err() {
        let left = connections.len();
        connections.abort_all();
        (0..left).for_each(|_| metrics.ended(Ended::CutOff));
        tracing::warn!("{left} connections did not take their answers in {GRACE:?} and were cut off");
    }
    tracing::info!("All connections closed");
}
