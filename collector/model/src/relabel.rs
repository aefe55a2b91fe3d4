//! Relabelling: rules that keep, drop and rewrite label sets, as `relabel_configs`, `metric_relabel_configs` and
//! `write_relabel_configs` hold them.

mod config;
mod process;
mod template;
#[cfg(test)]
mod tests;

pub use config::{RelabelAction, RelabelConfig, RelabelError};
pub use process::process;
