//! The page that takes votes and queues them.
//!
//! A vote that was answered with 200 is on the list. One that was not says so: either it was never sent, or nobody can
//! tell, and voting again is safe, as only the last vote of a voter counts.

mod desk;
mod metrics;
mod voter;

use axum::Router;
use axum::routing::get;
use services_kit as kit;

use crate::options;
use crate::page::file;

/// What it needs to know.
#[derive(Clone, Debug, clap::Args)]
pub struct Settings {
    /// What is voted on.
    #[command(flatten)]
    pub options: options::Settings,
    /// Where votes are queued.
    #[command(flatten)]
    pub redis: kit::redis::Settings,
}

/// Takes votes until shutdown.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve(settings: Settings, mut process: kit::Process) -> Result<(), kit::Failure> {
    let redis = kit::redis::Client::new(settings.redis);
    let asked = redis.clone();
    let readiness = kit::Readiness::default().with("redis", move || {
        let redis = asked.clone();
        async move { redis.ping().await }
    });
    let desk = desk::Desk::new(settings.options, redis, metrics::Metrics::register(&mut process.registry));
    let router = Router::new()
        .route("/", get(desk::show).post(desk::take))
        .with_state(desk)
        .route("/vote.css", file("text/css; charset=utf-8", include_str!("../../page/vote.css")))
        .route("/base.css", file("text/css; charset=utf-8", include_str!("../../page/base.css")));
    process.serve(router, readiness).await
}
