//! Rule files: what is typed, checked while it is read, so that a [`RuleFile`] in hand is a valid one.
//!
//! Every check happens inside the deserialiser, because there an error gets the line that it is about.

use std::fmt;
use std::marker::PhantomData;

use collector_model::PromDuration;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::template::Template;

/// A rule file that passed every check.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleFile {
    /// Where it was read from, as messages and the API show it.
    pub path: String,
    /// Its groups, in the order written; their names are unique in the file.
    pub groups: Vec<RuleGroup>,
}

/// Rules that are evaluated one after the other, at one time stamp.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleGroup {
    /// Unique in its file.
    pub name: String,
    /// How often, instead of the global evaluation interval.
    pub interval: Option<PromDuration>,
    /// How far before the scheduled time the rules look and write, instead of the global offset.
    pub query_offset: Option<PromDuration>,
    /// Most series that a recording rule may record, or alerts that an alerting rule may hold; 0 is no limit.
    pub limit: usize,
    /// Labels that every rule gets unless it sets them itself.
    pub labels: Pairs,
    /// The rules in order.
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// Writes the result of an expression under a name of its own.
    Recording(RecordingRule),
    /// Watches whether an expression has a result.
    Alerting(AlertingRule),
}

impl Rule {
    /// The name: of the recorded metric or of the alert.
    pub fn name(&self) -> &str {
        match self {
            Self::Recording(rule) => &rule.record,
            Self::Alerting(rule) => &rule.alert,
        }
    }

    /// The expression.
    pub fn expr(&self) -> &str {
        match self {
            Self::Recording(rule) => &rule.expr,
            Self::Alerting(rule) => &rule.expr,
        }
    }

    /// The labels as written (of an alert: before templates are expanded), without the group's.
    pub fn labels(&self) -> Vec<(&str, &str)> {
        match self {
            Self::Recording(rule) => rule.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect(),
            Self::Alerting(rule) => rule.labels.iter().map(|(n, v)| (n.as_str(), v.source())).collect(),
        }
    }
}

/// Names and values, sorted by name, names unique. A value may be empty: that removes the label.
pub type Pairs = Vec<(String, String)>;

/// `record`
#[derive(Clone, Debug, PartialEq)]
pub struct RecordingRule {
    /// The metric name of the result.
    pub record: String,
    /// What to evaluate.
    pub expr: String,
    /// Labels set on every result.
    pub labels: Pairs,
}

/// `alert`
#[derive(Clone, Debug, PartialEq)]
pub struct AlertingRule {
    /// The name of the alert.
    pub alert: String,
    /// What to evaluate: each element of the result is an active alert.
    pub expr: String,
    /// How long an alert is pending before it fires (`for`).
    pub hold: PromDuration,
    /// How long an alert fires on after its condition has gone.
    pub keep_firing_for: PromDuration,
    /// Labels of the alert.
    pub labels: Vec<(String, Template)>,
    /// What a person should read.
    pub annotations: Vec<(String, Template)>,
}

/// A rule file was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}{}: {message}", Line(*line))]
pub struct RuleFileError {
    /// The file.
    pub path: String,
    /// Which line, counted from 1, where one is known.
    pub line: Option<usize>,
    /// What is wrong, with the key that it is about.
    pub message: String,
}

struct Line(Option<usize>);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(line) => write!(f, ":{line}"),
            None => Ok(()),
        }
    }
}

impl RuleFile {
    /// Reads and checks the text of a rule file. `path` is only remembered. An empty file has no groups.
    ///
    /// # Errors
    /// At the first thing that is wrong: YAML, an unknown key, a name, a duration, an expression, a template, a
    /// group name used twice.
    pub fn parse(path: impl Into<String>, text: &str) -> Result<Self, RuleFileError> {
        let path = path.into();
        match serde_yaml_ng::from_str::<Option<RawFile>>(text) {
            Ok(raw) => {
                Ok(Self { path, groups: raw.and_then(|raw| raw.groups).map_or_else(Vec::new, |groups| groups.0) })
            }
            Err(error) => Err(RuleFileError {
                path,
                line: error.location().map(|location| location.line()).filter(|line| *line > 0),
                message: without_position(&error.to_string()),
            }),
        }
    }

