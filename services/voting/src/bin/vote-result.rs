//! The program `vote-result`.

fn main() {}
