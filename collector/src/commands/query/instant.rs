//! `query instant SERVER EXPR`

use std::process::ExitCode;

use super::client::{Client, now_ms, parse_time, seconds};
use super::{Format, finish_result};

/// Arguments of `query instant`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The server's URL.
    server: String,
    /// The PromQL expression.
    expr: String,
    /// When to evaluate: RFC 3339 or seconds since the epoch; now if it is not given.
    #[arg(long, value_parser = parse_time, allow_negative_numbers = true)]
    time: Option<i64>,
    /// Form of the output.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    format: Format,
}

pub(in crate::commands) fn run(args: &Args) -> ExitCode {
    let time = args.time.unwrap_or_else(now_ms);
    let answer = Client::new(&args.server)
        .and_then(|client| client.post("query", &[("query", args.expr.clone()), ("time", seconds(time))]));
    finish_result(answer, args.format)
}
