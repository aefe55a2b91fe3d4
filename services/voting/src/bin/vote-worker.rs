//! The program `vote-worker`.

fn main() {}
