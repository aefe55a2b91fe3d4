//! The agent: node and container metrics of one machine on one page.
//!
//! This library is the agent without its command line: [`Settings`] in, listeners out. It reads no environment, sets
//! up no log and takes no signals, unless asked to by [`log`]; the binary beside it does, and so may another program that
//! carries an agent along.

mod agent;
mod arrival;
mod containers;
mod encode;
mod exporter;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod guard;
mod listen;
mod listener;
pub mod log;
mod process;
mod push;
mod schedule;
mod selection;
mod server;
mod settings;
mod web;

pub use agent::{Agent, AgentError, Reloader, Sockets};
pub use exporter::{revision, version};
pub use guard::{Demands, WebConfigError};
pub use listen::{ListenError, listen};
pub use listener::{Listener, unix_path};
pub use push::{Credentials, PushError, PushSettings};
pub use server::serve;
pub use settings::{ACCELERATOR, CONTAINER, Limits, Settings};

/// The page formats that the agent writes, with their parser.
pub use agent_exposition as exposition;

/// An error and its sources in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
