//! The program `echo-client`.

fn main() {}
