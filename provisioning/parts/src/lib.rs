//! The real parts that tests start and stop: processes, our services, Redis, PostgreSQL, InfluxDB, a browser, Docker.
//!
//! A part starts on a free port in a folder of its own and is gone when the test lets go of it. What does not work
//! panics with what was attempted and what would help: a test has nobody to hand an error to.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only tests link this, and a part that fails has to fail its test, with its reason"
)]

mod browser;
mod docker;
mod http;
mod influx;
mod machine;
mod monitoring;
mod postgres;
mod process;
mod prometheus;
mod redis;
mod service;
mod tree;

pub use crate::browser::{Browser, PHONE};
pub use crate::docker::{Container, Network, demo_image, docker, docker_available};
pub use crate::http::{Answer, form, get, request, send};
pub use crate::influx::Influx;
pub use crate::machine::{binary, eventually, free_port, program, root};
pub use crate::monitoring::{Agent, Collector, configuration};
pub use crate::postgres::Postgres;
pub use crate::process::{Process, Start};
pub use crate::prometheus::{Prometheus, prom_query, promtool_complaints};
pub use crate::redis::Redis;
pub use crate::service::Service;
