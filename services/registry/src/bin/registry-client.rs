//! The program `registry-client`.

fn main() {}
