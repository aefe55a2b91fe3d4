//! The program `echo-server`.

fn main() {}
