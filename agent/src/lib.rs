//! The agent: node and container metrics of one machine on one page.
//!
//! This library is the agent without its command line: [`Settings`] in, listeners out. It reads no environment, sets
//! up no log and takes no signals; the binary beside it does, and so may another program that carries an agent along.

mod agent;
mod arrival;
mod containers;
mod encode;
mod exporter;
mod listen;
pub mod log;
mod process;
mod push;
mod schedule;
mod selection;
mod server;
mod settings;
mod web;

pub use agent::{Agent, AgentError};
pub use exporter::{revision, version};
pub use listen::{ListenError, listen};
pub use push::{Credentials, PushError, PushSettings};
pub use server::serve;
pub use settings::{CONTAINER, Limits, Settings};

/// The page formats that the agent writes, with their parser.
pub use agent_exposition as exposition;
