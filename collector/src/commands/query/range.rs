//! `query range SERVER EXPR`

use std::process::ExitCode;

use collector_model::PromDuration;

use super::client::{Client, now_ms, parse_step, parse_time, seconds};
use super::{Format, finish_result};

/// Arguments of `query range`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The server's URL.
    server: String,
    /// The PromQL expression.
    expr: String,
    /// First evaluation: RFC 3339 or seconds since the epoch; five minutes before the end if it is not given.
    #[arg(long, value_parser = parse_time, allow_negative_numbers = true)]
    start: Option<i64>,
    /// No evaluation after this; now if it is not given.
    #[arg(long, value_parser = parse_time, allow_negative_numbers = true)]
    end: Option<i64>,
    /// Between evaluations: a duration or seconds; such that there are about 250 if it is not given.
    #[arg(long, value_parser = parse_step)]
    step: Option<PromDuration>,
    /// Form of the output.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    format: Format,
}

/// So many evaluations where no step is given.
const STEPS: i64 = 250;

/// From start to end where no start is given, in milliseconds.
const DEFAULT_RANGE_MS: i64 = 300_000;

pub(in crate::commands) fn run(args: &Args) -> ExitCode {
    let end = args.end.unwrap_or_else(now_ms);
    let start = args.start.unwrap_or_else(|| end.saturating_sub(DEFAULT_RANGE_MS));
    if start >= end {
        eprintln!("start time is not before end time");
        return ExitCode::FAILURE;
    }
    let whole_seconds = (end.saturating_sub(start) / 1000 / STEPS).max(1);
    let step_ms = args.step.map_or(whole_seconds * 1000, PromDuration::as_millis);
    let params =
        [("query", args.expr.clone()), ("start", seconds(start)), ("end", seconds(end)), ("step", seconds(step_ms))];
    let answer = Client::new(&args.server).and_then(|client| client.post("query_range", &params));
    finish_result(answer, args.format)
}
