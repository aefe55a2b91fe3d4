//! Any bytes as a client's certificate, and as the URL of a receiver.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| atalaia_agent::fuzzing::from_peers(bytes));
