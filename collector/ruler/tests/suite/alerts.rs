//! The life of an alert, told by its series.

use collector_ruler::{AlertState, Group, RuleKind};

use crate::fakes::{World, group};

const SECOND: i64 = 1_000;

fn states(group: &Group) -> Vec<(String, AlertState)> {
    let RuleKind::Alerting { alerts, .. } = &group.snapshot().rules[0].kind else { panic!("not an alert") };
    alerts.iter().map(|alert| (alert.labels.to_string(), alert.state)).collect()
}

#[test]
fn pending_then_firing_then_gone() {
    let world = World::new();
    let mut group = group("", "  - {alert: High, expr: q, for: 2s, labels: {severity: page}}");
    world.engine.vector("q", &[("m{i=\"1\"}", 5.0)]);
    let since = r#"ALERTS_FOR_STATE{alertname="High", i="1", severity="page"}"#;
    let alert = |state: &str| format!(r#"ALERTS{{alertname="High", alertstate="{state}", i="1", severity="page"}}"#);
    let (pending, firing) = (alert("pending"), alert("firing"));
    assert_eq!(world.evaluate(&mut group, 10 * SECOND).0, [format!("{pending} 1@10000"), format!("{since} 10@10000")]);
    assert_eq!(world.evaluate(&mut group, 11 * SECOND).0, [format!("{pending} 1@11000"), format!("{since} 10@11000")]);
    assert_eq!(
        world.evaluate(&mut group, 12 * SECOND).0,
        [format!("{firing} 1@12000"), format!("{pending} stale@12000"), format!("{since} 10@12000")]
    );
    world.engine.vector("q", &[]);
    assert_eq!(
        world.evaluate(&mut group, 13 * SECOND).0,
        [format!("{firing} stale@13000"), format!("{since} stale@13000")]
    );
    assert_eq!(states(&group), []);
}

#[test]
fn without_for_an_alert_fires_at_once() {
    let world = World::new();
    let mut group = group("", "  - {alert: High, expr: q}");
    world.engine.vector("q", &[("m", 5.0)]);
    world.evaluate(&mut group, SECOND);
    assert_eq!(states(&group), [(r#"{alertname="High"}"#.to_owned(), AlertState::Firing)]);
}

#[test]
fn a_pending_alert_that_goes_starts_anew() {
    let world = World::new();
    let mut group = group("", "  - {alert: High, expr: q, for: 2s}");
    world.engine.vector("q", &[("m", 5.0)]);
    world.evaluate(&mut group, 0);
    world.engine.vector("q", &[]);
    world.evaluate(&mut group, SECOND);
    world.engine.vector("q", &[("m", 5.0)]);
    world.evaluate(&mut group, 2 * SECOND);
    assert_eq!(states(&group)[0].1, AlertState::Pending);
    world.evaluate(&mut group, 4 * SECOND);
    assert_eq!(states(&group)[0].1, AlertState::Firing);
}

#[test]
fn keep_firing_for_bridges_a_gap() {
    let world = World::new();
    let mut group = group("", "  - {alert: High, expr: q, keep_firing_for: 3s}");
    let at = |second: i64, active: bool, group: &mut Group| {
        world.engine.vector("q", if active { &[("m", 5.0)] } else { &[] });
        world.evaluate(group, second * SECOND);
        states(group).len()
    };
    assert_eq!(at(0, true, &mut group), 1);
    assert_eq!(at(1, false, &mut group), 1, "fires on");
    assert_eq!(at(3, false, &mut group), 1, "two of three seconds");
    assert_eq!(at(4, true, &mut group), 1, "back: the three seconds start anew");
    assert_eq!(at(5, false, &mut group), 1);
    assert_eq!(at(7, false, &mut group), 1);
    assert_eq!(at(8, false, &mut group), 0);
}

#[test]
fn keep_firing_for_does_not_hold_what_never_fired() {
    let world = World::new();
    let mut group = group("", "  - {alert: High, expr: q, for: 1m, keep_firing_for: 1m}");
    world.engine.vector("q", &[("m", 5.0)]);
    world.evaluate(&mut group, 0);
    world.engine.vector("q", &[]);
    world.evaluate(&mut group, SECOND);
    assert_eq!(states(&group), []);
}

#[test]
fn labels_and_annotations_are_expanded() {
    let world = World::new();
    let mut group = group(
        "  labels: {team: '{{ $labels.i }}'}",
        "  - {alert: High, expr: q, labels: {size: '{{ $value | humanize }}'}, annotations: {text: '{{ $labels.__name__ }} {{ $labels.i }} at {{ printf \"%.1f\" $value }}', bad: '{{ $labels.i | humanize }}'}}",
    );
    world.engine.vector("q", &[("m{i=\"a\"}", 1_500.0)]);
    world.evaluate(&mut group, 0);
    let RuleKind::Alerting { alerts, annotations, .. } = &group.snapshot().rules[0].kind else {
        panic!("not an alert")
    };
    assert_eq!(alerts[0].labels.to_string(), r#"{alertname="High", i="a", size="1.5k", team="a"}"#);
    assert_eq!(alerts[0].annotations.get("text"), Some("m a at 1500.0"));
    let bad = "<error expanding template: template function humanize: \"a\" is not a number>";
    assert_eq!(alerts[0].annotations.get("bad"), Some(bad));
    assert_eq!(annotations.get("text"), Some("{{ $labels.__name__ }} {{ $labels.i }} at {{ printf \"%.1f\" $value }}"));
}

#[test]
fn too_many_alerts_clear_them_all() {
    let world = World::new();
    let mut group = group("  limit: 1", "  - {alert: High, expr: q}");
    world.engine.vector("q", &[("m{i=\"1\"}", 5.0), ("m{i=\"2\"}", 5.0)]);
    let (written, failures) = world.evaluate(&mut group, 0);
    assert_eq!(
        (written.len(), failures.as_slice()),
        (0, &["exceeded limit of 1 with 2 alerts".to_owned()] as &[String])
    );
    assert_eq!(states(&group), []);
}

#[test]
fn alerts_that_only_differ_in_the_name_are_one_too_many() {
    let world = World::new();
    let mut group = group("", "  - {alert: High, expr: q}");
    world.engine.vector("q", &[("a", 1.0), ("b", 1.0)]);
    assert_eq!(world.evaluate(&mut group, 0).1.len(), 1);
}
