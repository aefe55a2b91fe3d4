//! The program `registry`.

fn main() {}