    /// How many rules all groups have together.
    pub fn rule_count(&self) -> usize {
        self.groups.iter().map(|group| group.rules.len()).sum()
    }
}

/// The YAML reader ends its messages with the position, which stands in front of ours already. In one line, though a key
/// that is quoted may be of several.
fn without_position(message: &str) -> String {
    let message = match message.rsplit_once(" at line ") {
        Some((head, tail)) if tail.starts_with(|c: char| c.is_ascii_digit()) => head,
        _ => message,
    };
    message.replace(char::is_control, " ")
}

/// Whether a metric may have this name: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub fn is_metric_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

/// Whether a label may have this name: `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn is_label_name(name: &str) -> bool {
    is_metric_name(name) && !name.contains(':')
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    groups: Option<Groups>,
}

struct Groups(Vec<RuleGroup>);

impl<'de> Deserialize<'de> for Groups {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Groups;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of rule groups")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Groups, A::Error> {
                let mut groups: Vec<RuleGroup> = Vec::new();
                while let Some(group) = list.next_element_seed(NextGroup(&groups))? {
                    groups.push(group);
                }
                Ok(Groups(groups))
            }
        }
        deserializer.deserialize_seq(InOrder)
    }
}

/// Reads one group, knowing those before it, so that a repeated name is reported on its own line.
struct NextGroup<'a>(&'a [RuleGroup]);

