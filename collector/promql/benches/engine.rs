//! Query shapes of dashboards and rules over 2,000 series in memory, an hour at 15 s.
//!
//! `cargo bench -p collector-promql`; times are per sample that the query reads.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use collector_model::Labels;
use collector_promql::testing::MemoryStorage;
use collector_promql::{Engine, Limits, RangeParams};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const SERIES: usize = 2_000;
const STEP_MS: i64 = 15_000;
const HOUR_MS: i64 = 3_600_000;

fn storage() -> MemoryStorage {
    let mut storage = MemoryStorage::new();
    for series in 0..SERIES {
        let labels = Labels::from_pairs([
            ("__name__", "http_requests_total".to_owned()),
            ("instance", format!("host-{:03}:9100", series / 20)),
            ("path", format!("/api/v1/{}", series % 20)),
            ("job", format!("job-{}", series % 7)),
        ]);
        let values: Vec<Option<f64>> = (0..260).map(|i| Some((i * (1 + series % 13)) as f64)).collect();
        storage.load(labels, &values, 0, STEP_MS);
    }
    storage
}

fn ranges(c: &mut Criterion) {
    let storage = storage();
    let engine = Engine::default();
    let range = RangeParams { start_ms: 300_000, end_ms: HOUR_MS, step_ms: STEP_MS };
    let mut group = c.benchmark_group("range");
    group.sample_size(10);
    for (name, query) in [
        ("select", "http_requests_total"),
        ("sum_by_rate", "sum by (job) (rate(http_requests_total[5m]))"),
        ("ratio", "http_requests_total / on(instance) group_left sum by (instance) (http_requests_total)"),
        ("topk", "topk(5, rate(http_requests_total[1m]))"),
        ("max_over_time", "max by (path) (max_over_time(http_requests_total[10m]))"),
    ] {
        let run = || engine.range(query, range, &storage, &Limits::default()).unwrap();
        group.throughput(Throughput::Elements(run().stats.samples_loaded as u64));
        group.bench_function(name, |b| b.iter(|| black_box(run())));
    }
    group.finish();
}

fn instants(c: &mut Criterion) {
    let storage = storage();
    let engine = Engine::default();
    let mut group = c.benchmark_group("instant");
    for (name, query) in [
        ("one_series", r#"http_requests_total{instance="host-042:9100",path="/api/v1/7"}"#),
        ("sum_by_rate", "sum by (job) (rate(http_requests_total[5m]))"),
        ("parse_only", "1 + 2 * scalar(vector(3))"),
    ] {
        let run = || engine.instant(query, HOUR_MS, &storage, &Limits::default()).unwrap();
        group.throughput(Throughput::Elements(run().stats.samples_loaded.max(1) as u64));
        group.bench_function(name, |b| b.iter(|| black_box(run())));
    }
    group.finish();
}

criterion_group!(benches, ranges, instants);
criterion_main!(benches);
