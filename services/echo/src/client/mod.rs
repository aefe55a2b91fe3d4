//! The client: a message each period, over a connection of its own, until the lapse is over.

mod exchange;
mod file;
mod settings;

use std::time::Duration;

use axum::Router;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use services_kit as kit;
use tokio::time::{Instant, sleep, timeout};

pub use exchange::{ExchangeError, exchange};
pub use file::read as read_file;
pub use settings::{Id, IdError, Settings};

/// How long HTTP, if there is any, may take after the last message.
const PAGES_GRACE: Duration = Duration::from_millis(150);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    reason: &'static str,
}

#[derive(Default)]
struct Metrics {
    answered: Counter,
    failed: Family<Why, Counter>,
}

impl Metrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("echo_client");
        registry.register("messages_answered", "Messages that the server answered", metrics.answered.clone());
        registry.register("messages_failed", "Messages without an answer, by reason", metrics.failed.clone());
        metrics
    }
}

/// Sends until the lapse is over or the process is told to end. A message that fails is logged, and the next is sent
/// as if it had not. Serves the pages of every service where a port is given for them.
///
/// # Errors
/// The port cannot be listened on.
pub async fn run(settings: Settings, process: kit::Process) -> Result<(), kit::Failure> {
    let kit::Process { http, mut registry, shutdown } = process;
    let metrics = Metrics::register(&mut registry);
    let pages_end = kit::Shutdown::by_hand();
    let mut pages = None;
    if http.bind_port != 0 {
        let listener = kit::http::listen(&http).await?;
        let end = pages_end.clone();
        pages = Some(tokio::spawn(async move {
            kit::http::serve(listener, Router::new(), kit::Readiness::default(), registry, &http, &end).await;
        }));
    }
    send(&settings, &metrics, &shutdown).await;
    pages_end.begin();
    if let Some(pages) = pages {
        // What is still open then is a page of metrics: nothing is lost.
        let _ = timeout(PAGES_GRACE, pages).await;
    }
    Ok(())
}

async fn send(settings: &Settings, metrics: &Metrics, shutdown: &kit::Shutdown) {
    let Id(id) = &settings.cli_id;
    let (began, mut number) = (Instant::now(), 1_u64);
    while began.elapsed() < settings.cli_loop_lapse {
        let message = format!("[CLIENT {id}] Message number {number} sent");
        tokio::select! {
            answer = exchange(&settings.cli_server_address, &message) => tell(id, number, answer, metrics),
            () = shutdown.wait() => {
                tracing::info!("[CLIENT {id}] Closing connection");
                break;
            }
        }
        tokio::select! {
            () = sleep(settings.cli_loop_period) => number += 1,
            () = shutdown.wait() => break,
        }
    }
    tracing::info!("[CLIENT {id}] Main loop finished");
}

fn tell(id: &str, number: u64, answer: Result<String, ExchangeError>, metrics: &Metrics) {
    match answer {
        Ok(answer) => {
            metrics.answered.inc();
            tracing::info!("[CLIENT {id}] Message from server: {answer}");
        }
        Err(error) => {
            metrics.failed.get_or_create(&Why { reason: error.label() }).inc();
            let cause = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            tracing::error!("[CLIENT {id}] Message number {number} failed: {error}{cause}");
        }
    }
}
