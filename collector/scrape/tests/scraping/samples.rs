//! What becomes of the samples of a page.

use collector_model::is_stale;

use crate::harness::{INTERVAL_MS, OPENMETRICS, World, gzipped, page, report, samples, typed};

/// Scrapes the pages one after another under these keys; gives the samples and the report of each.
async fn scrape(keys: &str, pages: &[&str]) -> Vec<(Vec<String>, [f64; 4])> {
    let (world, _target) = World::scraping(keys, pages.iter().map(|p| page(p)).collect()).await;
    let mut out = Vec::new();
    for number in 0..pages.len() {
        let batch = world.batch(number).await;
        out.push((samples(&batch), report(&batch)));
    }
    world.manager.stop().await;
    out
}

#[tokio::test]
async fn a_scrape_is_one_batch_with_its_report() {
    let (world, _target) = World::scraping("", vec![page("# TYPE a gauge\na 1\nb{x=\"y\"} 2\n")]).await;
    let first = world.batch(0).await;
    assert_eq!(samples(&first), [r#"a{instance="i", job="j"} 1"#, r#"b{instance="i", job="j", x="y"} 2"#]);
    assert_eq!(report(&first), [1.0, 2.0, 2.0, 2.0]);
    assert_eq!(first.len(), 7);
    let duration = first.iter().find(|s| s.series.starts_with("scrape_duration_seconds")).unwrap().value;
    assert!(duration > 0.0 && duration < 60.0);
    let second = world.batch(1).await;
    assert_eq!(report(&second), [1.0, 2.0, 2.0, 0.0]);
    let times: Vec<i64> = [&first, &second].map(|b| b[0].timestamp_ms).into();
    assert!((times[1] - times[0] - INTERVAL_MS).abs() < 100, "an interval apart: {times:?}");
    assert!(first.iter().all(|s| s.timestamp_ms == times[0]));
    let targets = world.wait_for("up", |t| t[0].last_scrape_ms.is_some()).await;
    assert_eq!(targets[0].health.as_str(), "up");
    assert!(targets[0].last_error.is_none() && targets[0].global_url.starts_with("http://watchtower:"));
    let mut metadata = world.manager.metadata();
    assert_eq!((metadata.len(), metadata.remove(0).metadata.kind), (1, "gauge"));
    assert!(world.metric("prometheus_target_scrape_pool_targets{scrape_job=\"j\"} 1"));
    assert!(world.metric("prometheus_sd_discovered_targets{name=\"scrape\",config=\"j\"} 1"));
}

#[tokio::test]
async fn series_that_vanish_end_at_the_next_scrape() {
    let got = scrape("", &["a 1\nb 1\n", "b 2\n", "a 3\nb 3\n"]).await;
    assert_eq!(got[1].0, [r#"b{instance="i", job="j"} 2"#, r#"a{instance="i", job="j"} stale"#]);
    assert_eq!(got[1].1, [1.0, 1.0, 1.0, 0.0]);
    assert_eq!(got[2].0, [r#"a{instance="i", job="j"} 3"#, r#"b{instance="i", job="j"} 3"#]);
    assert_eq!(got[2].1, [1.0, 2.0, 2.0, 1.0], "a came back");
}

#[tokio::test]
async fn another_order_of_labels_is_the_same_series() {
    let got = scrape("", &["a{x=\"1\",y=\"2\"} 1\n", "a{y=\"2\",x=\"1\"} 2\n"]).await;
    assert_eq!(got[1].0, [r#"a{instance="i", job="j", x="1", y="2"} 2"#]);
}

#[tokio::test]
async fn labels_conflict_or_are_honored() {
    let pages = &["a{job=\"x\",instance=\"\"} 1\n"];
    let got = scrape("", pages).await;
    assert_eq!(got[0].0, [r#"a{exported_job="x", instance="i", job="j"} 1"#]);
    let got = scrape("honor_labels: true", pages).await;
    assert_eq!(got[0].0, [r#"a{job="x"} 1"#]);
}

#[tokio::test]
async fn explicit_times_are_honored_and_not_tracked() {
    let pages = &["a 1 1700000001000\nb 1\n", "b 2\n"];
    let (world, _target) = World::scraping("", pages.iter().map(|p| page(p)).collect()).await;
    assert_eq!(world.batch(0).await[0].timestamp_ms, 1_700_000_001_000);
    assert_eq!(samples(&world.batch(1).await), [r#"b{instance="i", job="j"} 2"#]);

    let got = scrape("track_timestamps_staleness: true", pages).await;
    assert_eq!(got[1].0, [r#"b{instance="i", job="j"} 2"#, r#"a{instance="i", job="j"} stale"#]);

    let (world, _target) = World::scraping("honor_timestamps: false", pages.iter().map(|p| page(p)).collect()).await;
    let first = world.batch(0).await;
    assert_eq!(first[0].timestamp_ms, first[1].timestamp_ms);
    assert_eq!(samples(&world.batch(1).await)[1], r#"a{instance="i", job="j"} stale"#);
}

#[tokio::test]
async fn of_one_series_twice_the_first_wins_unless_the_times_differ() {
    let (world, _target) = World::scraping("", vec![page("a 1\na 2\nb 1 1000\nb 2 2000\n")]).await;
    let first = world.batch(0).await;
    let a_and_b = |l: &str| l.starts_with('a') || l.starts_with('b');
    let got: Vec<String> = samples(&first).into_iter().filter(|l| a_and_b(l)).collect();
    assert_eq!(
        got,
        [r#"a{instance="i", job="j"} 1"#, r#"b{instance="i", job="j"} 1"#, r#"b{instance="i", job="j"} 2"#]
    );
    assert_eq!(report(&first), [1.0, 4.0, 4.0, 2.0]);
    assert!(world.metric("prometheus_target_scrapes_sample_duplicate_timestamp_total 1"));
}

#[tokio::test]
async fn a_scraped_up_collides_with_the_report() {
    let (world, _target) = World::scraping("", vec![page("up 7\n")]).await;
    let first = world.batch(0).await;
    assert_eq!(report(&first)[0], 7.0, "the page's own came first");
    assert_eq!(first.iter().filter(|s| s.series.starts_with("up{")).count(), 1);
}

#[tokio::test]
async fn times_far_ahead_and_out_of_order_are_counted() {
    let page = page("a 1 99999999999999\nb 1 2000\nb 2 1000\n");
    let (world, _target) = World::scraping("", vec![page]).await;
    assert_eq!(report(&world.batch(0).await), [1.0, 3.0, 3.0, 2.0]);
    world.wait_for("up", |t| t[0].last_scrape_ms.is_some()).await;
    assert!(world.metric("prometheus_target_scrapes_sample_out_of_bounds_total 1"));
    assert!(world.metric("prometheus_target_scrapes_sample_out_of_order_total 1"));
}

#[tokio::test]
async fn metric_relabelling_drops_and_renames() {
    let keys = "metric_relabel_configs: [{source_labels: [__name__], regex: 'go_.*', action: drop}, {regex: x, action: labeldrop}]";
    let got = scrape(keys, &["go_a 1\nb{x=\"1\"} 2\n", "go_a 1\nb{x=\"1\"} 3\n"]).await;
    assert_eq!(got[0], (vec![r#"b{instance="i", job="j"} 2"#.to_owned()], [1.0, 2.0, 1.0, 1.0]));
    assert_eq!(got[1].1, [1.0, 2.0, 1.0, 0.0]);
}

#[tokio::test]
async fn two_texts_that_become_one_series_collide() {
    let got = scrape(
        "metric_relabel_configs: [{regex: x, action: labeldrop}]",
        &["b{x=\"1\"} 2\nb{x=\"2\"} 3\n", "b{x=\"2\"} 4\n"],
    )
    .await;
    assert_eq!(got[0].0, [r#"b{instance="i", job="j"} 2"#]);
    assert_eq!(got[1].0, [r#"b{instance="i", job="j"} 4"#], "it goes on, so it does not end");
}

#[tokio::test]
async fn bucket_bounds_take_their_one_form() {
    let text =
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\n# TYPE s summary\ns{quantile=\"0.50\"} 1\n";
    let got = scrape("", &[text]).await;
    assert_eq!(
        got[0].0,
        [
            r#"h_bucket{instance="i", job="j", le="1.0"} 1"#,
            r#"h_bucket{instance="i", job="j", le="+Inf"} 1"#,
            r#"s{instance="i", job="j", quantile="0.5"} 1"#
        ]
    );
}

#[tokio::test]
async fn openmetrics_and_gzip_are_read() {
    let om = typed(OPENMETRICS, "# TYPE a counter\na_total 1 1700000001.5\n# EOF\n");
    let mut long = String::new();
    for n in 0..20_000 {
        long.push_str(&format!("metric_with_a_long_name{{number=\"{n}\"}} {n}\n"));
    }
    let (world, _target) = World::scraping("", vec![om, gzipped(long.as_bytes())]).await;
    let first = world.batch(0).await;
    assert_eq!(
        (first[0].timestamp_ms, samples(&first)),
        (1_700_000_001_500, vec![r#"a_total{instance="i", job="j"} 1"#.to_owned()])
    );
    let second = world.batch(1).await;
    assert_eq!(report(&second), [1.0, 20_000.0, 20_000.0, 20_000.0]);
    assert_eq!(second[19_999].value, 19_999.0);
}

#[tokio::test]
async fn extra_metrics_come_when_asked_for() {
    let (world, _target) = World::scraping("extra_scrape_metrics: true, sample_limit: 9", vec![page("a 1\n")]).await;
    let first = world.batch(0).await;
    let value = |name: &str| first.iter().find(|s| s.series.starts_with(name)).unwrap().value;
    assert_eq!(value("scrape_timeout_seconds"), 2.0);
    assert_eq!(value("scrape_sample_limit"), 9.0);
    assert_eq!(value("scrape_body_size_bytes"), 4.0);
}

#[tokio::test]
async fn series_that_the_window_let_go_are_made_again() {
    let (world, _target) = World::scraping("", vec![page("a 1\nb 1\n")]).await;
    world.batch(0).await;
    world.manager.stop().await;

    let (world, _target) = World::scraping("", vec![page("a 1\nb 1\n"), page("a 2\n")]).await;
    world.batch(0).await;
    world.recorder.forget_all();
    // The next batch meets unknown series, and another one with the same samples follows.
    let mut got = Vec::new();
    for number in 1..4 {
        got.extend(world.batch(number).await);
    }
    let live: Vec<String> = samples(&got).into_iter().filter(|l| l.contains("a{")).collect();
    assert!(live.contains(&r#"a{instance="i", job="j"} 2"#.to_owned()), "{live:?}");
    assert!(got.iter().any(|s| s.series.starts_with("up{") && s.value == 1.0));
    assert!(!got.iter().any(|s| s.series.starts_with("b{") && is_stale(s.value)), "nobody ends a series that is gone");
}
