//! `rules`, `alerts`, `alertmanagers`.

use axum::extract::State;
use axum::response::Response;
use collector_model::Labels;
use collector_ruler::{Alert, GroupSnapshot, RuleKind, RuleSnapshot};
use serde_json::{Map, Value, json};

use super::error::{ApiError, success_value};
use super::params::Params;
use super::status::{NEVER, rfc3339};
use crate::Shared;

/// `/api/v1/rules`
pub async fn rules(State(shared): State<Shared>, params: Params) -> Result<Response, ApiError> {
    let wanted = Wanted::read(&params)?;
    let groups: Vec<Value> = shared.ruler.snapshot().iter().filter_map(|group| wanted.group(group)).collect();
    Ok(success_value(&json!({ "groups": groups })))
}

/// `/api/v1/alerts`
pub async fn alerts(State(shared): State<Shared>) -> Response {
    let mut active = Vec::new();
    for rule in shared.ruler.snapshot().iter().flat_map(|group| &group.rules) {
        if let RuleKind::Alerting { alerts, .. } = &rule.kind {
            active.extend(alerts.iter().map(alert));
        }
    }
    success_value(&json!({ "alerts": active }))
}

/// `/api/v1/alertmanagers`: alerts are shown and recorded, not sent, so there are none.
pub async fn alertmanagers() -> Response {
    success_value(&json!({ "activeAlertmanagers": [], "droppedAlertmanagers": [] }))
}

/// Which groups and rules a request asks for.
struct Wanted<'a> {
    kind: Option<String>,
    names: Vec<&'a str>,
    groups: Vec<&'a str>,
    files: Vec<&'a str>,
    exclude_alerts: bool,
}

impl<'a> Wanted<'a> {
    fn read(params: &'a Params) -> Result<Self, ApiError> {
        let kind = params.get("type").map(str::to_ascii_lowercase);
        if kind.as_deref().is_some_and(|kind| kind != "alert" && kind != "record") {
            return Err(ApiError::bad_parameter("type", "it must be alert or record"));
        }
        Ok(Self {
            kind,
            names: params.all("rule_name[]").collect(),
            groups: params.all("rule_group[]").collect(),
            files: params.all("file[]").collect(),
            exclude_alerts: params.get("exclude_alerts") == Some("true"),
        })
    }

    fn group(&self, group: &GroupSnapshot) -> Option<Value> {
        let asked = |list: &[&str], name: &str| list.is_empty() || list.contains(&name);
        if !asked(&self.groups, &group.name) || !asked(&self.files, &group.file) {
            return None;
        }
        let rules: Vec<Value> = group
            .rules
            .iter()
            .filter(|rule| asked(&self.names, &rule.name))
            .filter(|rule| match &self.kind {
                Some(kind) => (kind == "record") == matches!(rule.kind, RuleKind::Recording { .. }),
                None => true,
            })
            .map(|one| self.rule(one))
            .collect();
        let narrowed = self.kind.is_some() || !self.names.is_empty();
        if narrowed && rules.is_empty() {
            return None;
        }
        Some(json!({
            "name": group.name,
            "file": group.file,
            "rules": rules,
            "interval": group.interval.0.as_secs_f64(),
            "limit": group.limit,
            "evaluationTime": group.last_duration.as_secs_f64(),
            "lastEvaluation": group.last_evaluation_ms.map_or_else(|| NEVER.to_owned(), rfc3339),
        }))
    }

    fn rule(&self, rule: &RuleSnapshot) -> Value {
        let mut fields = Map::new();
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        set("name", json!(rule.name));
        set("query", json!(rule.query));
        set("health", json!(rule.health.as_str()));
        set("evaluationTime", json!(rule.last_duration.as_secs_f64()));
        set("lastEvaluation", json!(rule.last_evaluation_ms.map_or_else(|| NEVER.to_owned(), rfc3339)));
        // Prometheus leaves a recording rule's labels out when there are none.
        if !rule.labels.is_empty() || matches!(rule.kind, RuleKind::Alerting { .. }) {
            set("labels", object(&rule.labels));
        }
        if let Some(error) = &rule.last_error {
            set("lastError", json!(error));
        }
        match &rule.kind {
            RuleKind::Recording { .. } => {
                set("type", json!("recording"));
            }
            RuleKind::Alerting { hold, keep_firing_for, annotations, state, alerts } => {
                set("type", json!("alerting"));
                set("state", json!(state.as_str()));
                set("duration", json!(hold.0.as_secs_f64()));
                set("keepFiringFor", json!(keep_firing_for.0.as_secs_f64()));
                set("annotations", object(annotations));
                let shown: Vec<Value> = alerts.iter().filter(|_| !self.exclude_alerts).map(alert).collect();
                set("alerts", json!(shown));
            }
        }
        Value::Object(fields)
    }
}

fn alert(alert: &Alert) -> Value {
    let mut value = String::new();
    super::json::push_exponent(&mut value, alert.value);
    json!({
        "labels": object(&alert.labels),
        "annotations": object(&alert.annotations),
        "state": alert.state.as_str(),
        "activeAt": rfc3339(alert.active_at_ms),
        "value": value,
    })
}

/// A label set as a JSON object.
pub fn object(labels: &Labels) -> Value {
    Value::Object(labels.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect())
}
