//! The rules: what each last gave, how long it took, and what went wrong.

use collector_ruler::{GroupSnapshot, Health, RuleKind};

use super::html::{Cell, Mood, number, span, table};

/// Appends the section.
pub fn push(out: &mut String, groups: &[GroupSnapshot], now_ms: i64) {
    let heads = ["Group", "Rule", "State", "Last value", "Series", "Evaluated", "Took", "Last error"];
    let mut rows = Vec::new();
    for group in groups {
        for rule in &group.rules {
            let mood = match rule.health {
                Health::Ok => Mood::Good,
                Health::Err => Mood::Bad,
                Health::Unknown => Mood::Unknown,
            };
            let (value, count) = match &rule.kind {
                RuleKind::Recording { series, sample } => {
                    let value = sample.as_ref().map(|s| number(s.value));
                    (value.unwrap_or_else(|| "none".to_owned()), *series)
                }
                RuleKind::Alerting { state, alerts, .. } => (state.as_str().to_owned(), alerts.len()),
            };
            let age =
                rule.last_evaluation_ms.map_or_else(|| "never".to_owned(), |at| format!("{} ago", span(now_ms - at)));
            rows.push(vec![
                Cell::Text(group.name.clone()),
                Cell::Code(rule.name.clone()),
                Cell::State(mood, rule.health.as_str().to_owned()),
                Cell::Number(value),
                Cell::Number(count.to_string()),
                Cell::Number(age),
                Cell::Number(format!("{:.1} ms", rule.last_duration.as_secs_f64() * 1000.0)),
                Cell::Trouble(rule.last_error.clone().unwrap_or_default()),
            ]);
        }
    }
    table(out, "rules", "Rules", &heads, &rows, "No rules: rule_files is empty.");
}
