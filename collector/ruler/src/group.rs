//! One group of rules: evaluated one after the other, each seeing what those before it wrote.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use collector_model::{Labels, METRIC_NAME, PromDuration, Rejection, TimestampMs};
use collector_promql::{Value, VectorSample};

use crate::alert::{ALERTS_FOR_STATE, Alert, AlertContext, AlertState, Alerts};
use crate::evaluation::{EvaluationError, Ports};
use crate::file::{AlertingRule, Pairs, RecordingRule, Rule, RuleGroup, merged};
use crate::snapshot::{GroupSnapshot, Health, RuleKind, RuleSnapshot};
use crate::template::Template;
use crate::writer::{self, Written};

/// What a group takes from the global configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// For groups that name no interval of their own (`evaluation_interval`).
    pub evaluation_interval: PromDuration,
    /// For groups that name no offset of their own (`rule_query_offset`).
    pub query_offset: PromDuration,
    /// For templates; they are not added to results.
    pub external_labels: Labels,
    /// For templates: where users reach this collector.
    pub external_url: String,
}

impl Default for Settings {
    /// Prometheus's: every minute, without offset.
    fn default() -> Self {
        Self {
            evaluation_interval: PromDuration::from_secs(60),
            query_offset: PromDuration::default(),
            external_labels: Labels::empty(),
            external_url: String::new(),
        }
    }
}

/// Everything that makes a group what it is: two equal ones behave alike, so that a reload leaves the running one
/// alone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Definition {
    pub(crate) file: String,
    pub(crate) group: RuleGroup,
    pub(crate) interval: PromDuration,
    pub(crate) query_offset: PromDuration,
    context: AlertContext,
}

impl Definition {
    pub(crate) fn new(file: &str, group: RuleGroup, settings: &Settings) -> Self {
        Self {
            file: file.to_owned(),
            interval: group.interval.unwrap_or(settings.evaluation_interval),
            query_offset: group.query_offset.unwrap_or(settings.query_offset),
            context: AlertContext {
                external_labels: settings.external_labels.clone(),
                external_url: settings.external_url.clone(),
            },
            group,
        }
    }
}

/// What one evaluation of a group did.
#[derive(Debug, Default)]
pub struct GroupOutcome {
    /// Rules evaluated; fewer than the group has when it was told to stop.
    pub evaluated: usize,
    /// The rules that failed, by position, each with the reason.
    pub failures: Vec<(usize, EvaluationError)>,
    /// Samples written, without stale markers.
    pub samples: usize,
    /// Samples that the window refused, by reason.
    pub rejected: Vec<(Rejection, usize)>,
}

/// A group of rules with all that it remembers from one evaluation to the next. Evaluating is synchronous and
/// takes the time from its caller, so that unit tests of rules run the very same code.
#[derive(Debug)]
pub struct Group {
    definition: Definition,
    rules: Vec<RuleState>,
    /// Series of rules that are gone, to be ended at the next evaluation.
    orphans: Vec<Labels>,
    last_evaluation_ms: Option<TimestampMs>,
    last_duration: Duration,
}

#[derive(Debug)]
struct RuleState {
    kind: KindState,
    written: Written,
    health: Health,
    last_error: Option<String>,
    last_evaluation_ms: Option<TimestampMs>,
    last_duration: Duration,
}

#[derive(Debug)]
enum KindState {
    Recording { rule: RecordingRule, labels: Pairs, sample: Option<VectorSample> },
    Alerting { rule: AlertingRule, labels: Vec<(String, Template)>, alerts: Alerts, restore: bool },
}

impl KindState {
    fn name(&self) -> &str {
        match self {
            Self::Recording { rule, .. } => &rule.record,
            Self::Alerting { rule, .. } => &rule.alert,
        }
    }

    fn expr(&self) -> &str {
        match self {
            Self::Recording { rule, .. } => &rule.expr,
            Self::Alerting { rule, .. } => &rule.expr,
        }
    }

