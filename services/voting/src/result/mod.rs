//! The page that shows the result, live.
//!
//! One task asks PostgreSQL each second, however many look. What it learns goes to everyone over server-sent events,
//! already in words, so that the page's script only puts texts in places.

mod metrics;
mod pages;
mod poll;
mod tally;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use services_kit as kit;
use tokio::sync::watch;

use crate::page::file;
use crate::{database, options};

/// What it needs to know.
#[derive(Clone, clap::Args)]
pub struct Settings {
    /// What is voted on.
    #[command(flatten)]
    pub options: options::Settings,
    /// Where votes are stored.
    #[command(flatten)]
    pub database: database::Settings,
    /// Browsers that follow the result live at once; further ones are told 503, and ask again by themselves.
    #[arg(long, env = "MAX_LISTENERS", default_value = "800", value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_listeners: u32,
}

/// Shows the result until shutdown.
///
/// # Errors
/// `DATABASE_URL` is wrong, or the address cannot be listened on.
pub async fn serve(settings: Settings, mut process: kit::Process) -> Result<(), kit::Failure> {
    let metrics = metrics::Metrics::register(&mut process.registry);
    let known = watch::Sender::new(poll::Known::default());
    let board = Arc::new(pages::Board::new(&settings, known.subscribe(), metrics.clone(), process.shutdown.clone()));
    let asked = known.subscribe();
    let readiness = kit::Readiness::default().with("postgres", move || {
        let trouble = asked.borrow().trouble.clone();
        async move { trouble.map_or(Ok(()), Err) }
    });
    let router = Router::new()
        .route("/", get(pages::page))
        .route("/api/result", get(pages::api))
        .route("/events", get(pages::events))
        .with_state(board)
        .route("/result.css", file("text/css; charset=utf-8", include_str!("../../page/result.css")))
        .route("/base.css", file("text/css; charset=utf-8", include_str!("../../page/base.css")))
        .route("/result.js", file("text/javascript; charset=utf-8", include_str!("../../page/result.js")));
    let polling = poll::run(settings.database.target()?, known, metrics, process.shutdown.clone());
    let (served, ()) = tokio::join!(process.serve(router, readiness), polling);
    served
}
