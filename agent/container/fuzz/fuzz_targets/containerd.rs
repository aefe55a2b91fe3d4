//! Any bytes as containerd's messages.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| agent_container::fuzzing::containerd_messages(bytes));
