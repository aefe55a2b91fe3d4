//! The targets: health, when and how long, and what went wrong.

use collector_scrape::{ActiveTarget, Health, Targets};

use super::html::{Cell, Mood, span, table};

/// Whether the last scrape went well.
pub fn is_up(target: &ActiveTarget) -> bool {
    target.health == Health::Up
}

/// Appends the section.
pub fn push(out: &mut String, targets: &Targets, now_ms: i64) {
    let heads = ["Job", "Endpoint", "State", "Labels", "Scraped", "Took", "Interval", "Last error"];
    let rows: Vec<Vec<Cell>> = targets.active.iter().map(|target| row(target, now_ms)).collect();
    table(out, "targets", "Targets", &heads, &rows, "No targets: scrape_configs is empty, or discovery found none.");
    let dropped: usize = targets.dropped_counts.values().sum();
    if dropped > 0 {
        out.push_str(&format!("<p class=\"empty\">{dropped} discovered targets were dropped by relabelling.</p>"));
    }
}

fn row(target: &ActiveTarget, now_ms: i64) -> Vec<Cell> {
    let mood = match target.health {
        Health::Up => Mood::Good,
        Health::Down => Mood::Bad,
        Health::Unknown => Mood::Unknown,
    };
    let age = target.last_scrape_ms.map_or_else(|| "never".to_owned(), |at| format!("{} ago", span(now_ms - at)));
    let interval = i64::try_from(target.interval.as_millis()).unwrap_or(i64::MAX);
    vec![
        Cell::Text(target.scrape_pool.clone()),
        Cell::Code(target.scrape_url.clone()),
        Cell::State(mood, target.health.as_str().to_owned()),
        Cell::Code(target.labels.to_string()),
        Cell::Number(age),
        Cell::Number(format!("{:.1} ms", target.last_duration.as_secs_f64() * 1000.0)),
        Cell::Number(span(interval)),
        Cell::Trouble(target.last_error.clone().unwrap_or_default()),
    ]
}
