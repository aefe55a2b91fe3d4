//! The program `vote`.

fn main() {}
