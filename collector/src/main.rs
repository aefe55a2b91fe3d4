//! The collector's command line: flags, log, signals, sub-commands.

use std::process::ExitCode;

use atalaia_collector::flags::{Cli, Command, strip_flags_without_effect};
use atalaia_collector::{log, run};
use clap::Parser;

fn main() -> ExitCode {
    let args = match std::env::args_os().map(std::ffi::OsString::into_string).collect::<Result<Vec<_>, _>>() {
        Ok(args) => args,
        Err(wrong) => {
            eprintln!("error: {wrong:?} on the command line is not UTF-8");
            return ExitCode::from(2);
        }
    };
    let (args, ignored) = strip_flags_without_effect(args);
    let cli = Cli::parse_from(args);
    match cli.command {
        Some(Command::Check(check)) => check.run(),
        Some(Command::Test(test)) => test.run(),
        Some(Command::Query(query)) => query.run(),
        None => {
            log::start(&cli.flags.log_level, &cli.flags.log_format);
            if !ignored.is_empty() {
                tracing::warn!(flags = ignored.join(","), "flags of Prometheus that change nothing here");
            }
            run::run(cli.flags)
        }
    }
}
