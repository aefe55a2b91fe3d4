//! One evaluation after another of recording rules.

use collector_model::Rejection;
use collector_promql::Value;
use collector_ruler::{Health, RuleKind};

use crate::fakes::{World, group};

const NONE: [&str; 0] = [];

#[test]
fn results_are_written_under_the_rules_name_and_labels() {
    let world = World::new();
    let mut group = group(
        "  labels: {team: infra, x: group}",
        "  - {record: 'a:b', expr: q, labels: {x: rule, gone: ''}}\n  - {record: c, expr: '7'}",
    );
    world.engine.vector("q", &[("m{i=\"1\", gone=\"y\"}", 1.0), ("m{i=\"2\"}", 2.0)]);
    world.engine.answer("7", Value::Scalar(7.0));
    let (written, failures) = world.evaluate(&mut group, 1_000);
    assert_eq!(
        written,
        [
            r#"a:b{i="1", team="infra", x="rule"} 1@1000"#,
            r#"a:b{i="2", team="infra", x="rule"} 2@1000"#,
            r#"c{team="infra", x="group"} 7@1000"#,
        ]
    );
    assert_eq!(failures, NONE);
    let snapshot = group.snapshot();
    assert_eq!(
        (snapshot.file.as_str(), snapshot.name.as_str(), snapshot.last_evaluation_ms),
        ("r.yml", "g", Some(1_000))
    );
    let rule = &snapshot.rules[0];
    assert_eq!((rule.health, &rule.last_error, rule.last_evaluation_ms), (Health::Ok, &None, Some(1_000)));
    assert_eq!(rule.labels.to_string(), r#"{team="infra", x="rule"}"#);
    let RuleKind::Recording { series: 2, sample: Some(sample) } = &rule.kind else { panic!("{:?}", rule.kind) };
    assert_eq!((sample.labels.get("i"), sample.value), (Some("1"), 1.0));
}

#[test]
fn the_query_offset_moves_both_the_query_and_the_result() {
    let world = World::new();
    let mut group = group("  query_offset: 5s", "  - {record: a, expr: q}");
    world.engine.vector("q", &[("m", 1.0)]);
    assert_eq!(world.evaluate(&mut group, 60_000).0, ["a 1@55000"]);
    assert_eq!(*world.engine.asked.lock(), [("q".to_owned(), 55_000)]);
    assert_eq!(group.snapshot().last_evaluation_ms, Some(60_000));
}

#[test]
fn a_series_that_vanishes_ends_once() {
    let world = World::new();
    let mut group = group("", "  - {record: a, expr: q}");
    world.engine.vector("q", &[("m{i=\"1\"}", 1.0), ("m{i=\"2\"}", 2.0)]);
    world.evaluate(&mut group, 1);
    world.engine.vector("q", &[("m{i=\"2\"}", 3.0)]);
    assert_eq!(world.evaluate(&mut group, 2).0, [r#"a{i="1"} stale@2"#, r#"a{i="2"} 3@2"#]);
    assert_eq!(world.evaluate(&mut group, 3).0, [r#"a{i="2"} 3@3"#]);
}

#[test]
fn an_error_writes_nothing_and_ends_nothing() {
    let world = World::new();
    let mut group = group("", "  - {record: a, expr: q}\n  - {record: b, expr: r}");
    world.engine.vector("q", &[("m", 1.0)]);
    world.engine.vector("r", &[("m", 5.0)]);
    world.evaluate(&mut group, 1);
    world.engine.fail("q", "too many samples");
    let (written, failures) = world.evaluate(&mut group, 2);
    assert_eq!((written, failures), (vec!["b 5@2".to_owned()], vec!["too many samples".to_owned()]));
    let rules = group.snapshot().rules;
    assert_eq!((rules[0].health, rules[0].last_error.as_deref()), (Health::Err, Some("too many samples")));
    assert_eq!(rules[1].health, Health::Ok);
    // What was there before the error is still known: it ends when the rule is well again without it.
    world.engine.vector("q", &[]);
    assert_eq!(world.evaluate(&mut group, 3).0, ["a stale@3", "b 5@3"]);
    assert_eq!(group.snapshot().rules[0].health, Health::Ok);
}

#[test]
fn two_results_with_the_same_labels_are_an_error() {
    let world = World::new();
    let mut group = group("", "  - {record: a, expr: q, labels: {i: same}}");
    world.engine.vector("q", &[("m{i=\"1\"}", 1.0), ("m{i=\"2\"}", 2.0)]);
    let (written, failures) = world.evaluate(&mut group, 1);
    assert_eq!(written, NONE);
    assert_eq!(failures, [r#"vector contains metrics with the same labelset after applying rule labels: a{i="same"}"#]);
}

#[test]
fn more_results_than_the_limit_are_an_error() {
    let world = World::new();
    let mut group = group("  limit: 1", "  - {record: a, expr: q}");
    world.engine.vector("q", &[("m", 1.0)]);
    assert_eq!(world.evaluate(&mut group, 1).0, ["a 1@1"]);
    world.engine.vector("q", &[("m{i=\"1\"}", 1.0), ("m{i=\"2\"}", 2.0)]);
    let (written, failures) = world.evaluate(&mut group, 2);
    assert_eq!(
        (written.as_slice(), failures.as_slice()),
        (&[] as &[String], &["exceeded limit of 1 with 2 series".to_owned()] as &[String])
    );
}

#[test]
fn a_string_or_a_range_is_an_error() {
    let world = World::new();
    let mut group = group("", "  - {record: a, expr: q}");
    for value in [Value::String("x".to_owned()), Value::Matrix(Vec::new())] {
        world.engine.answer("q", value);
        let (written, failures) = world.evaluate(&mut group, 1);
        assert_eq!(
            (written.len(), failures.as_slice()),
            (0, &["rule result is not a vector or scalar".to_owned()] as &[String])
        );
    }
}

#[test]
fn a_series_that_the_window_let_go_is_resolved_anew() {
    let world = World::new();
    let mut group = group("", "  - {record: a, expr: q}");
    world.engine.vector("q", &[("m{i=\"1\"}", 1.0), ("m{i=\"2\"}", 2.0)]);
    world.evaluate(&mut group, 1);
    world.window.forget();
    world.engine.vector("q", &[("m{i=\"1\"}", 5.0)]);
    // The marker for the other series is not needed: it ended with its handle.
    let (written, failures) = world.evaluate(&mut group, 2);
    assert_eq!((written.as_slice(), failures.len()), (&[r#"a{i="1"} 5@2"#.to_owned()] as &[String], 0));
    assert_eq!(world.evaluate(&mut group, 3).0, [r#"a{i="1"} 5@3"#]);
}

#[test]
fn what_the_window_refuses_shows_in_the_rules_health() {
    let world = World::new();
    let mut group = group("", "  - {record: a, expr: q}");
    world.engine.vector("q", &[("m", 1.0)]);
    world.evaluate(&mut group, 10);
    let (written, failures) = world.evaluate(&mut group, 5);
    assert_eq!(written, NONE);
    assert_eq!(failures, ["1 samples of the result were refused: out_of_order"]);
    world.window.break_down(true);
    world.evaluate(&mut group, 20);
    let rule = &group.snapshot().rules[0];
    let error = "cannot store the result: cannot write the write-ahead log: no space left on device";
    assert_eq!((rule.health, rule.last_error.as_deref()), (Health::Err, Some(error)));
    world.window.break_down(false);
    assert_eq!(world.evaluate(&mut group, 30).0, ["a 1@30"]);
}

#[test]
fn a_group_that_is_told_to_stop_ends_after_the_rule_it_is_at() {
    let world = World::new();
    let mut group = group("", "  - {record: a, expr: q}\n  - {record: b, expr: q}");
    world.engine.vector("q", &[("m", 1.0)]);
    let outcome = group.evaluate(1, &world.ports, || false);
    assert_eq!((outcome.evaluated, outcome.samples), (1, 1));
    assert_eq!(world.window.take(), ["a 1@1"]);
}

#[test]
fn a_full_window_costs_only_the_series_that_are_too_many() {
    let world = World::new();
    let mut group = group("", "  - {record: a, expr: q}");
    world.engine.vector("q", &[("m{i=\"2\"}", 2.0)]);
    world.evaluate(&mut group, 1);
    world.window.limit(Some(1));
    world.engine.vector("q", &[("m{i=\"1\"}", 1.0), ("m{i=\"2\"}", 3.0), ("m{i=\"3\"}", 1.0)]);
    let outcome = group.evaluate(2, &world.ports, || true);
    assert_eq!((world.window.take(), outcome.samples), (vec![r#"a{i="2"} 3@2"#.to_owned()], 1));
    assert_eq!(outcome.rejected, [(Rejection::SeriesLimit, 2)]);
    let rule = &group.snapshot().rules[0];
    let error = "2 samples of the result were refused: series_limit";
    assert_eq!((rule.health, rule.last_error.as_deref()), (Health::Err, Some(error)));
    // Let go and asked for anew, beside one that is too many.
    world.window.forget();
    world.engine.vector("q", &[("m{i=\"0\"}", 7.0), ("m{i=\"2\"}", 4.0)]);
    world.window.limit(Some(0));
    assert_eq!(world.evaluate(&mut group, 3).0, NONE);
    world.window.limit(Some(1));
    world.engine.vector("q", &[("m{i=\"2\"}", 5.0), ("m{i=\"4\"}", 8.0)]);
    // What was let go is as new as the others: the one place goes to who asks first.
    assert_eq!(world.evaluate(&mut group, 4).0, [r#"a{i="4"} 8@4"#]);
    world.window.limit(None);
    let (written, failures) = world.evaluate(&mut group, 5);
    assert_eq!(written, [r#"a{i="2"} 5@5"#, r#"a{i="4"} 8@5"#]);
    assert_eq!((failures.len(), group.snapshot().rules[0].health), (0, Health::Ok));
}
