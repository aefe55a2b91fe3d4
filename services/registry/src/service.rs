//! The service: a store behind three routes.

use std::path::PathBuf;
use std::time::Duration;

use services_kit as kit;

use crate::metrics::Metrics;
use crate::routes;
use crate::store::Store;

/// How often to see how many records there are, which other processes add to.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// The service's own settings.
#[derive(Clone, Debug, clap::Args)]
pub struct Settings {
    /// Folder of the records; several registries on one machine may share it.
    #[arg(long, env = "DATA_DIR", default_value = "data", value_name = "PATH")]
    pub data_dir: PathBuf,
}

/// Serves until shutdown.
///
/// # Errors
/// The store cannot be opened, or the address not be listened on.
pub async fn serve(settings: Settings, mut process: kit::Process) -> Result<(), kit::Failure> {
    let metrics = Metrics::register(&mut process.registry);
    let store = Store::open(&settings.data_dir, metrics.clone())?;
    tokio::spawn(keep_counting(store.clone()));
    let asked = store.clone();
    let readiness = kit::Readiness::default().with("store", move || {
        let store = asked.clone();
        async move { store.probe().await.map_err(|error| routes::in_one_line(&*error)) }
    });
    process.serve(routes::router(store, metrics), readiness).await
}

async fn keep_counting(store: Store) {
    let mut ticks = tokio::time::interval(COUNT_EVERY);
    loop {
        ticks.tick().await;
        if let Err(error) = store.newest().await {
            tracing::debug!(error = routes::in_one_line(&*error), "cannot count the records");
        }
    }
}
