//! From the command line to a running service and back to an exit code.

use std::io::Write as _;
use std::process::ExitCode;

use axum::Router;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::settings::{CommandLine, Reader, Task};
use crate::{Readiness, Shutdown, health, http, log, settings};

/// Why a service ended before it was told to.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Who a program is.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// As it is called on the command line.
    pub name: &'static str,
    /// One sentence for `--help`.
    pub about: &'static str,
    /// The HTTP port when `BIND_PORT` says nothing.
    pub port: u16,
}

/// What a program does in a way of its own; [`Custom::default`] is what all others do.
pub struct Custom {
    /// Reads the file that `CONFIG_FILE` names.
    pub read_file: Reader,
    /// Starts the log.
    pub start_log: Box<dyn FnOnce(&log::Settings)>,
}

impl Default for Custom {
    fn default() -> Self {
        Self { read_file: settings::read, start_log: Box::new(log::start) }
    }
}

/// What the kit hands to a service.
pub struct Process {
    /// Where it listens, and its limits.
    pub http: http::Settings,
    /// Its metrics; what is registered here shows at `/metrics`.
    pub registry: Registry,
    /// Tells when to end.
    pub shutdown: Shutdown,
}

impl Process {
    /// Serves the router, and beside it `/healthz`, `/readyz` and `/metrics`, until shutdown; open requests may end
    /// within the grace.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn serve(self, router: Router, readiness: Readiness) -> Result<(), Failure> {
        let Self { http, registry, shutdown } = self;
        let listener = http::listen(&http).await?;
        http::serve(listener, router, readiness, registry, &http, &shutdown).await;
        Ok(())
    }
}

/// Reads the settings, starts log and runtime, and runs the service; or does its health check.
/// Exit codes: 0 well, 1 failed, 2 bad settings.
pub fn run<S, F>(program: &Program, service: impl FnOnce(S, Process) -> F) -> ExitCode
where
    S: clap::Args,
    F: Future<Output = Result<(), Failure>>,
{
    run_with(program, Custom::default(), service)
}

/// As [`run`], for a program that does some of it in a way of its own.
pub fn run_with<S, F>(program: &Program, custom: Custom, service: impl FnOnce(S, Process) -> F) -> ExitCode
where
    S: clap::Args,
    F: Future<Output = Result<(), Failure>>,
{
    let command = match settings::parse_with::<S>(program, custom.read_file) {
        Ok(command) => command,
        Err(refused) => return refused.print(program),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(program, &error),
    };
    let ended = runtime.block_on(async {
        if let Some(Task::Health) = command.task {
            return health::check(&command.http).await.map_err(Failure::from);
        }
        (custom.start_log)(&command.log);
        log::take_panics();
        begin(program, command, service).await
    });
    // What still runs has had its grace.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(program, error.as_ref()),
    }
}

async fn begin<S, F>(
    program: &Program,
    command: CommandLine<S>,
    service: impl FnOnce(S, Process) -> F,
) -> Result<(), Failure>
where
    S: clap::Args,
    F: Future<Output = Result<(), Failure>>,
{
    let mut registry = Registry::default();
    let build = Family::<[(&str, &str); 2], ConstGauge<i64>>::new_with_constructor(|| ConstGauge::new(1));
    drop(build.get_or_create(&[("service", program.name), ("version", env!("CARGO_PKG_VERSION"))]));
    registry.register("atalaia_service_build_info", "1, with the service's name and version", build);
    let process = Process { http: command.http, registry, shutdown: Shutdown::on_signals()? };
    service(command.service, process).await
}

/// Prints an error with its causes on one line.
fn fail(program: &Program, error: &(dyn std::error::Error + 'static)) -> ExitCode {
    tell(program, &in_one_line(error));
    ExitCode::FAILURE
}

/// Writes a line to standard error. With that closed there is nobody to tell.
pub(crate) fn tell(program: &Program, line: &str) {
    let _ = writeln!(std::io::stderr(), "{}: {line}", program.name);
}

/// An error and its causes.
pub(crate) fn in_one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Reads the settings of a tool that serves nothing, such as an interactive client, and runs it. Exit codes as in
/// [`run`].
pub fn run_tool<S, F>(program: &Program, tool: impl FnOnce(S) -> F) -> ExitCode
where
    S: clap::Args,
    F: Future<Output = Result<(), Failure>>,
{
    let settings = match settings::parse_tool::<S>(program) {
        Ok(settings) => settings,
        Err(refused) => return refused.print(program),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(program, &error),
    };
    let ended = runtime.block_on(tool(settings));
    // A thread may still wait for standard input.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(program, error.as_ref()),
    }
}
