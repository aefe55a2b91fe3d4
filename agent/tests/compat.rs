//! `make compat`: Debian's node_exporter and our agent, side by side. Prints what differs and why; ends with 1 where
//! nobody meant it to.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../node/tests/harness/bus.rs"]
mod bus;
#[path = "compat/mod.rs"]
mod compat;
#[path = "../node/tests/harness/systemd.rs"]
mod systemd;

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use compat::allowed::{ALLOWED, Allowed};
use compat::compare::compare;
use compat::report::{Colours, table, unused};
use compat::stages::{Stage, outlived, stages};

fn main() -> ExitCode {
    let colours = Colours(std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let allowed = Allowed::new(ALLOWED);
    let bus = bus::Bus::start(systemd::script(systemd::UNITS));
    let mut stages = stages();
    stages.push(Stage::of_systemd(&bus.address()));
    let mut wrong = 0;
    for stage in stages {
        let comparison = compare(&allowed, stage.rounds(Path::new(env!("CARGO_BIN_EXE_atalaia-agent"))));
        wrong += comparison.unexplained().count();
        println!("{}", table(stage.title, &comparison, colours));
    }
    let (unused_entries, outlived) = (allowed.unused(), outlived());
    print!("{}", unused(&unused_entries, colours));
    outlived.iter().for_each(|name| println!("UNUSED ENTRY {name}: there is no such collector or flag"));
    let complaints = wrong + unused_entries.len() + outlived.len();
    println!("{}", if complaints == 0 { "nothing unexplained".to_owned() } else { format!("{complaints} to explain") });
    ExitCode::from(u8::from(complaints > 0))
}
