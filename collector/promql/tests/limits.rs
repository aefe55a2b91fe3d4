//! What a query may not do: overflow the stack, hold too many samples, go on after it was canceled.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::atomic::Ordering;

use collector_model::{Budget, Labels, Select, SelectError, Selection, SeriesSamples};
use collector_promql::testing::MemoryStorage;
use collector_promql::{Engine, Limits, Options, QueryError, RangeParams};

const RANGE: RangeParams = RangeParams { start_ms: 0, end_ms: 600_000, step_ms: 10_000 };

fn storage(series: usize) -> MemoryStorage {
    let mut storage = MemoryStorage::new();
    for i in 0..series {
        let labels = Labels::from_pairs([("__name__", "a".to_owned()), ("i", i.to_string())]);
        storage.load(labels, &[Some(1.0); 61], 0, 10_000);
    }
    storage
}

/// On a stack as small as the threads of an async runtime have.
fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(run).unwrap().join().unwrap();
}

#[test]
fn deep_expressions_are_evaluated_or_refused() {
    on_a_small_stack(|| {
        let storage = storage(2);
        let nested = |depth: usize, open: &str, close: &str| format!("{}a{}", open.repeat(depth), close.repeat(depth));
        for query in [
            nested(95, "(", ")"),
            nested(95, "abs(", ")"),
            nested(47, "sum(-", ")"),
            nested(30, "max_over_time(", "[1m:10s])"),
            nested(95, "-", ""),
            nested(45, "1 + (", ")"),
            nested(95, "2 ^ ", ""),
            vec!["a"; 950].join(" + "),
            vec!["a"; 950].join(" or "),
            format!("{}a", "sum(a) > bool ".repeat(400)),
        ] {
            let start = &query[..20];
            Engine::default().instant(&query, 60_000, &storage, &Limits::default()).map(drop).expect(start);
        }
        for query in [nested(5_000, "(", ")"), nested(5_000, "-", ""), vec!["a"; 5_000].join("+"), "[".repeat(90_000)] {
            let error = Engine::default().instant(&query, 60_000, &storage, &Limits::default());
            assert!(matches!(error, Err(QueryError::Parse(_))), "{error:?}");
        }
    });
}

#[test]
fn a_query_holds_no_more_samples_than_it_may() {
    let storage = storage(10);
    let run = |max_samples: usize, query: &str| {
        let engine = Engine::new(Options { max_samples, ..Options::default() });
        engine.range(query, RANGE, &storage, &Limits::default())
    };
    // 610 samples are read, 610 values come out.
    assert!(run(1_220, "a").is_ok());
    for query in ["a", "sum(a)", "count_over_time(a[5m])", "max_over_time(sum(a)[1h:1ms])"] {
        let error = run(600, query).expect_err(query).to_string();
        assert_eq!(error, "query processing would load too many samples into memory in query execution");
    }
    // What is no longer held does not count.
    assert!(run(2_500, "sum(a) + sum(a) + sum(a) + sum(a) + sum(a) + sum(a)").is_ok());
    let stats = run(10_000, "sum(a)").unwrap().stats;
    assert_eq!(stats.samples_loaded, 610);
    assert!((1_220..1_400).contains(&stats.peak_samples), "{stats:?}");
}

#[test]
fn a_canceled_query_stops() {
    let limits = Limits::default();
    limits.canceled.store(true, Ordering::Relaxed);
    let result = Engine::default().range("sum(rate(a[5m]))", RANGE, &storage(3), &limits);
    assert!(matches!(result, Err(QueryError::Canceled)), "{result:?}");
}

/// Counts how often it is asked.
struct Counting(MemoryStorage, std::sync::atomic::AtomicUsize);

impl Select for Counting {
    fn select(&self, selection: &Selection, budget: &dyn Budget) -> Result<Vec<SeriesSamples>, SelectError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.select(selection, budget)
    }

    fn series(&self, selections: &[Selection]) -> Result<Vec<Labels>, SelectError> {
        self.0.series(selections)
    }
}

#[test]
fn each_selector_is_read_once() {
    let storage = Counting(storage(2), Default::default());
    Engine::default().range("rate(a[1m]) / a + max_over_time(a[2m:10s])", RANGE, &storage, &Limits::default()).unwrap();
    assert_eq!(storage.1.load(Ordering::Relaxed), 3);
}

/// Fails as a damaged disk does.
struct Broken;

impl Select for Broken {
    fn select(&self, _: &Selection, _: &dyn Budget) -> Result<Vec<SeriesSamples>, SelectError> {
        Err(SelectError::Read(std::io::Error::other("damaged")))
    }

    fn series(&self, _: &[Selection]) -> Result<Vec<Labels>, SelectError> {
        Ok(Vec::new())
    }
}

#[test]
fn a_failed_read_fails_the_query() {
    let result = Engine::default().instant("sum(a) or vector(0)", 0, &Broken, &Limits::default());
    assert!(matches!(result, Err(QueryError::Select(SelectError::Read(_)))), "{result:?}");
}

#[test]
fn experimental_functions_are_off_unless_asked_for() {
    for query in ["sort_by_label(a, 'i')", "limitk(1, a)", "limit_ratio(0.5, a)", "mad_over_time(a[5m])", "start()"] {
        assert!(collector_promql::check(query).is_err(), "{query}");
        let engine = Engine::new(Options { experimental_functions: true, ..Options::default() });
        engine.check(query).expect(query);
    }
}
