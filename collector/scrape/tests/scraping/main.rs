//! Scraping real HTTP servers, rule by rule.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod failures;
mod harness;
mod reload;
mod samples;
mod transport;
