//! The window from the outside: what goes in comes out, whatever happens to the process and the disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod basics;
mod concurrency;
mod damage;
mod fake_disk;
mod model;
mod retention;
mod stand;