impl<'de> DeserializeSeed<'de> for NextGroup<'_> {
    type Value = RuleGroup;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<RuleGroup, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for NextGroup<'_> {
    type Value = RuleGroup;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rule group")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RuleGroup, A::Error> {
        let raw = RawGroup::deserialize(MapAccessDeserializer::new(map))?;
        if raw.name.is_empty() {
            return Err(de::Error::custom("group name must not be empty"));
        }
        if self.0.iter().any(|group| group.name == raw.name) {
            return Err(de::Error::custom(format_args!("group name {:?} is repeated in the same file", raw.name)));
        }
        Ok(RuleGroup {
            name: raw.name,
            interval: raw.interval.filter(|interval| *interval != PromDuration::default()),
            query_offset: raw.query_offset,
            limit: raw.limit.unwrap_or(0),
            labels: pairs(raw.labels),
            rules: raw.rules.unwrap_or_default(),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGroup {
    name: String,
    interval: Option<PromDuration>,
    query_offset: Option<PromDuration>,
    limit: Option<usize>,
    labels: Option<Named<String>>,
    rules: Option<Vec<Rule>>,
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl<'de> Visitor<'de> for Whole {
            type Value = Rule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a rule")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Rule, A::Error> {
                RawRule::deserialize(MapAccessDeserializer::new(map))?.checked().map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_map(Whole)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    record: Option<RecordName>,
    alert: Option<String>,
    expr: Option<Expr>,
    #[serde(rename = "for")]
    hold: Option<PromDuration>,
    keep_firing_for: Option<PromDuration>,
    // A recording rule's labels are plain text and an alert's are templates, which is known only when all keys
    // have been read; so both forms are kept.
    labels: Option<Named<Source>>,
    annotations: Option<Named<Source>>,
}

impl RawRule {
    fn checked(self) -> Result<Rule, String> {
        let expr = self.expr.map(|expr| expr.0).ok_or("field 'expr' must be set in rule")?;
        let alert = self.alert.filter(|name| !name.is_empty());
        match (self.record, alert) {
            (Some(_), Some(_)) => Err("only one of 'record' and 'alert' must be set".to_owned()),
            (None, None) => Err("one of 'record' or 'alert' must be set".to_owned()),
            (Some(record), None) => {
                let alone = [
                    ("for", self.hold.is_some_and(|d| d != PromDuration::default())),
                    ("keep_firing_for", self.keep_firing_for.is_some_and(|d| d != PromDuration::default())),
                    ("annotations", self.annotations.is_some_and(|a| !a.0.is_empty())),
                ];
                if let Some((key, _)) = alone.iter().find(|(_, set)| *set) {
                    return Err(format!("invalid field '{key}' in recording rule"));
                }
                let labels = self.labels.map_or_else(Vec::new, |labels| labels.0);
                let labels = labels.into_iter().map(|(name, value)| (name, value.0)).collect();
                Ok(Rule::Recording(RecordingRule { record: record.0, expr, labels }))
            }
            (None, Some(alert)) => Ok(Rule::Alerting(AlertingRule {
                alert,
                expr,
                hold: self.hold.unwrap_or_default(),
                keep_firing_for: self.keep_firing_for.unwrap_or_default(),
                labels: templates("label", self.labels)?,
                annotations: templates("annotation", self.annotations)?,
            })),
        }
    }
}

fn pairs(named: Option<Named<String>>) -> Pairs {
    named.map_or_else(Vec::new, |named| named.0)
}

fn templates(what: &str, named: Option<Named<Source>>) -> Result<Vec<(String, Template)>, String> {
    let pairs = named.map_or_else(Vec::new, |named| named.0);
    let parse = |(name, text): (String, Source)| match Template::parse(&text.0) {
        Ok(template) => Ok((name, template)),
        Err(error) => Err(format!("{what} {name:?}: {error}")),
    };
    pairs.into_iter().map(parse).collect()
}

/// A text that is checked as it is read.
trait Checked: Sized {
    const EXPECTED: &'static str;
    fn check(text: &str) -> Result<Self, String>;
}

macro_rules! checked_text {
    ($name:ident, $expected:literal, $check:expr) => {
        struct $name(String);

        impl Checked for $name {
            const EXPECTED: &'static str = $expected;

            fn check(text: &str) -> Result<Self, String> {
                let check: fn(&str) -> Result<(), String> = $check;
                check(text).map(|()| Self(text.to_owned()))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(CheckedVisitor(PhantomData))
            }
        }
    };
}

checked_text!(RecordName, "a metric name", |text| match is_metric_name(text) {
    true => Ok(()),
    false => Err(format!("invalid recording rule name: {text:?}")),
});
checked_text!(LabelName, "a label name", |text| match is_label_name(text) && text != "__name__" {
    true => Ok(()),
    false => Err(format!("invalid label or annotation name: {text:?}")),
});
checked_text!(Expr, "a PromQL expression", |text| match text.trim().is_empty() {
    true => Err("field 'expr' must be set in rule".to_owned()),
    false => collector_promql::check(text).map_err(|error| match error {
        // The reason alone: its wrapping speaks of a parameter of the HTTP API.
        collector_promql::QueryError::Parse(reason) => format!("could not parse expression: {reason}"),
        other => format!("could not parse expression: {other}"),
    }),
});
checked_text!(Source, "a text", |_| Ok(()));

struct CheckedVisitor<T>(PhantomData<T>);

impl<T: Checked> Visitor<'_> for CheckedVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::check(text).map_err(E::custom)
    }
}

/// A mapping with checked names, each at most once, sorted by name.
struct Named<V>(Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Named<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamedVisitor<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for NamedVisitor<V> {
            type Value = Named<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of names to texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs: Vec<(String, V)> = Vec::new();
                while let Some((LabelName(name), value)) = map.next_entry::<LabelName, V>()? {
                    if pairs.iter().any(|(other, _)| *other == name) {
                        return Err(de::Error::custom(format_args!("{name:?} is set twice")));
                    }
                    pairs.push((name, value));
                }
                pairs.sort_by(|a, b| a.0.cmp(&b.0));
                Ok(Named(pairs))
            }
        }
        deserializer.deserialize_map(NamedVisitor(PhantomData))
    }
}

/// The group's labels under the rule's: a rule's own label wins.
pub(crate) fn merged<V: Clone>(group: &[(String, V)], rule: &[(String, V)]) -> Vec<(String, V)> {
    let mut all: Vec<(String, V)> =
        group.iter().filter(|(name, _)| !rule.iter().any(|(own, _)| own == name)).cloned().collect();
    all.extend(rule.iter().cloned());
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}
