//! Recording and alerting rules, evaluated in groups at their interval.
//!
//! The ruler is given functions and ports ([`Ports`]): how to evaluate an expression, where to write results,
//! what time it is. [`RuleFile::parse`] refuses what is wrong, so that [`Ruler::apply`] cannot fail.
//!
//! Deliberately not here: notifying an Alertmanager. Alerts are evaluated to the series `ALERTS` and
//! `ALERTS_FOR_STATE` and shown by [`Ruler::snapshot`].

mod alert;
mod evaluation;
mod file;
mod group;
mod metrics;
mod ruler;
mod schedule;
mod snapshot;
mod template;
mod writer;

pub use alert::{Alert, AlertState};
pub use evaluation::{EvaluationError, Ports, QueryFn};
pub use file::{
    AlertingRule, Pairs, RecordingRule, Rule, RuleFile, RuleFileError, RuleGroup, is_label_name, is_metric_name,
};
pub use group::{Group, GroupOutcome, Settings};
pub use metrics::Metrics;
pub use ruler::Ruler;
pub use snapshot::{GroupSnapshot, Health, RuleKind, RuleSnapshot};
pub use template::{Template, TemplateData, TemplateError};
