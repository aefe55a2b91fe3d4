//! `check config FILE…`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{all_exist, chain};
use crate::config::Config;

/// Arguments of `check config`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The configuration files.
    #[arg(required = true, value_name = "CONFIG-FILES")]
    files: Vec<PathBuf>,
}

pub(super) fn run(args: &Args) -> ExitCode {
    if !all_exist(args.files.iter().map(PathBuf::as_path)) {
        return ExitCode::FAILURE;
    }
    let good = args.files.iter().filter(|file| check(file)).count();
    if good == args.files.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Checks one file with all that it names, and prints what was found.
fn check(path: &Path) -> bool {
    println!("Checking {}", path.display());
    let result = Config::load(path);
    match &result {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                eprintln!("  WARNING: {warning}");
            }
            if !loaded.rules.is_empty() {
                println!("  SUCCESS: {} rule files found", loaded.rules.len());
            }
            println!(" SUCCESS: {} is valid prometheus config file syntax\n", path.display());
            for file in &loaded.rules {
                println!("Checking {}\n  SUCCESS: {} rules found\n", file.path, file.rule_count());
            }
        }
        Err(error) => {
            eprintln!("  FAILED: {}", chain(error));
            println!();
        }
    }
    result.is_ok()
}