    /// The labels as written, the group's among them.
    fn labels(&self) -> Labels {
        match self {
            Self::Recording { labels, .. } => Labels::from_pairs(labels.iter().map(|(n, v)| (n.as_str(), v.as_str()))),
            Self::Alerting { labels, .. } => Labels::from_pairs(labels.iter().map(|(n, t)| (n.as_str(), t.source()))),
        }
    }
}

impl Group {
    /// A group that has not been evaluated yet.
    pub fn new(file: &str, group: RuleGroup, settings: &Settings) -> Self {
        Self::from_definition(Definition::new(file, group, settings))
    }

    pub(crate) fn from_definition(definition: Definition) -> Self {
        let group_labels = &definition.group.labels;
        // A group's label is plain text to recording rules and a template to alerts, if it is one.
        let template = |text: &String| Template::parse(text).unwrap_or_else(|_| Template::literal(text));
        let group_templates: Vec<(String, Template)> =
            group_labels.iter().map(|(name, value)| (name.clone(), template(value))).collect();
        let state = |rule: &Rule| RuleState {
            kind: match rule {
                Rule::Recording(rule) => KindState::Recording {
                    rule: rule.clone(),
                    labels: merged(group_labels, &rule.labels),
                    sample: None,
                },
                Rule::Alerting(rule) => KindState::Alerting {
                    rule: rule.clone(),
                    labels: merged(&group_templates, &rule.labels),
                    alerts: Alerts::default(),
                    restore: false,
                },
            },
            written: Written::new(),
            health: Health::Unknown,
            last_error: None,
            last_evaluation_ms: None,
            last_duration: Duration::ZERO,
        };
        Self {
            rules: definition.group.rules.iter().map(state).collect(),
            definition,
            orphans: Vec::new(),
            last_evaluation_ms: None,
            last_duration: Duration::ZERO,
        }
    }

    pub(crate) fn definition(&self) -> &Definition {
        &self.definition
    }

    /// Makes the first evaluation look into `ALERTS_FOR_STATE` for since when its alerts are active.
    pub(crate) fn restore_alerts(&mut self) {
        for rule in &mut self.rules {
            if let KindState::Alerting { restore, .. } = &mut rule.kind {
                *restore = true;
            }
        }
    }

    /// Takes over what an earlier version of the group remembers: rules that are the same go on, the series of
    /// the others end at the next evaluation.
    pub(crate) fn adopt(&mut self, earlier: Self) {
        let mut old: Vec<Option<RuleState>> = earlier.rules.into_iter().map(Some).collect();
        for new in &mut self.rules {
            let (name, labels) = (new.kind.name().to_owned(), new.kind.labels());
            let same = |old: &RuleState| old.kind.name() == name && old.kind.labels() == labels;
            let slot = old.iter_mut().find(|slot| slot.as_ref().is_some_and(same));
            let Some(before) = slot.and_then(Option::take) else { continue };
            new.adopt(before);
        }
        self.orphans = earlier.orphans;
        self.orphans.extend(old.into_iter().flatten().flat_map(|rule| rule.written.into_keys()));
        self.last_evaluation_ms = earlier.last_evaluation_ms;
        self.last_duration = earlier.last_duration;
    }

    /// All series that the group is writing, for when it goes.
    pub(crate) fn into_series(self) -> Vec<Labels> {
        self.orphans.into_iter().chain(self.rules.into_iter().flat_map(|rule| rule.written.into_keys())).collect()
    }

