//! Scrapes that fail: everything goes stale, `up` is 0, and the target says why.

use std::sync::atomic::Ordering;

use collector_scrape::Health;

use crate::harness::{Answer, OPENMETRICS, World, gzipped, page, report, samples, status, target, typed};

/// A good scrape and then this answer, under these keys. The series of the good scrape must end, and the error
/// must say `want`.
async fn fails(keys: &str, answer: Answer, want_report: [f64; 4], want: &str) -> World {
    let (world, _target) = World::scraping(keys, vec![page("a 1\n"), answer]).await;
    assert_eq!(report(&world.batch(0).await), [1.0, 1.0, 1.0, 1.0], "{want}");
    let second = world.batch(1).await;
    assert_eq!(samples(&second), [r#"a{instance="i", job="j"} stale"#], "{want}");
    assert_eq!(report(&second), want_report, "{want}");
    let error = world.last_error().await;
    assert!(error.contains(want), "{error:?} lacks {want:?}");
    assert_eq!(samples(&world.batch(2).await), [""; 0], "a series ends once ({want})");
    assert_eq!(world.failures(), [reason(want)], "{want}");
    world
}

/// The word that such an error is counted under.
fn reason(error: &str) -> &'static str {
    const WORDS: &[(&str, &str)] = &[
        ("HTTP status", "status"),
        ("Content-Type", "content_type"),
        ("deadline exceeded", "timeout"),
        ("broke off", "broken"),
        ("decompress", "broken"),
        ("limit exceeded", "limit"),
        ("limit: ", "limit"),
        ("value: \"long\"", "limit"),
    ];
    WORDS.iter().find(|(text, _)| error.contains(text)).map_or("malformed", |(_, word)| word)
}

const NOTHING: [f64; 4] = [0.0; 4];

#[tokio::test]
async fn bad_pages_name_their_line() {
    const ONE: [f64; 4] = [0.0, 1.0, 1.0, 0.0];
    tokio::join!(
        fails("", page("a 1\nb{x=1} 2\n"), ONE, "line 2: expected a label value in quotes"),
        fails("", page("a 1\n\n# ok\nb one\n"), ONE, "line 4: expected a number, found \"one\""),
        // Texts of another format are texts of their own, so this one counts as added.
        fails("", typed(OPENMETRICS, "a 1\n"), [0.0, 1.0, 1.0, 1.0], "the page does not end with # EOF"),
        fails("", page("a{b=\"1\",b=\"2\"} 1\n"), [0.0, 1.0, 0.0, 0.0], "label name \"b\" is not unique"),
    );
}

#[tokio::test]
async fn other_answers_than_a_page_fail() {
    fails("", status(404), NOTHING, "server returned HTTP status 404 Not Found").await;
    fails("", status(500), NOTHING, "server returned HTTP status 500 Internal Server Error").await;
    fails("", status(204), NOTHING, "server returned HTTP status 204 No Content").await;
    fails("", typed("text/html", "<html>"), NOTHING, "received unsupported Content-Type \"text/html\"").await;
    fails("", typed("", "a 1\n"), NOTHING, "blank Content-Type and no fallback_scrape_protocol").await;
}

#[tokio::test]
async fn a_fallback_protocol_reads_what_is_not_named() {
    let (world, _target) =
        World::scraping("fallback_scrape_protocol: PrometheusText0.0.4", vec![typed("application/x", "a 1\n")]).await;
    assert_eq!(report(&world.batch(0).await), [1.0, 1.0, 1.0, 1.0]);
}

#[tokio::test]
async fn a_slow_target_times_out() {
    let world = fails("scrape_timeout: 500ms", Answer::Hang, NOTHING, "context deadline exceeded").await;
    let endless = Answer::Endless("# a page that never ends, though every line is good\n");
    fails("scrape_timeout: 500ms", endless, NOTHING, "context deadline exceeded").await;
    world.manager.stop().await;
}

#[tokio::test]
async fn a_target_that_dies_within_its_page_fails() {
    let world = fails("", Answer::BreakOff(b"a 1\nb 1\n".to_vec()), NOTHING, "the page broke off").await;
    world.manager.stop().await;
    let Answer::Page { headers, body, status } = gzipped("a 1\n".repeat(100).as_bytes()) else { panic!() };
    let cut = Answer::Page { headers: headers.clone(), body: body[..body.len() - 6].to_vec(), status };
    fails("", cut, NOTHING, "cannot decompress the page").await;
    let noise = Answer::Page { headers, body: vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], status };
    fails("", noise, NOTHING, "cannot decompress the page").await;
}

