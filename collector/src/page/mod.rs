//! The page at `/`: targets, rules and destinations, each with its health and what last went wrong. Rendered here,
//! whole without scripts, and needing nothing from the internet.

mod destinations;
mod html;
mod rules;
mod targets;

use axum::extract::State;
use axum::response::Html;

use crate::Shared;

/// `/`
pub async fn page(State(shared): State<Shared>) -> Html<String> {
    let now_ms = shared.clock.now_ms();
    let (targets, groups, destinations) =
        (shared.scrapes.targets(), shared.ruler.snapshot(), shared.destinations.snapshot());
    let status = shared.window.status(0);
    let up = targets.active.iter().filter(|t| targets::is_up(t)).count();
    let summary = html::escape(&format!(
        "{up} of {} targets up, {} rules, {} destinations; the window holds {} series and {} of samples.",
        targets.active.len(),
        groups.iter().map(|g| g.rules.len()).sum::<usize>(),
        destinations.len(),
        status.series,
        match (status.min_ms, status.max_ms) {
            (Some(min), Some(max)) => html::span(max - min),
            _ => "nothing".to_owned(),
        },
    ));
    let mut sections = String::new();
    targets::push(&mut sections, &targets, now_ms);
    rules::push(&mut sections, &groups, now_ms);
    destinations::push(&mut sections, &destinations, now_ms);
    Html(html::document("Atalaia collector", &summary, &sections))
}
