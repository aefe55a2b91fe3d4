//! The program `registry`.

use std::process::ExitCode;

use services_kit as kit;

fn main() -> ExitCode {
    let program = kit::Program { name: "registry", about: "Keeps what containers tell about themselves.", port: 5004 };
    kit::run(&program, services_registry::service::serve)
}
