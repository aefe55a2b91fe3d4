//! `test rules FILE…`: unit tests for rules, in promtool's format.

use std::path::PathBuf;
use std::process::ExitCode;

use super::all_exist;

mod file;
mod report;
mod simulation;
mod window;

/// Arguments of `test rules`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The unit test files.
    #[arg(required = true, value_name = "TEST-RULE-FILE")]
    files: Vec<PathBuf>,
    /// Run only the tests whose name matches one of these regular expressions.
    #[arg(long, value_name = "REGEX")]
    run: Vec<String>,
}

pub(super) fn run(args: &Args) -> ExitCode {
    if !all_exist(args.files.iter().map(PathBuf::as_path)) {
        return ExitCode::FAILURE;
    }
    let wanted = match args.run.iter().map(|pattern| regex::Regex::new(pattern)).collect::<Result<Vec<_>, _>>() {
        Ok(wanted) => wanted,
        Err(error) => {
            eprintln!("atalaia-collector: error: --run: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut failed = false;
    for path in &args.files {
        println!("Unit Testing:  {}", path.display());
        match simulation::run_file(path, &wanted) {
            Ok(()) => println!("  SUCCESS"),
            Err(failures) => {
                failed = true;
                eprintln!("  FAILED:");
                for failure in failures {
                    eprintln!("{failure}");
                    println!();
                }
            }
        }
        println!();
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
