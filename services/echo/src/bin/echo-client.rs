//! The program `echo-client`.

use std::process::ExitCode;

use services_echo::client;
use services_echo::log::Pairs;
use services_kit as kit;

const PROGRAM: kit::Program = kit::Program {
    name: "echo-client",
    about: "Sends a message to the echo server each period, and logs its answers. Durations are written as 1m2s, 1.5h \
            or 300ms. The file of settings may be YAML: id, server.address, loop.lapse, loop.period, log.level. There \
            is no HTTP while BIND_PORT is 0.",
    port: 0,
};

fn main() -> ExitCode {
    let start_log = Box::new(|settings: &kit::log::Settings| kit::log::start_as(settings, Pairs, std::io::stdout));
    kit::run_with(&PROGRAM, kit::Custom { read_file: client::read_file, start_log }, client::run)
}
