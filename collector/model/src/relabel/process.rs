//! Applying rules to a label set.

use md5::{Digest, Md5};

use super::config::{RelabelAction, RelabelConfig};
use super::template::Template;
use crate::LabelsBuilder;

/// Applies the rules in order and says whether the set is kept. When it is not, the labels are left as they were
/// at the rule that dropped it.
#[must_use]
pub fn process(labels: &mut LabelsBuilder, rules: &[RelabelConfig]) -> bool {
    rules.iter().all(|rule| apply(labels, rule))
}

fn apply(labels: &mut LabelsBuilder, rule: &RelabelConfig) -> bool {
    let target = rule.target_label.as_str();
    match rule.action {
        RelabelAction::Keep => return rule.matches(&rule.source(labels)),
        RelabelAction::Drop => return !rule.matches(&rule.source(labels)),
        RelabelAction::KeepEqual => return labels.get(target) == rule.source(labels),
        RelabelAction::DropEqual => return labels.get(target) != rule.source(labels),
        RelabelAction::Replace => replace(labels, rule),
        RelabelAction::Lowercase => {
            let value = rule.source(labels).to_lowercase();
            labels.set(target, value);
        }
        RelabelAction::Uppercase => {
            let value = rule.source(labels).to_uppercase();
            labels.set(target, value);
        }
        RelabelAction::HashMod => {
            let value = shard(&rule.source(labels), rule.modulus);
            labels.set(target, value.to_string());
        }
        RelabelAction::LabelMap => label_map(labels, rule),
        RelabelAction::LabelDrop => {
            labels.retain(|name, _| !rule.matches(name));
        }
        RelabelAction::LabelKeep => {
            labels.retain(|name, _| rule.matches(name));
        }
    }
    true
}

fn replace(labels: &mut LabelsBuilder, rule: &RelabelConfig) {
    let source = rule.source(labels);
    let Some(target) = rule.expand(&rule.target_label, &source) else { return };
    let Some(value) = rule.expand(&rule.replacement, &source) else { return };
    // A target that comes out empty names no label.
    if !target.is_empty() {
        labels.set(target, value);
    }
}

fn label_map(labels: &mut LabelsBuilder, rule: &RelabelConfig) {
    let mapped: Vec<(String, String)> = labels
        .iter()
        .filter_map(|(name, value)| Some((rule.expand(&rule.replacement, name)?, value.to_owned())))
        .filter(|(name, _)| !name.is_empty())
        .collect();
    for (name, value) in mapped {
        labels.set(name, value);
    }
}

/// The last 8 bytes of the MD5 sum as a big-endian number, modulo the shards: Prometheus's own choice, so that
/// shards computed there and here coincide.
fn shard(text: &str, modulus: u64) -> u64 {
    let sum: [u8; 16] = Md5::digest(text.as_bytes()).into();
    let [_, _, _, _, _, _, _, _, last @ ..] = sum;
    u64::from_be_bytes(last).checked_rem(modulus).unwrap_or(0)
}

impl RelabelConfig {
    /// The values of the source labels, joined.
    fn source(&self, labels: &LabelsBuilder) -> String {
        let mut joined = String::new();
        for (position, name) in self.source_labels.iter().enumerate() {
            if position > 0 {
                joined.push_str(&self.separator);
            }
            joined.push_str(labels.get(name));
        }
        joined
    }

    fn matches(&self, text: &str) -> bool {
        self.regex.as_ref().is_none_or(|regex| regex.is_match(text))
    }

    /// Fills a template from a match of `text`; `None` where it does not match.
    fn expand(&self, template: &Template, text: &str) -> Option<String> {
        match (&self.regex, template.constant()) {
            (None, Some(constant)) => Some(constant.to_owned()),
            (Some(regex), Some(constant)) => regex.is_match(text).then(|| constant.to_owned()),
            (None, None) => Some(template.expand_whole(text)),
            (Some(regex), None) => template.expand(regex, text),
        }
    }
}
