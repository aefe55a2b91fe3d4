//! `query …`: asks a running collector, or anything else with Prometheus's HTTP API.

pub(super) mod client;
pub(super) mod format;
pub(super) mod instant;
pub(super) mod labels;
pub(super) mod range;
pub(super) mod series;

use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::Value;

/// Form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// As expressions and results are written by people.
    #[default]
    Promql,
    /// The data of the answer as one line of JSON.
    Json,
}

/// Prints the data of an answer, or why there is none.
fn finish(answer: Result<Value, String>, format: Format, promql: fn(&Value) -> String) -> ExitCode {
    match answer {
        Ok(data) => {
            match format {
                Format::Promql => print!("{}", promql(&data)),
                Format::Json => println!("{data}"),
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("query error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// [`finish`] for the answers that wrap their result with its type: JSON shows the result alone.
fn finish_result(answer: Result<Value, String>, format: Format) -> ExitCode {
    let answer = match format {
        Format::Promql => answer,
        Format::Json => answer.map(|mut data| data.get_mut("result").map(Value::take).unwrap_or_default()),
    };
    finish(answer, format, format::result)
}
