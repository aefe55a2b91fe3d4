//! `check healthy` and `check ready`: whether a server answers, which is what a container's health check asks.

use std::process::ExitCode;
use std::time::Duration;

use super::chain;

/// How long the answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is asked of the server.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The server, with its path prefix.
    #[arg(long, value_name = "URL", default_value = "http://localhost:9090")]
    url: String,
}

/// Asks for `/-/healthy` or `/-/ready`, as `path` says.
pub(super) fn run(args: &Args, path: &str) -> ExitCode {
    match ask(&args.url, path) {
        Ok(answer) => {
            eprintln!("  SUCCESS:  {answer}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn ask(server: &str, path: &str) -> Result<String, String> {
    // Fails only where a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let scheme = if server.contains("://") { "" } else { "http://" };
    let url = format!("{scheme}{}{path}", server.trim_end_matches('/'));
    let http = reqwest::Client::builder().timeout(TIMEOUT).build().map_err(|error| chain(&error))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    let (status, body) = runtime
        .block_on(async {
            let answer = http.get(url).send().await?;
            Ok((answer.status(), answer.text().await?))
        })
        .map_err(|error: reqwest::Error| chain(&error))?;
    match status.as_u16() {
        200 => Ok(body.trim_end().to_owned()),
        other => Err(format!("check failed: URL={server}, status={other}")),
    }
}
