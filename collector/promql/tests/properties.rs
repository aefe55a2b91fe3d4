//! Random expressions and random text: nothing panics, and a range query is its instant queries side by side.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use collector_model::Labels;
use collector_promql::testing::MemoryStorage;
use collector_promql::{Engine, Limits, Options, RangeParams, Value, series_notation};
use proptest::prelude::*;

fn storage() -> MemoryStorage {
    let mut storage = MemoryStorage::new();
    for line in [
        r#"a{x="1", y="1"} 1+1x20"#,
        r#"a{x="1", y="2"} 5 4 3 stale _ _ 2 1 0 -1 -2 NaN 7 8 9"#,
        r#"a{x="2", y="1"} _x5 3x12"#,
        r#"b{x="1"} 2x4 stale _ 7x9"#,
        r#"b{x="2"} 1 2 3 0 1 2 3 0 1 2 3 0 Inf -Inf 1"#,
        r#"h_bucket{le="1"} 0+1x20"#,
        r#"h_bucket{le="2"} 0+3x20"#,
        r#"h_bucket{le="+Inf"} 0+4x20"#,
    ] {
        let (labels, values) = series_notation::parse(line).unwrap();
        storage.load(labels, &values, 0, 15_000);
    }
    storage
}

/// Valid expressions of type instant vector, most of which evaluate.
fn vector() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("a".to_owned()),
        Just("b".to_owned()),
        Just("h_bucket".to_owned()),
        Just("a offset 20s".to_owned()),
        Just("b @ 60".to_owned()),
        Just("nothing".to_owned()),
        Just("vector(3)".to_owned()),
        Just("vector(time())".to_owned()),
        Just(r#"{__name__=~"a|b"}"#.to_owned()),
        Just(r#"a{x="1",y!="1"}"#.to_owned()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let function = prop::sample::select(vec!["abs", "-", "sgn", "timestamp", "absent", "ceil", "day_of_year", "+"]);
        let window = prop::sample::select(vec![
            "rate",
            "increase",
            "delta",
            "deriv",
            "sum_over_time",
            "max_over_time",
            "count_over_time",
            "changes",
            "last_over_time",
            "stddev_over_time",
            "absent_over_time",
            "irate",
        ]);
        let aggregation = prop::sample::select(vec![
            "sum",
            "avg by (x)",
            "min without (y)",
            "count by (x, y)",
            "max",
            "stddev",
            "group by (y)",
        ]);
        let with_param = prop::sample::select(vec![
            "topk(1, ",
            "bottomk by (x) (2, ",
            "quantile(0.5, ",
            "count_values(\"v\", ",
            "histogram_quantile(0.9, ",
            "limitk(2, ",
            "limit_ratio(0.5, ",
        ]);
        let operator = prop::sample::select(vec![
            "+",
            "- on(x)",
            "* on(x) group_left()",
            "/ ignoring(y) group_right()",
            "== bool",
            "> on(x, y)",
            "!=",
            "% on(x)",
            "and on(x)",
            "or",
            "unless ignoring(y)",
            "or on(y)",
            "atan2",
            "^",
            "< bool on(x) group_left(y)",
        ]);
        let selector = prop::sample::select(vec!["a[1m]", "b[40s]", "a[2m] offset 10s", "h_bucket[3m]", "b[1m] @ 90"]);
        prop_oneof![
            (function, inner.clone()).prop_map(|(f, e)| format!("{f}({e})")),
            (window.clone(), selector).prop_map(|(f, s)| format!("{f}({s})")),
            (window, inner.clone()).prop_map(|(f, e)| format!("{f}(({e})[1m:20s])")),
            (aggregation, inner.clone()).prop_map(|(a, e)| format!("{a} ({e})")),
            (with_param, inner.clone()).prop_map(|(a, e)| format!("{a}{e})")),
            (inner.clone(), operator, inner.clone()).prop_map(|(l, o, r)| format!("({l}) {o} ({r})")),
            inner.clone().prop_map(|e| format!("({e}) * 2 > 1")),
            inner.prop_map(|e| format!("label_replace({e}, \"y\", \"$1\", \"x\", \"(.*)\")")),
        ]
    })
}

