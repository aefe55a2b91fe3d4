//! The file transfer service.

fn main() {}
