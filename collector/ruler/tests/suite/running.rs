//! The ruler with its tasks, on tokio's paused clock: time moves only when everybody waits.

use std::time::Duration;

use collector_ruler::{Health, Metrics, RuleKind, Ruler, Settings};
use prometheus_client::registry::Registry;

use crate::fakes::{World, file};

struct Running {
    world: World,
    registry: Registry,
    ruler: Ruler,
}

impl Running {
    fn new() -> Self {
        let world = World::ticking(1_000_000);
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let ruler = Ruler::new(world.ports.clone(), metrics);
        Self { world, registry, ruler }
    }

    fn apply(&self, text: &str) {
        self.ruler.apply(vec![file(text)], &Settings::default());
    }

    /// Lets time pass; gives what was written meanwhile.
    async fn pass(&self, seconds: u64) -> Vec<String> {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        self.world.window.take()
    }

    /// The value of one of the ruler's metrics, if the page has it.
    fn metric(&self, series: &str) -> Option<f64> {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry).unwrap();
        page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }
}

const ONE: &str = "groups: [{name: g, interval: 10s, rules: [{record: a, expr: q}]}]";

#[tokio::test(start_paused = true)]
async fn a_group_is_evaluated_once_an_interval_at_its_own_offset() {
    let running = Running::new();
    running.world.engine.vector("q", &[("m", 1.0)]);
    running.apply(ONE);
    assert_eq!(running.ruler.snapshot()[0].rules[0].health, Health::Unknown);
    let written = running.pass(35).await;
    let times: Vec<i64> = written.iter().map(|line| line.rsplit_once('@').unwrap().1.parse().unwrap()).collect();
    assert!((3..=4).contains(&times.len()), "{written:?}");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 10_000), "{times:?}");
    assert!((1_000_000..1_010_000).contains(&times[0]), "{times:?}");

    // Another process with the same file takes up the same slots.
    let again = Running::new();
    again.world.engine.vector("q", &[("m", 1.0)]);
    again.apply(ONE);
    let first: i64 = again.pass(10).await[0].rsplit_once('@').unwrap().1.parse().unwrap();
    assert_eq!(first % 10_000, times[0] % 10_000);
    running.ruler.stop().await;
    again.ruler.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_happens_is_counted_under_prometheuss_names() {
    let running = Running::new();
    running.world.engine.fail("q", "no");
    running.apply(ONE);
    let label = r#"{rule_group="r.yml;g"}"#;
    let metric = |name: &str| running.metric(&format!("{name}{label}"));
    assert_eq!(metric("prometheus_rule_evaluation_failures_total"), Some(0.0));
    running.pass(20).await;
    assert_eq!(metric("prometheus_rule_evaluations_total"), Some(2.0));
    assert_eq!(metric("prometheus_rule_evaluation_failures_total"), Some(2.0));
    assert_eq!(metric("prometheus_rule_group_iterations_total"), Some(2.0));
    assert_eq!(metric("prometheus_rule_group_iterations_missed_total"), Some(0.0));
    assert_eq!(metric("prometheus_rule_group_interval_seconds"), Some(10.0));
    assert_eq!(metric("prometheus_rule_group_rules"), Some(1.0));
    assert_eq!(metric("prometheus_rule_group_last_evaluation_samples"), Some(0.0));
    assert!(metric("prometheus_rule_group_last_evaluation_timestamp_seconds").unwrap() > 1_000.0);
    assert!(metric("prometheus_rule_group_last_duration_seconds").is_some());
    running.world.engine.vector("q", &[("m", 1.0)]);
    running.pass(10).await;
    assert_eq!(metric("prometheus_rule_group_last_evaluation_samples"), Some(1.0));
    running.ruler.apply(Vec::new(), &Settings::default());
    assert_eq!(metric("prometheus_rule_evaluations_total"), None);
    running.ruler.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_reload_leaves_an_unchanged_group_alone() {
    let running = Running::new();
    running.world.engine.vector("q", &[("m", 1.0)]);
    running.apply("groups: [{name: g, interval: 10s, rules: [{alert: A, expr: q, for: 15s}]}]");
    running.pass(10).await;
    let active_at = |running: &Running| match &running.ruler.snapshot()[0].rules[0].kind {
        RuleKind::Alerting { alerts, .. } => alerts[0].active_at_ms,
        other => panic!("{other:?}"),
    };
    let before = active_at(&running);
    for _ in 0..5 {
        running.apply("groups: [{name: g, interval: 10s, rules: [{alert: A, expr: q, for: 15s}]}, {name: other}]");
        running.pass(2).await;
    }
    assert_eq!(active_at(&running), before);
    assert_eq!(running.metric(r#"prometheus_rule_group_iterations_total{rule_group="r.yml;g"}"#), Some(2.0));
    running.ruler.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_group_keeps_the_state_of_its_rules_and_ends_the_others() {
    let running = Running::new();
    running.world.engine.vector("q", &[("m", 1.0)]);
    running.apply("groups: [{name: g, interval: 10s, rules: [{record: a, expr: q}, {record: b, expr: q}, {alert: A, expr: q, for: 1h}]}]");
    running.pass(10).await;
    let since = match &running.ruler.snapshot()[0].rules[2].kind {
        RuleKind::Alerting { alerts, .. } => alerts[0].active_at_ms,
        other => panic!("{other:?}"),
    };
    running.apply("groups: [{name: g, interval: 10s, rules: [{record: a, expr: q}, {alert: A, expr: q, for: 2h}]}]");
    let written = running.pass(10).await;
    let names: Vec<&str> = written.iter().map(|line| line.rsplit_once('@').unwrap().0).collect();
    let alert = r#"ALERTS{alertname="A", alertstate="pending"} 1"#;
    let for_state = format!("ALERTS_FOR_STATE{{alertname=\"A\"}} {}", since / 1_000);
    assert_eq!(names, [alert, &for_state, "a 1", "b stale"]);
    assert!(running.pass(10).await.iter().all(|line| !line.starts_with('b')));
    running.ruler.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_series_of_a_removed_group_end_two_intervals_later_at_the_time_of_the_removal() {
    let running = Running::new();
    running.world.engine.vector("q", &[("m{i=\"1\"}", 1.0)]);
    running.apply("groups: [{name: g, interval: 10s, rules: [{record: a, expr: q}, {record: kept, expr: q}]}]");
    running.pass(12).await;
    // The second rule moves to another group, which writes its series on.
    running.apply("groups: [{name: h, interval: 1s, rules: [{record: kept, expr: q}]}]");
    let written = running.pass(15).await;
    assert!(written.iter().all(|line| line.starts_with("kept") && !line.contains("stale")), "{written:?}");
    let written = running.pass(15).await;
    let ended: Vec<&String> = written.iter().filter(|line| line.contains("stale")).collect();
    assert_eq!(ended, [r#"a{i="1"} stale@1012000"#]);
    running.ruler.stop().await;
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_no_series() {
    let running = Running::new();
    running.world.engine.vector("q", &[("m", 1.0)]);
    running.apply(ONE);
    running.pass(10).await;
    running.ruler.stop().await;
    assert!(running.pass(60).await.is_empty());
    running.apply(ONE);
    assert!(running.pass(60).await.is_empty(), "a stopped ruler takes no groups");
    assert!(running.ruler.snapshot().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_one_evaluation() {
    let running = Running::new();
    running.world.engine.vector("q", &[("m", 1.0)]);
    running.apply("groups: [{name: g, interval: 10s, rules: [{record: a, expr: panic}]}, {name: h, interval: 10s, rules: [{record: b, expr: q}]}]");
    let written = running.pass(30).await;
    assert_eq!(written.len(), 3, "{written:?}");
    assert_eq!(running.metric(r#"prometheus_rule_evaluation_failures_total{rule_group="r.yml;g"}"#), Some(3.0));
    running.ruler.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_time_an_alert_is_pending_is_taken_up_after_a_restart() {
    let running = Running::new();
    running.world.engine.vector("q", &[("m{i=\"1\"}", 1.0), ("m{i=\"2\"}", 1.0)]);
    running
        .world
        .engine
        .vector("ALERTS_FOR_STATE{alertname=\"A\"}", &[("ALERTS_FOR_STATE{alertname=\"A\", i=\"1\"}", 900.0)]);
    running.apply("groups: [{name: g, interval: 10s, rules: [{alert: A, expr: q, for: 60s}]}]");
    running.pass(10).await;
    let RuleKind::Alerting { alerts, .. } = &running.ruler.snapshot()[0].rules[0].kind else { panic!("not an alert") };
    assert_eq!(alerts[0].state.as_str(), "firing");
    assert_eq!(alerts[0].active_at_ms, 900_000);
    assert_eq!(alerts[1].state.as_str(), "pending");
    running.ruler.stop().await;
}
