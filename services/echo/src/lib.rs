//! The echo pair: a server that answers every line that it gets, and a client that sends them.
//!
//! Both are small; what takes the place is that neither a slow, silent or loud peer of the server nor the reader of
//! its log can take it from the others ([`server`]), and that the lines of both logs have the forms that people grep
//! for ([`log`]).

pub mod client;
pub mod duration;
pub mod log;
pub mod repr;
pub mod server;
