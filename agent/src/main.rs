//! The agent's command line: flags, log, signals.

mod activation;
mod cli;
mod health;
mod memory;
mod top;

use std::process::ExitCode;

use anyhow::Context as _;
use atalaia_agent::{Agent, Sockets};
use tokio::signal::unix::{SignalKind, signal};

use activation::Passed;
use cli::{Command, Options};

fn main() -> ExitCode {
    let options = match cli::parse(std::env::args_os().skip(1)) {
        Ok(Command::Run(options)) => options,
        Ok(Command::Print(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Ok(Command::Health(settings)) => {
            return match health::check(&settings) {
                Ok(()) => ExitCode::SUCCESS,
                Err(reason) => {
                    eprintln!("atalaia-agent: {reason}");
                    ExitCode::FAILURE
                }
            };
        }
        Ok(Command::Top(options)) => {
            return match top::run(*options) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("atalaia-agent: {error:#}");
                    ExitCode::FAILURE
                }
            };
        }
        Err(error) => {
            eprintln!("atalaia-agent: {error}");
            return ExitCode::from(2);
        }
    };
    // Before anything is opened.
    let passed = match options.systemd_socket.then(activation::take).transpose() {
        Ok(passed) => passed,
        Err(error) => {
            eprintln!("atalaia-agent: {error}");
            return ExitCode::FAILURE;
        }
    };
    memory::share_one_heap();
    atalaia_agent::log::start(options.log_level, options.log_format, &["agent", "atalaia_agent"]);
    match run(*options, passed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "cannot start");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options, passed: Option<Passed>) -> anyhow::Result<()> {
    // One thread answers and one collects; more are made only for collectors that block.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name("atalaia-agent")
        // The collecting thread stays from scrape to scrape.
        .thread_keep_alive(std::time::Duration::from_secs(300))
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(serve(options, passed));
    // A collector that hangs in the kernel would hold up a proper end for ever.
    runtime.shutdown_background();
    result
}

async fn serve(options: Options, passed: Option<Passed>) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    let mut hang_up = signal(SignalKind::hangup()).context("cannot watch for SIGHUP")?;
    if !options.ignored.is_empty() {
        tracing::warn!(flags = options.ignored.join(" "), "these flags have no effect here");
    }
    let mut settings = options.settings;
    let sockets = match passed {
        Some(passed) => {
            // They are instead of the addresses, as they are with node_exporter.
            settings.listen.clear();
            passed.into_sockets().map_err(anyhow::Error::msg)?
        }
        None => Sockets::default(),
    };
    let agent = Agent::with_sockets(settings, sockets)?;
    let reloader = agent.reloader();
    tokio::spawn(memory::keep_small());
    agent
        .run(async {
            loop {
                tokio::select! {
                    _ = terminate.recv() => break,
                    _ = interrupt.recv() => break,
                    // What came of it is logged where it is done.
                    _ = hang_up.recv() => drop(reloader.reload().await),
                }
            }
            tracing::info!("stopping");
        })
        .await;
    Ok(())
}
