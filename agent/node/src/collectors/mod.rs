//! The registry of node collectors: one file each, one `mod` line and one entry.

use crate::Spec;

mod loadavg;

/// Every collector there is, in alphabetical order.
pub const COLLECTORS: &[&Spec] = &[&loadavg::SPEC];
