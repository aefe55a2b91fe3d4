//! The page, its data, and the events that keep it current.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, RETRY_AFTER};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use services_kit as kit;
use tokio::sync::{Semaphore, watch};

use super::Settings;
use super::metrics::Metrics;
use super::poll::Known;
use super::tally::{Tally, View};
use crate::options;
use crate::page::{self, Template};

const PAGE: Template = Template(include_str!("../../page/result.html"));
/// How often a comment is sent when nothing changes, so that a peer that has gone is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a browser waits before it connects again.
const RETRY: Duration = Duration::from_secs(2);

/// What the handlers share.
pub struct Board {
    options: options::Settings,
    known: watch::Receiver<Known>,
    metrics: Metrics,
    places: Arc<Semaphore>,
    shutdown: kit::Shutdown,
}

impl Board {
    /// One that shows what is known.
    pub fn new(settings: &Settings, known: watch::Receiver<Known>, metrics: Metrics, shutdown: kit::Shutdown) -> Self {
        let places = Arc::new(Semaphore::new(settings.max_listeners as usize));
        Self { options: settings.options.clone(), known, metrics, places, shutdown }
    }
}

fn view(known: &Known) -> View {
    View::new(known.tally, known.trouble.is_some())
}

/// `GET /`: the page as of now; its script keeps it current, and without scripts it is loaded anew every 5 s.
pub async fn page(State(board): State<Arc<Board>>) -> Response {
    let view = view(&board.known.borrow());
    let page = PAGE.fill(&[
        ("option_a", &board.options.option_a),
        ("option_b", &board.options.option_b),
        ("percent_a", &view.percent_a),
        ("percent_b", &view.percent_b),
        ("votes_a", &view.votes_a),
        ("votes_b", &view.votes_b),
        ("total", &view.total),
        ("problem", &view.problem),
    ]);
    page::html(page)
}

/// `GET /api/result`: `{"a":2,"b":1}`, with `"stale":true` when PostgreSQL is away; 503 if nothing is known yet.
pub async fn api(State(board): State<Arc<Board>>) -> Result<Response, kit::Refusal> {
    #[derive(Serialize)]
    struct Body {
        #[serde(flatten)]
        tally: Tally,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        stale: bool,
    }
    let known = board.known.borrow().clone();
    let tally = known.tally.ok_or_else(|| kit::Refusal::unavailable("the database is away and no votes are known"))?;
    let body = Json(Body { tally, stale: known.trouble.is_some() });
    Ok(([(CACHE_CONTROL, HeaderValue::from_static("no-store"))], body).into_response())
}

/// `GET /events`: the view as JSON, at once and then at each change; 503 if too many listen.
pub async fn events(State(board): State<Arc<Board>>) -> Response {
    let Ok(place) = board.places.clone().try_acquire_owned() else {
        board.metrics.listener_refused();
        let refused = kit::Refusal::unavailable("too many listen already; /api/result answers everyone");
        return ([(RETRY_AFTER, HeaderValue::from_static("5"))], refused).into_response();
    };
    let mut known = board.known.clone();
    known.mark_changed();
    let listener = (place, board.metrics.listener());
    let sent = stream::unfold((board, known, listener), |(board, mut known, listener)| async move {
        tokio::select! {
            changed = known.changed() => changed.ok()?,
            () = board.shutdown.wait() => return None,
        }
        let view = view(&known.borrow_and_update());
        // Texts can always be written as JSON.
        let data = serde_json::to_string(&view).unwrap_or_default();
        let event = Event::default().retry(RETRY).data(data);
        Some((Ok::<_, Infallible>(event), (board, known, listener)))
    });
    Sse::new(sent).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_a_place_for_each_text_and_no_other() {
        let names = ["option_a", "option_b", "percent_a", "percent_b", "votes_a", "votes_b", "total", "problem"];
        let texts: Vec<(&str, &str)> = names.iter().map(|name| (*name, *name)).collect();
        for name in names {
            assert!(PAGE.0.contains(&format!("{{{{{name}}}}}")), "{name}");
        }
        let places = PAGE.0.matches("{{").count();
        let filled = PAGE.fill(&texts);
        assert!(!filled.contains("{{") && places >= names.len());
    }
}
