//! The page that shows the result.

use std::process::ExitCode;

use services_kit as kit;

fn main() -> ExitCode {
    kit::run(
        &kit::Program { name: "vote-result", about: "Shows the votes in PostgreSQL, live.", port: 5002 },
        services_voting::result::serve,
    )
}