#[tokio::test]
async fn pages_beyond_the_body_limit_fail_however_small_they_were_packed() {
    let bomb = gzipped(&b"# nothing but a comment, again and again and again\n".repeat(400_000));
    let Answer::Page { body, .. } = &bomb else { panic!() };
    assert!(body.len() < 200_000, "packed well: {}", body.len());
    let world = fails("body_size_limit: 100KB", bomb, NOTHING, "body size limit exceeded").await;
    assert!(!world.metric("prometheus_target_scrapes_exceeded_body_size_limit_total 0"));
    // n bytes at a limit of n fail, as in Prometheus.
    fails("body_size_limit: 5B", page("a  1\n"), NOTHING, "body size limit exceeded").await;
}

#[tokio::test]
async fn a_line_without_end_is_no_page() {
    let long = page(&format!("a{{b=\"{}\"}} 1\n", "x".repeat(2 << 20)));
    fails("", long, NOTHING, "longer than 1048576 bytes").await;
}

#[tokio::test]
async fn too_many_samples_fail_and_are_counted_in_full() {
    let keys = "sample_limit: 2, metric_relabel_configs: [{source_labels: [__name__], regex: drop_me, action: drop}]";
    let five = page("a 1\nb 1\ndrop_me 1\nc 1\nd 1\n");
    let world = fails(keys, five.clone(), [0.0, 5.0, 4.0, 1.0], "sample limit exceeded").await;
    assert!(!world.metric("prometheus_target_scrapes_exceeded_sample_limit_total 0"));
    let (world, _target) = World::scraping(keys, vec![page("a 1\nb 1\ndrop_me 1\n"), five]).await;
    assert_eq!(report(&world.batch(0).await), [1.0, 3.0, 2.0, 2.0], "as many as the limit are fine");
}

#[tokio::test]
async fn label_limits_fail_the_scrape() {
    fails("label_limit: 3", page("a{x=\"1\"} 1\n"), [0.0, 1.0, 0.0, 0.0], "label_limit exceeded").await;
    let name = "label_name_length_limit exceeded (metric: a, label name: long_label_name, length: 15, limit: 8)";
    fails("label_name_length_limit: 8", page("a{long_label_name=\"1\"} 1\n"), [0.0, 1.0, 0.0, 0.0], name).await;
    let world =
        fails("label_value_length_limit: 3", page("a{x=\"long\"} 1\n"), [0.0, 1.0, 0.0, 0.0], "value: \"long\"").await;
    world.manager.stop().await;
    let mut own = String::new();
    prometheus_client::encoding::text::encode(&mut own, &world.registry).unwrap();
    assert!(!own.contains("exceeded_label_limits_total 0"), "{own}");
}

