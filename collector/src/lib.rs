//! The collector: configuration, reload, API, page and wiring around the crates that do the work.

use std::sync::Arc;

pub mod api;
pub mod commands;
pub mod config;
pub mod flags;
pub mod log;
pub mod process;
pub mod run;

mod clock;
mod collector;
mod page;
mod query;
mod reload;

pub use collector::{Collector, ReloadError, StartError};

/// The running collector, as request handlers hold it.
pub type Shared = Arc<Collector>;
