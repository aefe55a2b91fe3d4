//! What the kernel says: pure parsers for /proc, /sys and cgroup files, and the one [`Root`] that reads them.
//!
//! Parsers take bytes and give types; only `root.rs` touches the machine.

mod root;

pub use root::{Error, Root};
