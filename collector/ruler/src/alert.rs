//! The life of alerts: inactive, pending, firing, inactive again.

use std::collections::HashMap;

use collector_model::{Labels, METRIC_NAME, TimestampMs};
use collector_promql::VectorSample;

use crate::evaluation::EvaluationError;
use crate::file::AlertingRule;
use crate::template::{Template, TemplateData};

/// The series that says which alerts are active.
const ALERTS: &str = "ALERTS";
/// The series that remembers since when: its value is that time in seconds.
pub(crate) const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";

/// How far an alert has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertState {
    /// Its condition does not hold.
    Inactive,
    /// Its condition holds, not yet for long enough.
    Pending,
    /// Its condition has held for long enough.
    Firing,
}

impl AlertState {
    /// As `alertstate` and the API write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
        }
    }
}

/// One active alert of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// With `alertname`, the rule's labels and those of the sample behind it.
    pub labels: Labels,
    /// Expanded annotations.
    pub annotations: Labels,
    /// Pending or firing.
    pub state: AlertState,
    /// The value of the expression when it was last there.
    pub value: f64,
    /// Since when the condition holds.
    pub active_at_ms: TimestampMs,
    /// Since when it fires.
    pub fired_at_ms: Option<TimestampMs>,
    /// Since when it only fires on because of `keep_firing_for`.
    pub keep_firing_since_ms: Option<TimestampMs>,
}

/// What templates and labels of alerts take from the configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AlertContext {
    pub(crate) external_labels: Labels,
    pub(crate) external_url: String,
}

/// The active alerts of one rule.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alerts {
    active: HashMap<Labels, Alert>,
}

impl Alerts {
    /// Moves every alert on to the time `at_ms`, given the expression's result at that time.
    pub(crate) fn update(
        &mut self,
        rule: &AlertingRule,
        labels: &[(String, Template)],
        result: &[VectorSample],
        context: &AlertContext,
        at_ms: TimestampMs,
    ) -> Result<(), EvaluationError> {
        let mut seen: HashMap<Labels, Alert> = HashMap::with_capacity(result.len());
        for sample in result {
            let alert = new_alert(rule, labels, sample, context, at_ms);
            if let Some(twin) = seen.insert(alert.labels.clone(), alert) {
                return Err(EvaluationError::DuplicateSeries(twin.labels));
            }
        }
        self.active.retain(|labels, alert| seen.contains_key(labels) || fires_on(rule, alert, at_ms));
        for (labels, found) in seen {
            match self.active.get_mut(&labels) {
                Some(alert) => {
                    alert.value = found.value;
                    alert.annotations = found.annotations;
                    alert.keep_firing_since_ms = None;
                }
                None => {
                    self.active.insert(labels, found);
                }
            }
        }
        for alert in self.active.values_mut() {
            if alert.state == AlertState::Pending && at_ms - alert.active_at_ms >= rule.hold.as_millis() {
                alert.state = AlertState::Firing;
                alert.fired_at_ms = Some(at_ms);
            }
        }
        Ok(())
    }

    /// Takes over since when alerts were active before this process: `states` are the samples of
    /// `ALERTS_FOR_STATE`.
    pub(crate) fn restore(&mut self, rule: &AlertingRule, states: &[VectorSample], at_ms: TimestampMs) {
        for state in states {
            let active_at_ms = (state.value * 1000.0) as TimestampMs;
            if let Some(alert) = self.active.get_mut(&state.labels.without_name())
                && active_at_ms < alert.active_at_ms
            {
                alert.active_at_ms = active_at_ms;
                if at_ms - active_at_ms >= rule.hold.as_millis() {
                    alert.state = AlertState::Firing;
                    alert.fired_at_ms = Some(at_ms);
                }
            }
        }
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.active.clear();
    }

    /// How many are active.
    pub(crate) fn len(&self) -> usize {
        self.active.len()
    }

    /// The active alerts, sorted by labels.
    pub(crate) fn list(&self) -> Vec<Alert> {
        let mut alerts: Vec<Alert> = self.active.values().cloned().collect();
        alerts.sort_by(|a, b| a.labels.cmp(&b.labels));
        alerts
    }

    /// The series that tell of them.
    pub(crate) fn series(&self) -> Vec<VectorSample> {
        let mut series = Vec::with_capacity(2 * self.active.len());
        for alert in self.active.values() {
            let mut state = alert.labels.to_builder();
            state.set(METRIC_NAME, ALERTS).set("alertstate", alert.state.as_str());
            series.push(VectorSample { labels: state.build(), value: 1.0 });
            let mut since = alert.labels.to_builder();
            since.set(METRIC_NAME, ALERTS_FOR_STATE);
            // Whole seconds, as Prometheus writes it and reads it back.
            let value = alert.active_at_ms.div_euclid(1000) as f64;
            series.push(VectorSample { labels: since.build(), value });
        }
        series
    }
}

fn new_alert(
    rule: &AlertingRule,
    labels: &[(String, Template)],
    sample: &VectorSample,
    context: &AlertContext,
    at_ms: TimestampMs,
) -> Alert {
    let data = TemplateData {
        labels: &sample.labels,
        value: sample.value,
        external_labels: &context.external_labels,
        external_url: &context.external_url,
    };
    // A template that fails must not cost the alert: the reader sees why in its place.
    let expand = |template: &Template| {
        template.expand(&data).unwrap_or_else(|error| format!("<error expanding template: {error}>"))
    };
    let mut builder = sample.labels.without_name().to_builder();
    for (name, template) in labels {
        builder.set(name, expand(template));
    }
    builder.set("alertname", &rule.alert);
    Alert {
        labels: builder.build(),
        annotations: Labels::from_pairs(rule.annotations.iter().map(|(name, template)| (name, expand(template)))),
        state: AlertState::Pending,
        value: sample.value,
        active_at_ms: at_ms,
        fired_at_ms: None,
        keep_firing_since_ms: None,
    }
}

/// Whether an alert whose condition is gone fires on because of `keep_firing_for`.
fn fires_on(rule: &AlertingRule, alert: &mut Alert, at_ms: TimestampMs) -> bool {
    let keep_ms = rule.keep_firing_for.as_millis();
    if alert.state != AlertState::Firing || keep_ms == 0 {
        return false;
    }
    let since = *alert.keep_firing_since_ms.get_or_insert(at_ms);
    at_ms - since < keep_ms
}