#[tokio::test]
async fn a_target_that_recovers_has_its_series_again() {
    let (world, _target) = World::scraping("", vec![page("a 1\n"), status(500), page("a 2\n")]).await;
    let third = world.batch(2).await;
    assert_eq!(
        (samples(&third), report(&third)),
        (vec![r#"a{instance="i", job="j"} 2"#.to_owned()], [1.0, 1.0, 1.0, 0.0])
    );
}

#[tokio::test]
async fn nobody_listening_is_an_error_like_others() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let world = World::new();
    world.apply(&[&crate::harness::job("", address)]);
    let first = world.batch(0).await;
    assert_eq!((samples(&first), report(&first)), (Vec::new(), NOTHING));
    let error = world.last_error().await;
    assert!(error.contains("Connection refused"), "{error}");
    assert_eq!(world.failures(), ["unreachable"]);
}

#[tokio::test]
async fn too_many_targets_fail_all_of_them() {
    let world = World::in_real_time();
    world.apply(&["{job_name: j, scrape_interval: 100ms, target_limit: 1, static_configs: [{targets: ['127.0.0.1:1', '127.0.0.1:2']}]}"]);
    let targets = world.wait_for("two errors", |t| t.len() == 2 && t.iter().all(|t| t.last_error.is_some())).await;
    for target in targets {
        assert_eq!(target.last_error.unwrap(), "target_limit exceeded (number of targets: 2, limit: 1)");
    }
}

#[tokio::test]
async fn a_window_that_takes_nothing_is_said_and_counted() {
    let (world, _target) = World::scraping("", vec![page("a 1\n")]).await;
    world.batch(0).await;
    world.recorder.failing.store(1, Ordering::SeqCst);
    world.batch(1).await;
    // Scraping went on: that batch came after the one that was refused.
    let mut own = String::new();
    prometheus_client::encoding::text::encode(&mut own, &world.registry).unwrap();
    assert!(own.contains("atalaia_target_scrapes_append_failures_total 1"), "{own}");
    assert_eq!(world.failures(), ["window"]);
}

#[tokio::test]
async fn a_full_window_costs_only_the_series_that_are_too_many() {
    let (world, _target) = World::scraping("", vec![page("a 1\n"), page("b 1\na 2\nc 1\n")]).await;
    // One series and the report's five.
    world.recorder.series_limit.store(6, Ordering::SeqCst);
    let second = world.batch(1).await;
    let known = r#"a{instance="i", job="j"}"#;
    assert_eq!((samples(&second), report(&second)), (vec![format!("{known} 2")], [1.0, 3.0, 3.0, 0.0]));
    let targets = world.wait_for("a good scrape", |targets| targets.iter().any(|t| t.health == Health::Up)).await;
    assert_eq!(targets[0].last_error, None);
    // Every scrape asks again, so that they come once there is room.
    world.recorder.series_limit.store(7, Ordering::SeqCst);
    let mut later = 2;
    while samples(&world.batch(later).await).len() == 1 {
        later += 1;
    }
    assert_eq!(samples(&world.batch(later).await), [r#"b{instance="i", job="j"} 1"#, &format!("{known} 2")]);
    world.manager.stop().await;
    assert!(!world.metric("atalaia_target_scrapes_series_over_limit_total 0"));
    assert!(world.metric("atalaia_target_scrapes_append_failures_total 0"));
}

#[tokio::test]
async fn a_new_target_in_a_full_window_is_up_without_its_report() {
    let target = target(vec![page("a 1\n")]).await;
    let world = World::new();
    world.recorder.series_limit.store(2, Ordering::SeqCst);
    world.apply(&[&crate::harness::job("", target.address)]);
    let first = world.batch(0).await;
    assert_eq!((samples(&first).len(), first.len(), report(&first)[0]), (1, 2, 1.0), "{first:?}");
    let targets = world.wait_for("a good scrape", |targets| targets.iter().any(|t| t.health == Health::Up)).await;
    assert_eq!(targets[0].last_error, None);
    // Once there is room the whole report is there, and what the window let go of comes anew.
    world.recorder.series_limit.store(0, Ordering::SeqCst);
    world.recorder.forget_all();
    let mut later = 1;
    while world.batch(later).await.len() < 6 {
        later += 1;
        assert!(later < 6, "{:?}", world.recorder.batches());
    }
    assert_eq!(report(&world.batch(later).await)[..2], [1.0, 1.0]);
}
