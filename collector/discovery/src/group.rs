//! Groups of targets, the unit in which providers report.

use std::collections::BTreeMap;

use collector_model::Labels;
use serde::Deserialize;

/// The label that holds a target's host and port.
pub const ADDRESS: &str = "__address__";

/// Targets that come from one place and share labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetGroup {
    /// Where the group comes from: the key under which a later report replaces it.
    pub source: String,
    /// The labels of each target; [`ADDRESS`] is among them.
    pub targets: Vec<Labels>,
    /// Labels of all targets of the group, unless the target has its own.
    pub labels: Labels,
}

/// A group as `static_configs` and the files of file discovery write it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WrittenGroup {
    pub(crate) targets: Option<Vec<String>>,
    pub(crate) labels: Option<BTreeMap<String, String>>,
}

impl WrittenGroup {
    /// The group, with more labels than it was written with.
    pub(crate) fn into_group(self, source: String, more: &[(&str, &str)]) -> TargetGroup {
        let targets = self.targets.unwrap_or_default();
        let targets = targets.into_iter().map(|address| Labels::from_pairs([(ADDRESS, address)])).collect();
        let written = self.labels.unwrap_or_default().into_iter();
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        TargetGroup { source, targets, labels: Labels::from_pairs(written.chain(more)) }
    }
}
