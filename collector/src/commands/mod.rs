//! The sub-commands: `check`, `test` and `query` take what promtool's take, print what they print, and end with
//! its exit codes: 0 when all is well, 1 when not, 3 when a page or a rule file is valid but doubtful.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use crate::api::chain;

mod check_config;
mod check_metrics;
mod check_rules;
mod check_server;
mod query;
mod test_rules;

/// `check`
#[derive(Subcommand, Debug)]
pub enum Check {
    /// Check configuration files and the rule files that they name.
    Config(check_config::Args),
    /// Check rule files.
    Rules(check_rules::Args),
    /// Check a page of metrics, given on standard input, for consistency and good names.
    Metrics(check_metrics::Args),
    /// Check that a server is alive.
    Healthy(check_server::Args),
    /// Check that a server takes requests.
    Ready(check_server::Args),
}

impl Check {
    /// Runs it; prints to standard output and error.
    pub fn run(self) -> ExitCode {
        match self {
            Self::Config(args) => check_config::run(&args),
            Self::Rules(args) => check_rules::run(&args),
            Self::Metrics(args) => check_metrics::run(&args),
            Self::Healthy(args) => check_server::run(&args, "/-/healthy"),
            Self::Ready(args) => check_server::run(&args, "/-/ready"),
        }
    }
}

/// `test`
#[derive(Subcommand, Debug)]
pub enum Test {
    /// Run unit tests for rules.
    Rules(test_rules::Args),
}

impl Test {
    /// Runs it; prints to standard output and error.
    pub fn run(self) -> ExitCode {
        match self {
            Self::Rules(args) => test_rules::run(&args),
        }
    }
}

/// `query`
#[derive(Subcommand, Debug)]
pub enum Query {
    /// Evaluate an expression at one time.
    Instant(query::instant::Args),
    /// Evaluate an expression over a range of time.
    Range(query::range::Args),
    /// List the series that match.
    Series(query::series::Args),
    /// List the values of a label.
    Labels(query::labels::Args),
}

impl Query {
    /// Runs it; prints to standard output and error.
    pub fn run(self) -> ExitCode {
        match self {
            Self::Instant(args) => query::instant::run(&args),
            Self::Range(args) => query::range::run(&args),
            Self::Series(args) => query::series::run(&args),
            Self::Labels(args) => query::labels::run(&args),
        }
    }
}

/// Well-formed, but doubtful.
const EXIT_DOUBTFUL: u8 = 3;

/// Says which of the files is missing, as promtool does before it begins.
fn all_exist<'a>(paths: impl IntoIterator<Item = &'a Path>) -> bool {
    let missing = paths.into_iter().find(|path| !path.exists());
    if let Some(path) = missing {
        eprintln!("atalaia-collector: error: path '{}' does not exist, try --help", path.display());
    }
    missing.is_none()
}
