//! One rule: its keys, their defaults, and what may not stand together.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use regex::Regex;
use serde::{Deserialize, Deserializer};

use super::template::Template;
use crate::anchored_pattern;

/// What a rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RelabelAction {
    /// Sets `target_label` to the filled `replacement` where the regex matches; an empty result removes the label.
    #[default]
    Replace,
    /// Drops what does not match.
    Keep,
    /// Drops what matches.
    Drop,
    /// Drops when the source value differs from the target label's.
    KeepEqual,
    /// Drops when the source value is the target label's.
    DropEqual,
    /// Sets the target label to a hash of the source value, modulo `modulus`.
    HashMod,
    /// Copies each label whose name matches to the name that `replacement` gives.
    LabelMap,
    /// Removes the labels whose names match.
    LabelDrop,
    /// Removes the labels whose names do not match.
    LabelKeep,
    /// Sets the target label to the source value in lower case.
    Lowercase,
    /// Sets the target label to the source value in upper case.
    Uppercase,
}

const ACTIONS: [(&str, RelabelAction); 11] = [
    ("replace", RelabelAction::Replace),
    ("keep", RelabelAction::Keep),
    ("drop", RelabelAction::Drop),
    ("keepequal", RelabelAction::KeepEqual),
    ("dropequal", RelabelAction::DropEqual),
    ("hashmod", RelabelAction::HashMod),
    ("labelmap", RelabelAction::LabelMap),
    ("labeldrop", RelabelAction::LabelDrop),
    ("labelkeep", RelabelAction::LabelKeep),
    ("lowercase", RelabelAction::Lowercase),
    ("uppercase", RelabelAction::Uppercase),
];

impl RelabelAction {
    /// The action's name in a configuration.
    pub fn as_str(self) -> &'static str {
        ACTIONS.iter().find(|(_, action)| *action == self).map_or("", |(name, _)| name)
    }
}

impl fmt::Display for RelabelAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RelabelAction {
    type Err = RelabelError;

    /// Reads a name in any case.
    fn from_str(text: &str) -> Result<Self, RelabelError> {
        let found = ACTIONS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        found.map(|(_, action)| *action).ok_or_else(|| RelabelError::Action(text.to_owned()))
    }
}

/// A rule contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RelabelError {
    /// No such action.
    #[error("unknown relabel action {0:?}")]
    Action(String),
    /// The expression does not compile.
    #[error("relabel regex {regex:?} is malformed: {reason}")]
    Regex {
        /// As written.
        regex: String,
        /// The regular expression engine's words.
        reason: String,
    },
    /// A key that the action needs.
    #[error("relabel action {action} requires {key}")]
    Missing {
        /// Which action.
        action: RelabelAction,
        /// Which key.
        key: &'static str,
    },
    /// A key that the action does not take.
    #[error("relabel action {action} does not take {key}")]
    Unwanted {
        /// Which action.
        action: RelabelAction,
        /// Which key.
        key: &'static str,
    },
}

/// One relabelling rule, checked and compiled.
#[derive(Clone)]
pub struct RelabelConfig {
    pub(super) action: RelabelAction,
    pub(super) source_labels: Vec<String>,
    pub(super) separator: String,
    /// `None` for the default `(.*)`, which matches everything.
    pub(super) regex: Option<Regex>,
    pub(super) regex_source: String,
    pub(super) modulus: u64,
    pub(super) target_label: Template,
    pub(super) replacement: Template,
}

/// The keys as written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Keys {
    source_labels: Option<Vec<String>>,
    separator: Option<String>,
    regex: Option<String>,
    modulus: Option<u64>,
    target_label: Option<String>,
    replacement: Option<String>,
    action: Option<String>,
}

const DEFAULT_REGEX: &str = "(.*)";
const DEFAULT_REPLACEMENT: &str = "$1";
const DEFAULT_SEPARATOR: &str = ";";

impl RelabelConfig {
    /// What the rule does.
    pub fn action(&self) -> RelabelAction {
        self.action
    }

