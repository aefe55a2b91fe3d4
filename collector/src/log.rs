//! The log of the process, on standard error.

use tracing_subscriber::EnvFilter;

/// Starts logging.
pub fn start(level: &str, _format: &str) {
    let filter = EnvFilter::new(format!("{level},hyper=warn,reqwest=warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
}
