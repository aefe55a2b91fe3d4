//! `query series SERVER --match SELECTOR`

use std::process::ExitCode;

use super::client::{Client, parse_time, seconds};
use super::{Format, finish, format};

/// Arguments of `query series`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The server's URL.
    server: String,
    /// Series selector; may be repeated.
    #[arg(long = "match", value_name = "SELECTOR", required = true)]
    selectors: Vec<String>,
    /// Only series with samples after this: RFC 3339 or seconds since the epoch.
    #[arg(long, value_parser = parse_time, allow_negative_numbers = true)]
    start: Option<i64>,
    /// Only series with samples before this.
    #[arg(long, value_parser = parse_time, allow_negative_numbers = true)]
    end: Option<i64>,
    /// Form of the output.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    format: Format,
}

pub(in crate::commands) fn run(args: &Args) -> ExitCode {
    let params = bounded(&args.selectors, args.start, args.end);
    let answer = Client::new(&args.server).and_then(|client| client.post("series", &params));
    finish(answer, args.format, format::series)
}

/// The parameters that say which series and when.
pub(super) fn bounded(selectors: &[String], start: Option<i64>, end: Option<i64>) -> Vec<(&'static str, String)> {
    let selectors = selectors.iter().map(|selector| ("match[]", selector.clone()));
    let bounds = [("start", start), ("end", end)];
    let bounds = bounds.into_iter().filter_map(|(name, ms)| Some((name, seconds(ms?))));
    selectors.chain(bounds).collect()
}