    fn checked(keys: Keys) -> Result<Self, RelabelError> {
        let action = keys.action.as_deref().map_or(Ok(RelabelAction::default()), str::parse)?;
        check(action, &keys)?;
        let source = keys.regex.unwrap_or_else(|| DEFAULT_REGEX.to_owned());
        let regex = if source == DEFAULT_REGEX {
            None
        } else {
            let malformed = |e: regex::Error| RelabelError::Regex { regex: source.clone(), reason: e.to_string() };
            Some(Regex::new(&anchored_pattern(&source)).map_err(malformed)?)
        };
        Ok(Self {
            action,
            source_labels: keys.source_labels.unwrap_or_default(),
            separator: keys.separator.unwrap_or_else(|| DEFAULT_SEPARATOR.to_owned()),
            regex,
            regex_source: source,
            modulus: keys.modulus.unwrap_or(0),
            target_label: Template::new(keys.target_label.as_deref().unwrap_or("")),
            replacement: Template::new(keys.replacement.as_deref().unwrap_or(DEFAULT_REPLACEMENT)),
        })
    }
}

/// What Prometheus refuses: a key that an action needs and lacks, or has and ignores.
fn check(action: RelabelAction, keys: &Keys) -> Result<(), RelabelError> {
    use RelabelAction::{DropEqual, HashMod, KeepEqual, LabelDrop, LabelKeep, LabelMap, Lowercase, Replace, Uppercase};
    let need = |key, there: bool| if there { Ok(()) } else { Err(RelabelError::Missing { action, key }) };
    let refuse = |key, there: bool| if there { Err(RelabelError::Unwanted { action, key }) } else { Ok(()) };
    // A key that says what is the default anyway is as good as absent.
    let says = |key: &Option<String>, default: &str| key.as_deref().is_some_and(|text| text != default);
    if action == HashMod {
        need("a modulus above zero", keys.modulus.unwrap_or(0) > 0)?;
    }
    if matches!(action, Replace | HashMod | Lowercase | Uppercase | KeepEqual | DropEqual) {
        need("target_label", says(&keys.target_label, ""))?;
    }
    if matches!(action, Lowercase | Uppercase | KeepEqual | DropEqual | LabelDrop | LabelKeep) {
        refuse("replacement", says(&keys.replacement, DEFAULT_REPLACEMENT))?;
    }
    if action == LabelMap {
        need("a replacement", keys.replacement.as_deref() != Some(""))?;
    }
    if matches!(action, KeepEqual | DropEqual) {
        refuse("regex", says(&keys.regex, DEFAULT_REGEX))?;
    }
    if matches!(action, LabelDrop | LabelKeep) {
        refuse("source_labels", keys.source_labels.is_some())?;
        refuse("target_label", says(&keys.target_label, ""))?;
    }
    if matches!(action, KeepEqual | DropEqual | LabelDrop | LabelKeep) {
        refuse("modulus", keys.modulus.unwrap_or(0) != 0)?;
        refuse("separator", says(&keys.separator, DEFAULT_SEPARATOR))?;
    }
    Ok(())
}

impl<'de> Deserialize<'de> for RelabelConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::checked(Keys::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl PartialEq for RelabelConfig {
    fn eq(&self, other: &Self) -> bool {
        self.action == other.action
            && self.source_labels == other.source_labels
            && self.separator == other.separator
            && self.regex_source == other.regex_source
            && self.modulus == other.modulus
            && self.target_label == other.target_label
            && self.replacement == other.replacement
    }
}

impl Eq for RelabelConfig {}

impl Hash for RelabelConfig {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.action, &self.source_labels, &self.separator, &self.regex_source).hash(state);
        (self.modulus, &self.target_label, &self.replacement).hash(state);
    }
}

impl fmt::Debug for RelabelConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelabelConfig")
            .field("action", &self.action)
            .field("source_labels", &self.source_labels)
            .field("separator", &self.separator)
            .field("regex", &self.regex_source)
            .field("modulus", &self.modulus)
            .field("target_label", &self.target_label.as_str())
            .field("replacement", &self.replacement.as_str())
            .finish()
    }
}