/// Text that comes close to being an expression.
fn noise() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "a",
        "sum",
        "by",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "5m",
        "1",
        "-",
        "+",
        "^",
        "offset",
        "@",
        "start",
        "end",
        "\"x\"",
        "`\\`",
        "=",
        "=~",
        "!~",
        "==",
        "and",
        "or",
        "bool",
        "on",
        "group_left()",
        ",",
        ":",
        "inf",
        "nan",
        "0x",
        "1e",
        ".",
        "#",
        "\n",
        "_",
        "1_0",
        "rate",
        "label_replace",
        "\\",
        "'",
        "\"",
        "é",
        "topk",
        "atan2",
        "1e300",
        "99999999999y",
        "fill",
        "anchored",
        "!",
        "<",
        ">",
        "%",
        "limitk",
        "0",
        "1ms",
        "é{",
        "\u{feff}",
    ]);
    prop::collection::vec(token, 0..25)
        .prop_flat_map(|tokens| prop::sample::select(vec!["", " "]).prop_map(move |between| tokens.join(between)))
}

type Points = BTreeMap<(Labels, i64), u64>;

/// All points, every NaN the same.
fn points(value: Value, at_ms: i64) -> Points {
    let bits = |value: f64| if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() };
    match value {
        Value::Vector(samples) => samples.into_iter().map(|s| ((s.labels, at_ms), bits(s.value))).collect(),
        Value::Matrix(series) => series
            .iter()
            .flat_map(|s| s.points.iter().map(|p| ((s.labels.clone(), p.timestamp_ms), bits(p.value))))
            .collect(),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_range_is_its_instants(query in vector()) {
        let (storage, limits) = (storage(), Limits::default());
        let engine = Engine::new(Options { experimental_functions: true, ..Options::default() });
        let range = RangeParams { start_ms: -10_000, end_ms: 320_000, step_ms: 30_000 };
        let instants: Result<Vec<Points>, _> = (0..12)
            .map(|step| range.start_ms + step * range.step_ms)
            .map(|at| engine.instant(&query, at, &storage, &limits).map(|r| points(r.value, at)))
            .collect();
        match (engine.range(&query, range, &storage, &limits), instants) {
            (Ok(whole), Ok(instants)) => {
                let side_by_side: Points = instants.into_iter().flatten().collect();
                prop_assert_eq!(points(whole.value, 0), side_by_side, "{}", query);
            }
            (Err(_), Err(_)) => {}
            (whole, instants) => prop_assert!(false, "{query}: {whole:?} but {instants:?}"),
        }
    }

    #[test]
    fn a_formatted_expression_is_the_same(query in vector()) {
        let formatted = collector_promql::format(&query).unwrap();
        prop_assert_eq!(collector_promql::format(&formatted).unwrap(), formatted);
    }

    #[test]
    fn noise_never_panics(query in noise()) {
        let engine = Engine::new(Options { experimental_functions: true, ..Options::default() });
        // Most of it is refused; what matters is that an answer comes back.
        engine.instant(&query, 60_000, &storage(), &Limits::default()).ok();
        let range = RangeParams { start_ms: 0, end_ms: 60_000, step_ms: 30_000 };
        engine.range(&query, range, &storage(), &Limits::default()).ok();
        collector_promql::format(&query).ok();
    }

    #[test]
    fn any_text_never_panics(query in ".{0,60}", line in ".{0,60}") {
        collector_promql::check(&query).ok();
        collector_promql::parse_selector(&query).ok();
        series_notation::parse(&line).ok();
        series_notation::parse(&format!("m {line}")).ok();
    }
}
