//! Keeps what containers tell about themselves; and the client that posts and gets it.

pub mod client;
mod metrics;
mod page;
mod record;
mod routes;
pub mod service;
mod store;
