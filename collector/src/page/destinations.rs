//! The destinations: what waits for each, how old it is, and what went wrong.

use collector_remote::DestinationStatus;

use super::html::{Cell, Mood, bytes, span, table};

/// Appends the section.
pub fn push(out: &mut String, destinations: &[DestinationStatus], now_ms: i64) {
    let heads = ["Destination", "URL", "State", "Waiting", "Oldest unsent", "On disk", "Sent", "Dropped", "Last error"];
    let rows: Vec<Vec<Cell>> = destinations.iter().map(|d| row(d, now_ms)).collect();
    table(
        out,
        "destinations",
        "Destinations",
        &heads,
        &rows,
        "No destinations: neither remote_write nor influxdb_write.",
    );
}

fn row(destination: &DestinationStatus, now_ms: i64) -> Vec<Cell> {
    let (mood, state) = match (&destination.last_error, destination.last_success_ms) {
        (Some(_), _) => (Mood::Bad, "failing"),
        (None, Some(_)) => (Mood::Good, "delivering"),
        (None, None) => (Mood::Unknown, "nothing sent yet"),
    };
    let oldest =
        destination.oldest_unsent_ms.map_or_else(|| "none".to_owned(), |at| format!("{} old", span(now_ms - at)));
    let reasons: Vec<String> = destination
        .samples_dropped
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(reason, count)| format!("{count} {}", reason.replace('_', " ")))
        .chain((destination.samples_failed > 0).then(|| format!("{} refused", destination.samples_failed)))
        .collect();
    let trouble = destination
        .last_error
        .as_ref()
        .map(|e| format!("{} ({} ago)", e.message, span(now_ms - e.at_ms)))
        .unwrap_or_default();
    vec![
        Cell::Text(destination.name.clone()),
        Cell::Code(destination.url.clone()),
        Cell::State(mood, state.to_owned()),
        Cell::Number(destination.pending_samples.to_string()),
        Cell::Number(oldest),
        Cell::Number(bytes(destination.disk_bytes)),
        Cell::Number(destination.samples_sent.to_string()),
        Cell::Text(if reasons.is_empty() { "none".to_owned() } else { reasons.join(", ") }),
        Cell::Trouble(trouble),
    ]
}
