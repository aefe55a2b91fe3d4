//! Any text as a cgroup's path, labels, flags, addresses, versions, states and times.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| agent_container::fuzzing::words(text));
