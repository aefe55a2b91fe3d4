//! The program `echo-server`.

use std::process::ExitCode;

use services_echo::log::{Columns, Queue};
use services_echo::server;
use services_kit as kit;

const PROGRAM: kit::Program = kit::Program {
    name: "echo-server",
    about: "Answers every line that it gets over TCP. Durations are written as 30s, 1m2s or 300ms.",
    port: 12346,
};

fn main() -> ExitCode {
    let (queue, ending) = match Queue::start(std::io::stdout()) {
        Ok(started) => started,
        Err(error) => {
            eprintln!("{}: cannot start a thread for the log: {error}", PROGRAM.name);
            return ExitCode::FAILURE;
        }
    };
    let dropped = queue.dropped();
    let start_log = Box::new(|settings: &kit::log::Settings| kit::log::start_as(settings, Columns, queue));
    let custom = kit::Custom { start_log, ..kit::Custom::default() };
    let code = kit::run_with(&PROGRAM, custom, |settings, process| server::serve(settings, process, dropped));
    ending.finish();
    code
}
