//! Any text as a series of a rule test.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &str| {
    let _ = collector_promql::series_notation::parse(line);
    let _ = collector_promql::series_notation::parse_labels(line);
});
