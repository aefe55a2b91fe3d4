//! Doors for the fuzz targets in `fuzz/`; not part of the crate's interface.

use std::path::Path;

use crate::chain;
use crate::guard::{Guard, names_in};
use crate::push::Receiver;

/// Reads a file of `--web.config.file`, and builds all that it asks for; gives what is said where it cannot be used.
pub fn web_config(path: &Path) -> Option<String> {
    Guard::new(path.to_owned()).err().map(|error| chain(&error))
}

/// Reads bytes as a client's certificate, and as the URL of a receiver.
pub fn from_peers(bytes: &[u8]) {
    assert!(names_in(bytes).len() <= bytes.len());
    if let Ok(url) = std::str::from_utf8(bytes)
        && let Ok(receiver) = Receiver::parse(url)
    {
        assert!(!receiver.host.is_empty() && !receiver.to_string().contains('?'));
    }
}
