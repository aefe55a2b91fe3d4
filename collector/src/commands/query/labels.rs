//! `query labels SERVER NAME`

use std::process::ExitCode;

use super::client::{Client, parse_time};
use super::series::bounded;
use super::{Format, finish, format};

/// Arguments of `query labels`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The server's URL.
    server: String,
    /// The label whose values to list.
    name: String,
    /// Only of series with samples after this: RFC 3339 or seconds since the epoch.
    #[arg(long, value_parser = parse_time, allow_negative_numbers = true)]
    start: Option<i64>,
    /// Only of series with samples before this.
    #[arg(long, value_parser = parse_time, allow_negative_numbers = true)]
    end: Option<i64>,
    /// Only of series that match; may be repeated.
    #[arg(long = "match", value_name = "SELECTOR")]
    selectors: Vec<String>,
    /// Form of the output.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    format: Format,
}

pub(in crate::commands) fn run(args: &Args) -> ExitCode {
    // The name becomes part of the path.
    if !collector_ruler::is_label_name(&args.name) {
        eprintln!("query error: invalid label name: {:?}", args.name);
        return ExitCode::FAILURE;
    }
    let params = bounded(&args.selectors, args.start, args.end);
    let path = format!("label/{}/values", args.name);
    let answer = Client::new(&args.server).and_then(|client| client.get(&path, &params));
    finish(answer, args.format, format::label_values)
}
