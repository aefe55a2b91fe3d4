//! The ruler over canned query results, a window that writes down what it is given, and a clock that stands until
//! it is moved.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod alerts;
mod fakes;
mod files;
mod groups;
mod running;
