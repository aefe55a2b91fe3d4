//! The file transfer service.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use services_file_transfer::metrics::Metrics;
use services_file_transfer::routes::{self, App};
use services_file_transfer::store::{Limits, Store, StoreError};
use services_kit as kit;
use tokio::task::spawn_blocking;

#[derive(Debug, clap::Args)]
struct Settings {
    /// Folder that holds the files; made if it is missing. Replicas may share it.
    #[arg(long, env = "FILES_DIR", default_value = "files", value_name = "PATH")]
    files_dir: PathBuf,
    /// Largest file that is taken, in bytes.
    #[arg(long, env = "MAX_FILE_BYTES", default_value = "10737418240", value_name = "BYTES")]
    max_file_bytes: u64,
    /// Bytes that uploads leave free on the volume.
    #[arg(long, env = "MIN_FREE_BYTES", default_value = "104857600", value_name = "BYTES")]
    min_free_bytes: u64,
    /// Seconds between sweeps, which remove what uploads of dead replicas left and count the files.
    #[arg(long, env = "SWEEP_INTERVAL_SECONDS", default_value = "60", value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    sweep_interval_seconds: u32,
}

async fn serve(settings: Settings, mut process: kit::Process) -> Result<(), kit::Failure> {
    let limits = Limits { file_bytes: settings.max_file_bytes, free_bytes: settings.min_free_bytes };
    let store = spawn_blocking(move || Store::open(&settings.files_dir, limits)).await??;
    let metrics = Metrics::register(&mut process.registry);
    tokio::spawn(sweep(store.clone(), metrics.clone(), Duration::from_secs(settings.sweep_interval_seconds.into())));
    let checked = store.clone();
    let readiness = kit::Readiness::default().with("files", move || {
        let store = checked.clone();
        async move {
            let checked = spawn_blocking(move || store.check()).await;
            checked.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
        }
    });
    process.serve(routes::router(App::new(store, metrics)), readiness).await
}

/// Sweeps now and at every interval.
async fn sweep(store: Store, metrics: Metrics, interval: Duration) {
    let mut times = tokio::time::interval(interval);
    times.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        times.tick().await;
        let (store, metrics) = (store.clone(), metrics.clone());
        let swept = spawn_blocking(move || {
            let swept = store.sweep()?;
            metrics.swept(swept, &store.list()?, store.room()?);
            Ok::<_, StoreError>(swept)
        });
        match swept.await {
            Ok(Ok(swept)) if swept.removed > 0 => {
                tracing::info!(removed = swept.removed, kept = swept.kept, "removed leftovers of unfinished uploads");
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot sweep"),
            // Only a panic ends it early, and that has been told.
            Err(_) => {}
        }
    }
}

fn main() -> ExitCode {
    let about = "Keeps files: upload, download, list, delete.";
    kit::run(&kit::Program { name: "file-transfer", about, port: 5001 }, serve)
}
