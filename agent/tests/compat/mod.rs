//! A real node_exporter (Debian's 1.5.0) beside our agent: what each page has, what it is called, and what it says.
//!
//! Over a fixture tree values must be equal. On this machine, which does not stand still, ours are taken between two of
//! theirs and must lie between them; what moves up and down gets several rounds.

#![allow(dead_code, reason = "each test uses what it needs")]

pub mod allowed;
pub mod compare;
pub mod pages;
pub mod report;
pub mod stages;
