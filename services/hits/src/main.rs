//! The hit counter.

fn main() {}
