//! Takes votes, counts each voter once, shows the result live.
//!
//! Three programs with two stores between them:
//!
//! ```text
//! browser ─> vote ── RPUSH ─> Redis list `votes` ── vote-worker ─> PostgreSQL table `votes` ─> vote-result ─> browsers
//! ```
//!
//! The list and the table are the contract; each program knows nothing of the others. The guarantees are in `README.md`.

pub mod ballot;
pub mod database;
pub mod options;
pub mod page;
pub mod result;
pub mod vote;
pub mod worker;
