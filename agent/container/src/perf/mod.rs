//! Events of CPUs and kernel for each container, as `--perf_events_config` names them: which there are, and what was
//! counted of them. `background/perf.rs` does the counting.

mod config;
pub(crate) mod counting;
mod names;
mod units;

pub(crate) use config::Named;
#[cfg(test)]
pub(crate) use config::Uncore;
pub use config::{PerfError, PerfEvents};
