//! Reloads, targets that come and go, and the end.

use std::time::Duration;

use collector_model::{Labels, is_stale};
use collector_scrape::Health;

use crate::harness::{Stored, World, job, page, parse, samples, target};

fn fast(keys: &str, address: std::net::SocketAddr) -> String {
    let comma = if keys.is_empty() { "" } else { ", " };
    job(&format!("scrape_interval: 300ms{comma}{keys}"), address)
}

/// The samples of one series, in the order in which they came.
fn of<'a>(batches: &'a [Vec<Stored>], series: &str) -> Vec<&'a Stored> {
    batches.iter().flatten().filter(|s| s.series == series).collect()
}

#[tokio::test]
async fn a_reload_keeps_schedule_connection_and_cache() {
    let target = target(vec![page("a 1\n")]).await;
    let world = World::in_real_time();
    world.apply(&[&fast("", target.address)]);
    world.batch(1).await;
    // The same, then something that changes the job and not the target.
    world.apply(&[&fast("", target.address)]);
    world.batch(3).await;
    world.apply(&[&fast("honor_timestamps: false", target.address)]);
    let before = world.recorder.batches().len();
    world.batch(before + 2).await;
    let batches = world.recorder.batches();
    let added: Vec<f64> =
        batches.iter().flatten().filter(|s| s.series.starts_with("scrape_series_added{")).map(|s| s.value).collect();
    assert_eq!(added.iter().sum::<f64>(), 1.0, "nothing was met as new again: {added:?}");
    assert!(of(&batches, r#"a{instance="i", job="j"}"#).iter().all(|s| !is_stale(s.value)));
    let times: Vec<i64> = of(&batches, r#"up{instance="i", job="j"}"#).iter().map(|s| s.timestamp_ms).collect();
    assert!(times.windows(2).all(|w| w[1] - w[0] >= 250), "no scrape out of turn: {times:?}");
    let peers: std::collections::BTreeSet<_> = target.seen.lock().iter().map(|s| s.peer).collect();
    assert_eq!(peers.len(), 1, "one connection served all scrapes");
}

#[tokio::test]
async fn other_rules_end_what_they_no_longer_give() {
    let (world, target) = World::scraping("", vec![page("a 1\nb 1\n")]).await;
    world.batch(1).await;
    world.apply(&[&job(
        "metric_relabel_configs: [{source_labels: [__name__], regex: a, action: drop}]",
        target.address,
    )]);
    let mut number = 2;
    let end = loop {
        let batch = samples(&world.batch(number).await);
        if batch.iter().any(|l| l.ends_with("stale")) {
            break batch;
        }
        number += 1;
    };
    assert_eq!(end, [r#"b{instance="i", job="j"} 1"#, r#"a{instance="i", job="j"} stale"#]);
    assert_eq!(samples(&world.batch(number + 1).await), [r#"b{instance="i", job="j"} 1"#]);
}

#[tokio::test]
async fn the_series_of_a_target_that_is_gone_end_later() {
    let target = target(vec![page("a 1\n")]).await;
    let world = World::in_real_time();
    world.apply(&[&fast("", target.address)]);
    world.batch(1).await;
    world.apply(&[]);
    assert!(world.manager.targets().active.is_empty());
    let gone = world.recorder.batches().len();
    let end = world.batch(gone).await;
    // A scrape that was under way may still have come in between.
    let end = if end.iter().all(|s| is_stale(s.value)) { end } else { world.batch(gone + 1).await };
    assert!(end.iter().all(|s| is_stale(s.value)), "{end:?}");
    assert_eq!(end.len(), 6, "a and the five of the report: {end:?}");
    let batches = world.recorder.batches();
    let times: Vec<i64> = of(&batches, r#"up{instance="i", job="j"}"#).iter().map(|s| s.timestamp_ms).collect();
    let distance = times[times.len() - 1] - times[times.len() - 2];
    assert!((250..=650).contains(&distance), "the end takes the time of the scrape that did not come: {times:?}");
}

#[tokio::test]
async fn a_target_that_moves_to_another_job_goes_on() {
    let target = target(vec![page("a 1\n")]).await;
    let world = World::in_real_time();
    let labels = "relabel_configs: [{target_label: job, replacement: same}, {target_label: instance, replacement: i}]";
    let job = |name: &str| {
        let address = target.address;
        format!("{{job_name: {name}, scrape_interval: 300ms, static_configs: [{{targets: ['{address}']}}], {labels}}}")
    };
    world.apply(&[&job("one")]);
    world.batch(1).await;
    world.apply(&[&job("two")]);
    let moved = world.recorder.batches().len();
    world.batch(moved + 5).await;
    let batches = world.recorder.batches();
    assert!(of(&batches, r#"a{instance="i", job="same"}"#).iter().all(|s| !is_stale(s.value)), "{batches:?}");
}

#[tokio::test]
async fn a_stop_ends_no_series() {
    let (world, _target) = World::scraping("", vec![page("a 1\n")]).await;
    world.batch(1).await;
    tokio::time::timeout(Duration::from_secs(20), world.manager.stop()).await.unwrap();
    let count = world.recorder.batches().len();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let batches = world.recorder.batches();
    assert_eq!(batches.len(), count);
    assert!(batches.iter().flatten().all(|s| !is_stale(s.value)));
}

#[tokio::test]
async fn a_configuration_that_cannot_be_applied_changes_nothing() {
    let (world, target) = World::scraping("", vec![page("a 1\n")]).await;
    world.batch(0).await;
    let bad = job("scheme: https, tls_config: {ca_file: /nonexistent/ca.pem}", target.address)
        .replace("job_name: j", "job_name: k");
    let error = world.manager.apply(vec![parse(&bad)], &Labels::empty()).unwrap_err();
    assert_eq!(error.to_string(), "cannot build the HTTP client of job \"k\"");
    let same = parse(&job("", target.address));
    let error = world.manager.apply(vec![same.clone(), same], &Labels::empty()).unwrap_err();
    assert_eq!(error.to_string(), "found multiple scrape configs with job name \"j\"");
    let count = world.recorder.batches().len();
    world.batch(count + 1).await;
    assert_eq!(world.manager.targets().active.len(), 1);
    assert!(world.metric("prometheus_target_scrape_pool_reloads_failed_total 2"));
}

#[tokio::test]
async fn file_discovery_is_followed_and_dropped_targets_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("targets.yml");
    std::fs::write(&path, "- targets: ['127.0.0.1:1', '127.0.0.1:2']\n  labels: {dc: 1}\n").unwrap();
    let world = World::in_real_time();
    let job = format!(
        "{{job_name: f, file_sd_configs: [{{files: ['{}/*.yml']}}], keep_dropped_targets: 1, \
          relabel_configs: [{{source_labels: [__address__], regex: '.*:[23]', action: drop}}]}}",
        folder.path().display()
    );
    world.apply(&[&job]);
    let active = world.wait_for("the first", |t| t.len() == 1).await;
    assert_eq!(active[0].labels.to_string(), r#"{dc="1", instance="127.0.0.1:1", job="f"}"#);
    assert_eq!((active[0].health, active[0].scrape_pool.as_str()), (Health::Unknown, "f"));
    let meta = active[0].discovered_labels.get("__meta_filepath").unwrap().to_owned();
    assert_eq!(meta, path.display().to_string());
    std::fs::write(&path, "- targets: ['127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:3', '127.0.0.1:4']\n").unwrap();
    world.wait_for("the second", |t| t.len() == 2).await;
    let targets = world.manager.targets();
    assert_eq!((targets.dropped.len(), targets.dropped_counts["f"]), (1, 2));
    assert_eq!(targets.dropped[0].discovered_labels.get("__address__"), Some("127.0.0.1:2"));
    std::fs::remove_file(&path).unwrap();
    world.wait_for("none", <[_]>::is_empty).await;
}

#[tokio::test]
async fn targets_that_come_twice_are_scraped_once() {
    let world = World::in_real_time();
    world.apply(&["{job_name: j, static_configs: [{targets: ['h:1', 'h:1']}, {targets: ['h:1', 'h:2']}]}"]);
    let active = world.wait_for("two", |t| t.len() == 2).await;
    assert_eq!(active[0].scrape_url, "http://h:1/metrics");
    assert_eq!(active[1].scrape_url, "http://h:2/metrics");
}

#[tokio::test]
async fn targets_of_one_job_are_scraped_at_different_moments() {
    let world = World::in_real_time();
    let targets: Vec<String> = (1..9).map(|port| format!("'127.0.0.1:{port}'")).collect();
    world.apply(&[&format!(
        "{{job_name: j, scrape_interval: 1s, static_configs: [{{targets: [{}]}}]}}",
        targets.join(",")
    )]);
    world.batch(7).await;
    // The address and the host name are fixed, and so are the offsets: they cover most of the interval.
    let batches = world.recorder.batches();
    let offset = |batch: &Vec<Stored>| batch[0].timestamp_ms.rem_euclid(1_000);
    let offsets: Vec<i64> = batches.iter().take(8).map(offset).collect();
    let spread = offsets.iter().max().unwrap() - offsets.iter().min().unwrap();
    assert!(spread > 500, "{offsets:?}");
}
