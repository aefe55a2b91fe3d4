//! The page that takes votes.

use std::process::ExitCode;

use services_kit as kit;

fn main() -> ExitCode {
    kit::run(
        &kit::Program { name: "vote", about: "Takes votes and queues them in Redis.", port: 5000 },
        services_voting::vote::serve,
    )
}
