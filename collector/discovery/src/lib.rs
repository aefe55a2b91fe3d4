//! Target discovery: where the targets of a job come from.
//!
//! A provider (one file under `providers/`) turns one entry of `NAME_sd_configs` into groups of targets and keeps
//! them current. [`JobDiscovery`] runs the providers of one job and holds the newest groups of all of them.

mod config;
mod engine;
mod error;
mod group;
mod job;
mod meta;
mod metrics;
mod providers;
mod refresh;
mod updates;

pub use config::{Context, DiscoveryConfig, Provider, ProviderConfig, ProviderRun, Spec, config_keys, spec_of};
pub use error::DiscoveryError;
pub use group::{ADDRESS, TargetGroup};
pub use job::{JobDiscovery, JobGroups, Prepared};
pub use metrics::Metrics;
pub use updates::Updates;
