//! The program `registry-client`.

use std::process::ExitCode;

use services_kit as kit;

fn main() -> ExitCode {
    let about = "Posts what the agent tells of this container to the registry, and gets what is there.";
    kit::run_tool(&kit::Program { name: "registry-client", about, port: 0 }, services_registry::client::run)
}
