//! Any text as a query, over a few series: it is answered or refused, and a formatted query is still one.
#![no_main]

use collector_promql::testing::MemoryStorage;
use collector_promql::{Engine, Limits, Options, RangeParams, series_notation};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|query: &str| {
    let mut storage = MemoryStorage::new();
    for line in [r#"a{x="1"} 1+1x20"#, r#"a{x="2"} 3 2 stale _ 1 NaN"#, r#"h_bucket{le="+Inf"} 0+4x20"#] {
        let (labels, values) = series_notation::parse(line).expect("a good line");
        storage.load(labels, &values, 0, 15_000);
    }
    let engine = Engine::new(Options { experimental_functions: true, max_samples: 10_000, ..Options::default() });
    let range = RangeParams { start_ms: 0, end_ms: 300_000, step_ms: 30_000 };
    let _ = engine.instant(query, 60_000, &storage, &Limits::default());
    let _ = engine.range(query, range, &storage, &Limits::default());
    let _ = collector_promql::format(query);
});