    /// Evaluates every rule for the time `at_ms`; results bear that time less the query offset. After each rule
    /// `proceed` says whether to go on.
    pub fn evaluate(&mut self, at_ms: TimestampMs, ports: &Ports, mut proceed: impl FnMut() -> bool) -> GroupOutcome {
        let start = Instant::now();
        let sample_ms = at_ms - self.definition.query_offset.as_millis();
        let mut outcome = GroupOutcome::default();
        for position in 0..self.rules.len() {
            let Some(rule) = self.rules.get_mut(position) else { break };
            let began = Instant::now();
            let result = rule.evaluate(&self.definition, Times { at_ms, sample_ms }, ports);
            rule.last_duration = began.elapsed();
            rule.last_evaluation_ms = Some(at_ms);
            outcome.evaluated += 1;
            let error = match result {
                Ok(written) => {
                    outcome.samples += written.samples;
                    written.rejected.map(|(count, reason)| {
                        outcome.rejected.push((reason, count));
                        EvaluationError::Rejected { count, reason }
                    })
                }
                Err(error) => Some(error),
            };
            rule.health = if error.is_some() { Health::Err } else { Health::Ok };
            rule.last_error = error.as_ref().map(EvaluationError::chain);
            outcome.failures.extend(error.map(|error| (position, error)));
            if !proceed() {
                break;
            }
        }
        self.end_orphans(sample_ms, ports);
        self.last_evaluation_ms = Some(at_ms);
        self.last_duration = start.elapsed();
        outcome
    }

    fn end_orphans(&mut self, sample_ms: TimestampMs, ports: &Ports) {
        if self.orphans.is_empty() {
            return;
        }
        // A series that a rule of the group writes under its new definition lives on.
        let alive: HashSet<&Labels> = self.rules.iter().flat_map(|rule| rule.written.keys()).collect();
        let ended: Vec<Labels> = self.orphans.iter().filter(|labels| !alive.contains(labels)).cloned().collect();
        match writer::end(ports.append.as_ref(), &ended, sample_ms) {
            Ok(()) => self.orphans.clear(),
            Err(error) => tracing::warn!(
                file = self.definition.file,
                group = self.definition.group.name,
                error = error.chain(),
                "could not end the series of removed rules; trying again at the next evaluation"
            ),
        }
    }

    /// The active alerts of every alerting rule, each with the rule's name, in the order of the rules.
    pub fn alerts(&self) -> Vec<(&str, Vec<Alert>)> {
        let of_rule = |rule: &RuleState| match &rule.kind {
            KindState::Alerting { alerts, .. } => Some(alerts.list()),
            KindState::Recording { .. } => None,
        };
        self.rules.iter().filter_map(|rule| Some((rule.kind.name(), of_rule(rule)?))).collect()
    }

    /// The rules' names, in order.
    pub fn rule_name(&self, position: usize) -> &str {
        self.rules.get(position).map_or("", |rule| rule.kind.name())
    }

    /// How long the last evaluation took.
    pub(crate) fn last_duration(&self) -> Duration {
        self.last_duration
    }

    /// What is known of the group now.
    pub fn snapshot(&self) -> GroupSnapshot {
        GroupSnapshot {
            file: self.definition.file.clone(),
            name: self.definition.group.name.clone(),
            interval: self.definition.interval,
            query_offset: self.definition.query_offset,
            limit: self.definition.group.limit,
            last_evaluation_ms: self.last_evaluation_ms,
            last_duration: self.last_duration,
            rules: self.rules.iter().map(RuleState::snapshot).collect(),
        }
    }
}

#[derive(Clone, Copy)]
struct Times {
    /// The scheduled time.
    at_ms: TimestampMs,
    /// The time of queries and results.
    sample_ms: TimestampMs,
}

impl RuleState {
    fn adopt(&mut self, before: Self) {
        self.written = before.written;
        if before.kind.expr() == self.kind.expr() {
            self.health = before.health;
            self.last_error = before.last_error;
            self.last_evaluation_ms = before.last_evaluation_ms;
            self.last_duration = before.last_duration;
        }
        match (&mut self.kind, before.kind) {
            (KindState::Alerting { alerts, .. }, KindState::Alerting { alerts: earlier, .. }) => *alerts = earlier,
            (KindState::Recording { sample, .. }, KindState::Recording { sample: earlier, .. }) => *sample = earlier,
            _ => {}
        }
    }

