//! The worker that stores votes.

use std::process::ExitCode;

use services_kit as kit;

fn main() -> ExitCode {
    kit::run(
        &kit::Program { name: "vote-worker", about: "Stores the votes queued in Redis in PostgreSQL.", port: 5005 },
        services_voting::worker::serve,
    )
}
