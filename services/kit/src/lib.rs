//! What every service has, so that a service reads as its own story: settings from flags, environment and a file; a
//! log; HTTP within limits, with RED metrics, `/healthz`, `/readyz` and `/metrics`; an orderly end; connections by name.
//!
//! A service's `main` is one line:
//!
//! ```no_run
//! # use services_kit as kit;
//! #[derive(Debug, clap::Args)]
//! struct Settings {
//!     /// Folder that holds the files.
//!     #[arg(long, env = "FILES_DIR", default_value = "files")]
//!     files_dir: std::path::PathBuf,
//! }
//!
//! async fn serve(settings: Settings, process: kit::Process) -> Result<(), kit::Failure> {
//!     let router = axum::Router::new();
//!     process.serve(router, kit::Readiness::default()).await
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     kit::run(&kit::Program { name: "file-transfer", about: "Keeps files.", port: 5001 }, serve)
//! }
//! ```

pub mod connect;
pub mod health;
pub mod http;
pub mod log;
mod program;
mod readiness;
#[cfg(feature = "redis")]
pub mod redis;
pub mod settings;
mod shutdown;

pub use http::refusal::Refusal;
pub use program::{Custom, Failure, Process, Program, run, run_tool, run_with};
pub use readiness::Readiness;
pub use shutdown::Shutdown;
