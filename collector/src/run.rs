//! Runs the collector in the foreground until a signal or `/-/quit` stops it.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use atalaia_agent::{Limits, serve};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::collector::{Collector, StartError, load};
use crate::config::ConfigError;
use crate::flags::Flags;
use crate::{Shared, api};

/// How often the window is given time for what is due.
const MAINTENANCE: Duration = Duration::from_secs(1);

/// Why the collector did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum RunError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Listen(#[from] atalaia_agent::ListenError),
    #[error("--web.external-url={url:?} is not a URL")]
    ExternalUrl { url: String },
    #[error("--web.route-prefix={prefix:?} holds one of {{ }} * :, which no route may")]
    RoutePrefix { prefix: String },
    #[error("cannot use the runtime")]
    Runtime(#[from] std::io::Error),
}

/// Runs; 0 when it was told to stop and did, 1 when it could not start.
pub fn run(flags: Flags) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("collector").build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&RunError::from(error)),
    };
    match runtime.block_on(serve_until_stopped(flags)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &RunError) -> ExitCode {
    tracing::error!(error = api::chain(error), "cannot start");
    ExitCode::FAILURE
}

async fn serve_until_stopped(flags: Flags) -> Result<(), RunError> {
    let loaded = load(&flags)?;
    let prefix = route_prefix(&flags)?;
    // The ports first: a second collector by mistake must not get as far as the data.
    let mut listeners = Vec::new();
    for address in &flags.listen_addresses {
        listeners.push(TcpListener::from_std(atalaia_agent::listen(address)?)?);
    }
    let (mut hangup, mut terminate, mut interrupt) =
        (signal(SignalKind::hangup())?, signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);

    let collector = Collector::start(flags, prefix, loaded)?;
    let maintenance = maintain(&collector);
    let (stopped, _) = watch::channel(false);
    let limits = Limits {
        connections: collector.flags.max_connections,
        idle: collector.flags.read_timeout.0,
        ..Limits::default()
    };
    let mut servers = tokio::task::JoinSet::new();
    for listener in listeners {
        let address = listener.local_addr()?;
        servers.spawn(serve(listener, api::router(Arc::clone(&collector)), limits, stopped.subscribe()));
        tracing::info!(%address, "listening");
    }
    loop {
        tokio::select! {
            _ = hangup.recv() => {
                // Logged where it is done.
                let _ = collector.reload().await;
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = collector.stop.notified() => break,
        }
    }
    tracing::info!("stopping");
    stopped.send_replace(true);
    collector.stop().await;
    maintenance.abort();
    while servers.join_next().await.is_some() {}
    tracing::info!("stopped");
    Ok(())
}

fn maintain(collector: &Shared) -> tokio::task::JoinHandle<()> {
    let window = Arc::clone(&collector.window);
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(MAINTENANCE);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let window = Arc::clone(&window);
            if tokio::task::spawn_blocking(move || window.maintain()).await.is_err() {
                tracing::error!("the window's maintenance ended abnormally and is tried again");
            }
        }
    })
}

/// The prefix of every route: the flag's, or the path of the external URL; empty or `/like/this`.
fn route_prefix(flags: &Flags) -> Result<String, RunError> {
    let parse = |text: &String| url::Url::parse(text).map_err(|_| RunError::ExternalUrl { url: text.clone() });
    let external = flags.external_url.as_ref().map(parse).transpose()?;
    let path = match (&flags.route_prefix, external) {
        (Some(prefix), _) => prefix.clone(),
        (None, Some(url)) => url.path().to_owned(),
        (None, None) => String::new(),
    };
    // The router would take these characters for patterns.
    if path.contains(['{', '}', '*', ':']) {
        return Err(RunError::RoutePrefix { prefix: path });
    }
    let trimmed = path.trim_matches('/');
    Ok(if trimmed.is_empty() { String::new() } else { format!("/{trimmed}") })
}
