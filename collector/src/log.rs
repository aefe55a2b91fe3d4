//! The log of the process, on standard error, in the form that the agent's has.

use atalaia_agent::log::{Format, start as start_log};
use tracing_subscriber::filter::LevelFilter;

/// Starts logging: `level` is debug, info, warn or error, `format` logfmt or json.
pub fn start(level: &str, format: &str) {
    let level = level.parse().unwrap_or(LevelFilter::INFO);
    let format = if format == "json" { Format::Json } else { Format::Logfmt };
    start_log(level, format, &["collector", "atalaia_collector", "agent", "atalaia_agent"]);
}
