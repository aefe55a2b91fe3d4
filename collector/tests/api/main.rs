//! The HTTP API, on real parts: beside a real Prometheus that stores the same samples (`beside.rs`), and on its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../support/mod.rs"]
mod support;

mod beside;
mod compare;
mod exporter;
mod http;
mod lifecycle;
mod own_metrics;
mod pair;
mod prefix;
mod write;