    fn evaluate(
        &mut self,
        definition: &Definition,
        times: Times,
        ports: &Ports,
    ) -> Result<writer::Outcome, EvaluationError> {
        let result = match (ports.query)(self.kind.expr(), times.sample_ms)? {
            Value::Vector(vector) => vector,
            Value::Scalar(value) => vec![VectorSample { labels: Labels::empty(), value }],
            Value::String(_) | Value::Matrix(_) => return Err(EvaluationError::NotAVector),
        };
        let limit = definition.group.limit;
        let over = |got: usize, what| match limit != 0 && got > limit {
            true => Err(EvaluationError::Limit { limit, got, what }),
            false => Ok(()),
        };
        let series = match &mut self.kind {
            KindState::Recording { rule, labels, sample } => {
                let series = recorded(&rule.record, labels, result)?;
                over(series.len(), "series")?;
                *sample = series.iter().min_by(|a, b| a.labels.cmp(&b.labels)).cloned();
                series
            }
            KindState::Alerting { rule, labels, alerts, restore } => {
                alerts.update(rule, labels, &result, &definition.context, times.at_ms)?;
                if std::mem::take(restore) {
                    restore_from_series(alerts, rule, times, ports);
                }
                if let Err(error) = over(alerts.len(), "alerts") {
                    alerts.clear();
                    return Err(error);
                }
                alerts.series()
            }
        };
        writer::write(ports.append.as_ref(), &mut self.written, &series, times.sample_ms)
    }

    fn snapshot(&self) -> RuleSnapshot {
        let kind = match &self.kind {
            KindState::Recording { sample, .. } => {
                RuleKind::Recording { series: self.written.len(), sample: sample.clone() }
            }
            KindState::Alerting { rule, alerts, .. } => {
                let alerts = alerts.list();
                RuleKind::Alerting {
                    hold: rule.hold,
                    keep_firing_for: rule.keep_firing_for,
                    annotations: Labels::from_pairs(rule.annotations.iter().map(|(n, t)| (n.as_str(), t.source()))),
                    state: alerts.iter().map(|alert| alert.state).max().unwrap_or(AlertState::Inactive),
                    alerts,
                }
            }
        };
        RuleSnapshot {
            name: self.kind.name().to_owned(),
            query: self.kind.expr().to_owned(),
            labels: self.kind.labels(),
            health: self.health,
            last_error: self.last_error.clone(),
            last_evaluation_ms: self.last_evaluation_ms,
            last_duration: self.last_duration,
            kind,
        }
    }
}

/// The result under the rule's name and labels; an error when two elements then have the same labels.
fn recorded(name: &str, labels: &Pairs, mut result: Vec<VectorSample>) -> Result<Vec<VectorSample>, EvaluationError> {
    let mut seen = HashSet::with_capacity(result.len());
    for sample in &mut result {
        let mut builder = sample.labels.to_builder();
        builder.set(METRIC_NAME, name);
        for (label, value) in labels {
            builder.set(label, value);
        }
        sample.labels = builder.build();
        if !seen.insert(sample.labels.clone()) {
            return Err(EvaluationError::DuplicateSeries(sample.labels.clone()));
        }
    }
    Ok(result)
}

/// Looks for the state that an earlier process left. Only what is still inside the query's lookback counts as
/// running on; after a longer outage `for` starts anew.
fn restore_from_series(alerts: &mut Alerts, rule: &AlertingRule, times: Times, ports: &Ports) {
    if rule.hold == PromDuration::default() || alerts.len() == 0 {
        return;
    }
    let selector = format!("{ALERTS_FOR_STATE}{{alertname={:?}}}", rule.alert);
    match (ports.query)(&selector, times.sample_ms) {
        Ok(Value::Vector(states)) => alerts.restore(rule, &states, times.at_ms),
        Ok(_) => {}
        Err(error) => tracing::warn!(
            alert = rule.alert,
            error = %error,
            "could not read since when alerts are pending; they start anew"
        ),
    }
}
