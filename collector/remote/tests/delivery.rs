//! From `forward` to a receiver that behaves, misbehaves, and goes away.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::expect_used,
    missing_docs,
    reason = "tests may"
)]

mod support;

use std::collections::HashSet;
use std::time::Duration;

use collector_model::{Forward, Labels, RefSample, STALE_NAN, SeriesRef};
use support::*;

fn config(receiver: &Receiver, more: &str) -> collector_remote::DestinationConfig {
    remote_write(&format!("{{url: '{}', name: test, {FAST}{more}}}", receiver.url()))
}

/// Each point once, whatever order they came in.
#[track_caller]
fn assert_complete(taken: &[Taken], series_count: usize, steps: std::ops::Range<i64>) {
    let distinct: HashSet<String> = taken.iter().map(|(labels, t, v)| format!("{labels} {t} {v}")).collect();
    assert_eq!(distinct.len(), taken.len(), "points came twice");
    let steps = usize::try_from(steps.end - steps.start).unwrap();
    assert_eq!(taken.len(), series_count * steps);
}

#[tokio::test]
async fn what_is_forwarded_arrives_with_the_headers_of_the_protocol() {
    let receiver = Receiver::start([]).await;
    let directory = tempfile::tempdir().unwrap();
    let external = Labels::from_pairs([("monitor", "m"), ("job", "not this one")]);
    let configs = [config(&receiver, ", headers: {X-Scope-OrgID: me}")];
    let (destinations, _) = open_with(directory.path(), &external, &configs);
    forward(&destinations, "up", 3, 1);
    receiver.until_taken(3).await;
    let taken = receiver.taken();
    assert_eq!(taken[0], (r#"up{instance="h0:9100", job="node", monitor="m"}"#.to_owned(), START_MS + 1_000, 1.0));
    let headers = &receiver.requests()[0];
    let header = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header("content-encoding"), "snappy");
    assert_eq!(header("content-type"), "application/x-protobuf");
    assert_eq!(header("x-prometheus-remote-write-version"), "0.1.0");
    assert_eq!(header("user-agent"), "atalaia/test");
    assert_eq!(header("x-scope-orgid"), "me");
    assert!(headers.get("retry-attempt").is_none());
    let status = until_status(&destinations, |s| s.pending_samples == 0).await;
    assert_eq!((status.name.as_str(), status.kind, status.samples_sent), ("test", "remote_write", 3));
    assert_eq!((status.oldest_unsent_ms, status.highest_sent_ms), (None, Some(START_MS + 1_000)));
}

#[tokio::test]
async fn only_what_the_rules_keep_is_written() {
    let receiver = Receiver::start([]).await;
    let directory = tempfile::tempdir().unwrap();
    let rules = ", write_relabel_configs: [{source_labels: [__name__], regex: 'job_instance:.*', action: keep}, \
                 {regex: job, action: labeldrop}]";
    let destinations = open(directory.path(), &[config(&receiver, rules)]);
    forward(&destinations, "up", 100, 1);
    assert_eq!(destinations.snapshot()[0].disk_bytes, 0, "nothing is kept, so nothing is written");
    let batch = [RefSample { series: SeriesRef(1_000), timestamp_ms: START_MS, value: 0.5 }];
    forward_batch(&destinations, "job_instance:cpu", &batch);
    receiver.until_taken(1).await;
    assert_eq!(receiver.taken()[0].0, r#"job_instance:cpu{instance="h1000:9100"}"#);
}

#[tokio::test]
async fn failures_are_tried_again_in_order_until_it_works() {
    let receiver = Receiver::start([
        Reply::Status(500, "no"),
        Reply::BreakOff,
        Reply::Status(503, ""),
        Reply::RetryAfter(503, "1"),
    ])
    .await;
    let directory = tempfile::tempdir().unwrap();
    let destinations = open(directory.path(), &[config(&receiver, "")]);
    let begun = std::time::Instant::now();
    forward(&destinations, "up", 10, 0);
    receiver.until_requests(1).await;
    until_status(&destinations, |s| s.last_error.is_some()).await;
    for step in 1..20 {
        forward(&destinations, "up", 10, step);
    }
    receiver.until_taken(200).await;
    assert!(begun.elapsed() >= Duration::from_secs(1), "Retry-After is honoured");
    assert_complete(&receiver.taken(), 10, 0..20);
    for number in 0..10 {
        let name = series("up", number).to_string();
        let times: Vec<i64> = receiver.taken().iter().filter(|(l, ..)| *l == name).map(|(_, t, _)| *t).collect();
        assert!(times.is_sorted(), "{name}: {times:?}");
    }
    assert_eq!(receiver.requests()[2].get("retry-attempt").unwrap(), "2");
    let status = until_status(&destinations, |s| s.pending_samples == 0).await;
    assert_eq!(status.last_error, None);
    assert!(status.samples_retried >= 40);
    assert_eq!(status.samples_failed, 0);
}

#[tokio::test]
async fn what_is_refused_for_good_is_counted_and_passed() {
    let receiver = Receiver::start([Reply::Status(400, "out of order sample")]).await;
    let directory = tempfile::tempdir().unwrap();
    let destinations = open(directory.path(), &[config(&receiver, "")]);
    forward(&destinations, "up", 5, 1);
    let status = until_status(&destinations, |s| s.samples_failed == 5).await;
    assert_eq!(status.last_error.unwrap().message, "400 Bad Request: out of order sample");
    forward(&destinations, "up", 5, 2);
    receiver.until_taken(5).await;
    assert_complete(&receiver.taken(), 5, 2..3);
}

#[tokio::test]
async fn status_429_is_final_unless_told_otherwise() {
    let directory = tempfile::tempdir().unwrap();
    let receiver = Receiver::start([Reply::RetryAfter(429, "0")]).await;
    let destinations = open(directory.path(), &[config(&receiver, "")]);
    forward(&destinations, "up", 5, 1);
    until_status(&destinations, |s| s.samples_failed == 5).await;

    let directory = tempfile::tempdir().unwrap();
    let receiver = Receiver::start([Reply::RetryAfter(429, "0"), Reply::RetryAfter(429, "0")]).await;
    let patient = format!(
        "{{url: '{}', queue_config: {{batch_send_deadline: 20ms, min_backoff: 5ms, retry_on_http_429: true}}}}",
        receiver.url()
    );
    let destinations = open(directory.path(), &[remote_write(&patient)]);
    forward(&destinations, "up", 5, 1);
    receiver.until_taken(5).await;
    assert_eq!(destinations.snapshot()[0].samples_failed, 0);
}

#[tokio::test]
async fn what_is_too_large_is_sent_in_halves() {
    let receiver = Receiver::start([]).await.then(Reply::AtMost(30));
    let directory = tempfile::tempdir().unwrap();
    let destinations = open(directory.path(), &[config(&receiver, "")]);
    forward(&destinations, "up", 100, 1);
    receiver.until_taken(100).await;
    assert_complete(&receiver.taken(), 100, 1..2);
    let status = until_status(&destinations, |s| s.pending_samples == 0).await;
    assert_eq!((status.samples_sent, status.samples_failed), (100, 0));
}

#[tokio::test]
async fn a_hanging_destination_delays_no_other() {
    let hanging = Receiver::start([]).await.then(Reply::Hang);
    let good = Receiver::start([]).await;
    let directory = tempfile::tempdir().unwrap();
    let configs = [
        remote_write(&format!("{{url: '{}', name: hanging, remote_timeout: 100ms, {FAST}}}", hanging.url())),
        remote_write(&format!("{{url: '{}', name: good, {FAST}}}", good.url())),
    ];
    let destinations = open(directory.path(), &configs);
    for step in 0..20 {
        forward(&destinations, "up", 10, step);
    }
    good.until_taken(200).await;
    let status = until_status(&destinations, |s| s.last_error.is_some()).await;
    assert_eq!(status.name, "hanging");
    assert_eq!((status.pending_samples, status.oldest_unsent_ms), (200, Some(START_MS)));
    assert!(status.last_error.unwrap().message.contains("timed out"));
    hanging.recover();
    hanging.until_taken(200).await;
}

#[tokio::test]
async fn nothing_is_lost_when_the_process_dies() {
    let directory = tempfile::tempdir().unwrap();
    let dead = Receiver::start([]).await.then(Reply::Status(500, "down"));
    let config = config(&dead, "");
    let mut sent = 0;
    for life in 0..3 {
        let destinations = open(directory.path(), std::slice::from_ref(&config));
        for step in 0..20 {
            forward(&destinations, "up", 10, life * 20 + step);
            sent += 10;
        }
        // No clean stop: as with the process, the senders end at once.
        drop(destinations);
    }
    dead.recover();
    let destinations = open(directory.path(), std::slice::from_ref(&config));
    assert_eq!(destinations.snapshot()[0].pending_samples, sent);
    dead.until_taken(600).await;
    assert_complete(&dead.taken(), 10, 0..60);
    let first = series("up", 0).to_string();
    let times: Vec<i64> = dead.taken().iter().filter(|(l, ..)| *l == first).map(|(_, t, _)| *t).collect();
    assert!(times.is_sorted(), "one series stays in order across three processes: {times:?}");
}

#[tokio::test]
async fn a_clean_stop_flushes_and_leaves_nothing_to_send_again() {
    let directory = tempfile::tempdir().unwrap();
    let receiver = Receiver::start([]).await;
    let slow = remote_write(&format!("{{url: '{}', queue_config: {{batch_send_deadline: 1h}}}}", receiver.url()));
    let destinations = open(directory.path(), std::slice::from_ref(&slow));
    forward(&destinations, "up", 10, 1);
    destinations.stop(Duration::from_secs(10)).await;
    assert_complete(&receiver.taken(), 10, 1..2);
    drop(destinations);
    let destinations = open(directory.path(), &[slow]);
    assert_eq!(destinations.snapshot()[0].pending_samples, 0);
    forward(&destinations, "up", 10, 2);
    destinations.stop(Duration::from_secs(10)).await;
    assert_complete(&receiver.taken(), 10, 1..3);
}

#[tokio::test]
async fn a_stop_does_not_wait_longer_than_it_may() {
    let directory = tempfile::tempdir().unwrap();
    let receiver = Receiver::start([]).await.then(Reply::Hang);
    let destinations = open(directory.path(), &[config(&receiver, "")]);
    forward(&destinations, "up", 10, 1);
    let begun = std::time::Instant::now();
    destinations.stop(Duration::from_millis(200)).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    drop(destinations);
    receiver.recover();
    let destinations = open(directory.path(), &[config(&receiver, "")]);
    receiver.until_taken(10).await;
    drop(destinations);
}

#[tokio::test]
async fn stale_markers_reach_prometheus_and_not_influxdb() {
    let directory = tempfile::tempdir().unwrap();
    let receiver = Receiver::start([]).await;
    let configs = [
        remote_write(&format!("{{url: 'http://{}/api/v1/write', name: prometheus, {FAST}}}", receiver.address)),
        remote_write(&format!("{{url: 'http://{}/api/v1/prom/write?db=d', name: v1, {FAST}}}", receiver.address)),
        influxdb(&format!("{{url: 'http://{}', bucket: b, name: v2, {FAST}}}", receiver.address)),
    ];
    let destinations = open(directory.path(), &configs);
    let values = [1.0, STALE_NAN, f64::NAN, f64::INFINITY];
    let batch: Vec<_> =
        (0..4).map(|i| RefSample { series: SeriesRef(i as u64), timestamp_ms: START_MS, value: values[i] }).collect();
    forward_batch(&destinations, "m", &batch);
    receiver.until_taken(4 + 1 + 1).await;
    assert!(receiver.taken().iter().any(|(_, _, v)| v.to_bits() == STALE_NAN.to_bits()));
    until_status(&destinations, |_| destinations.snapshot().iter().all(|s| s.pending_samples == 0)).await;
    assert_eq!(receiver.taken().len(), 6);
    let status = destinations.snapshot();
    assert!(status[0].samples_dropped.is_empty());
    for influxdb in &status[1..] {
        let dropped: Vec<_> = influxdb.samples_dropped.iter().map(|(reason, count)| (*reason, *count)).collect();
        assert_eq!(dropped, [("non_finite", 2), ("stale_marker", 1)]);
    }
}

#[tokio::test]
async fn influxdb_finds_the_one_bad_line() {
    let directory = tempfile::tempdir().unwrap();
    let receiver = Receiver::start([]).await.then(Reply::RefuseText("h37:9100"));
    let destinations = open(
        directory.path(),
        &[influxdb(&format!("{{url: 'http://{}', org: o, bucket: b, token: t, {FAST}}}", receiver.address))],
    );
    forward(&destinations, "m", 100, 1);
    receiver.until_taken(99).await;
    let status = until_status(&destinations, |s| s.pending_samples == 0).await;
    assert_eq!((status.samples_sent, status.samples_failed), (99, 1));
    assert_eq!(receiver.paths()[0], "/api/v2/write?org=o&bucket=b&precision=ms");
    assert_eq!(receiver.requests()[0].get("authorization").unwrap(), "Token t");
    assert_eq!(receiver.requests()[0].get("content-encoding").unwrap(), "gzip");
    assert_eq!(receiver.taken()[0], ("m,instance=h0:9100,job=node".to_owned(), START_MS + 1_000, 1.0));
}

#[tokio::test]
async fn everything_malformed_costs_a_bounded_number_of_requests() {
    let directory = tempfile::tempdir().unwrap();
    let receiver = Receiver::start([]).await.then(Reply::Status(400, "no"));
    let yaml = format!("{{url: 'http://{}', bucket: b, version: 2, {FAST}}}", receiver.address);
    let destinations = open(directory.path(), &[influxdb(&yaml)]);
    forward(&destinations, "m", 2_000, 1);
    until_status(&destinations, |s| s.samples_failed == 2_000).await;
    assert!(receiver.requests().len() <= 256, "{} requests", receiver.requests().len());
}

#[tokio::test]
async fn influxdb_422_and_404() {
    let directory = tempfile::tempdir().unwrap();
    let receiver = Receiver::start([
        Reply::Status(404, "bucket not found"),
        Reply::Status(401, "unauthorized"),
        Reply::Status(422, "partial write: points beyond retention policy dropped=4"),
    ])
    .await;
    let yaml = format!("{{url: 'http://{}', bucket: b, version: 2, {FAST}}}", receiver.address);
    let destinations = open(directory.path(), &[influxdb(&yaml)]);
    forward(&destinations, "m", 10, 1);
    let status = until_status(&destinations, |s| s.pending_samples == 0).await;
    assert_eq!((status.samples_sent, status.samples_failed), (6, 4));
    assert_eq!(receiver.requests().len(), 3);
}

#[tokio::test]
async fn old_samples_are_dropped_when_an_age_is_set() {
    let directory = tempfile::tempdir().unwrap();
    let receiver = Receiver::start([]).await;
    let yaml =
        format!("{{url: '{}', queue_config: {{batch_send_deadline: 20ms, sample_age_limit: 1h}}}}", receiver.url());
    let destinations = open(directory.path(), &[remote_write(&yaml)]);
    forward(&destinations, "old", 10, 1);
    let now = collector_model::Clock::now_ms(&SystemClock);
    let batch = [RefSample { series: SeriesRef(1_000), timestamp_ms: now, value: 1.0 }];
    forward_batch(&destinations, "new", &batch);
    receiver.until_taken(1).await;
    let status = until_status(&destinations, |s| s.pending_samples == 0).await;
    assert_eq!(status.samples_dropped.get("too_old"), Some(&10));
    assert_eq!(receiver.taken().len(), 1);
}

#[tokio::test]
async fn the_bound_on_disk_space_drops_the_oldest_and_counts_them() {
    let directory = tempfile::tempdir().unwrap();
    let receiver = Receiver::start([]).await.then(Reply::Status(500, "down"));
    let yaml = format!(
        "{{url: '{}', queue_config: {{batch_send_deadline: 20ms, min_backoff: 5ms, max_backoff: 50ms, \
         max_disk_bytes: 1MiB, capacity: 2000, max_samples_per_send: 2000}}}}",
        receiver.url()
    );
    let destinations = open(directory.path(), &[remote_write(&yaml)]);
    for step in 0..500 {
        forward(&destinations, "up", 1_000, step);
    }
    let status = until_status(&destinations, |s| s.samples_dropped.contains_key("queue_full")).await;
    assert!(status.disk_bytes <= 1 << 20, "{} bytes", status.disk_bytes);
    let dropped = status.samples_dropped["queue_full"];
    assert_eq!(status.pending_samples + dropped, 500_000);
    receiver.recover();
    let left = usize::try_from(status.pending_samples).unwrap();
    receiver.until_taken(left).await;
    until_status(&destinations, |s| s.pending_samples == 0).await;
    assert_eq!(receiver.taken().len(), left);
    let newest = receiver.taken().iter().map(|(_, t, _)| *t).max().unwrap();
    assert_eq!(newest, START_MS + 499_000);
}

#[tokio::test]
async fn a_reload_keeps_the_queue_and_interrupts_nobody_who_did_not_change() {
    let directory = tempfile::tempdir().unwrap();
    let old = Receiver::start([]).await.then(Reply::Status(500, "down"));
    let new = Receiver::start([]).await;
    let other = Receiver::start([]).await;
    let at =
        |receiver: &Receiver, name: &str| remote_write(&format!("{{url: '{}', name: {name}, {FAST}}}", receiver.url()));
    let destinations = open(directory.path(), &[at(&old, "moves"), at(&other, "stays")]);
    forward(&destinations, "up", 10, 1);
    other.until_taken(10).await;
    let external = Labels::from_pairs([("monitor", "m")]);
    destinations.apply(&external, &[at(&new, "moves"), at(&other, "stays")]).unwrap();
    new.until_taken(10).await;
    forward(&destinations, "up", 10, 2);
    new.until_taken(20).await;
    other.until_taken(20).await;
    assert!(new.taken()[10].0.contains("monitor=\"m\""), "{:?}", new.taken()[10]);
    assert_complete(&other.taken(), 10, 1..3);

    // Gone, and back again: what it had not sent is still there.
    let down = Receiver::start([]).await.then(Reply::Status(500, "down"));
    destinations.apply(&external, &[at(&down, "moves")]).unwrap();
    forward(&destinations, "up", 10, 3);
    destinations.apply(&external, &[]).unwrap();
    assert!(destinations.snapshot().is_empty());
    forward(&destinations, "up", 10, 4);
    destinations.apply(&external, &[at(&new, "moves")]).unwrap();
    new.until_taken(30).await;
    assert!(new.taken().iter().all(|(_, t, _)| *t != START_MS + 4_000));
}

#[tokio::test]
async fn a_bad_reload_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let receiver = Receiver::start([]).await;
    let destinations = open(directory.path(), &[config(&receiver, "")]);
    let bad = remote_write("{url: 'http://h/', protobuf_message: io.prometheus.write.v2.Request}");
    assert!(destinations.apply(&Labels::empty(), &[bad]).is_err());
    forward(&destinations, "up", 3, 1);
    receiver.until_taken(3).await;
}

#[tokio::test]
async fn series_that_are_forgotten_and_come_back_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let receiver = Receiver::start([]).await;
    let destinations = open(directory.path(), &[config(&receiver, "")]);
    forward(&destinations, "up", 3, 1);
    destinations.forget(&[SeriesRef(1)]);
    let batch = [RefSample { series: SeriesRef(77), timestamp_ms: START_MS, value: 1.0 }];
    forward_batch(&destinations, "up", &batch);
    forward(&destinations, "up", 1, 2);
    receiver.until_taken(5).await;
    let count = |number| receiver.taken().iter().filter(|(l, ..)| *l == series("up", number).to_string()).count();
    assert_eq!((count(0), count(1), count(2), count(77)), (2, 1, 1, 1));
}

#[tokio::test]
async fn metrics_have_prometheus_s_names() {
    let directory = tempfile::tempdir().unwrap();
    let receiver = Receiver::start([]).await;
    let (destinations, registry) = open_with(directory.path(), &Labels::empty(), &[config(&receiver, "")]);
    forward(&destinations, "up", 3, 1);
    receiver.until_taken(3).await;
    until_status(&destinations, |s| s.pending_samples == 0).await;
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let labels = format!("{{remote_name=\"test\",url=\"{}\"}}", receiver.url());
    for line in [
        format!("prometheus_remote_storage_samples_total{labels} 3"),
        format!("prometheus_remote_storage_samples_failed_total{labels} 0"),
        format!("prometheus_remote_storage_samples_retried_total{labels} 0"),
        format!("prometheus_remote_storage_samples_pending{labels} 0"),
        format!("prometheus_remote_storage_shards{labels} 1"),
        format!("prometheus_remote_storage_shards_min{labels} 1"),
        format!("prometheus_remote_storage_shards_max{labels} 50"),
        format!("prometheus_remote_storage_shard_capacity{labels} 10000"),
        format!("prometheus_remote_storage_max_samples_per_send{labels} 2000"),
        format!("prometheus_remote_storage_queue_highest_sent_timestamp_seconds{labels} 1700000001"),
        format!("prometheus_remote_storage_sent_batch_duration_seconds_count{labels} 1"),
        "prometheus_remote_storage_highest_timestamp_in_seconds 1700000001".to_owned(),
        "prometheus_remote_storage_samples_in_total 3".to_owned(),
        "atalaia_remote_orphaned_queues 0".to_owned(),
    ] {
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
    destinations.apply(&Labels::empty(), &[]).unwrap();
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(!text.contains("remote_name"), "{text}");
}

/// What every sink must make of what receivers do, whatever it writes.
#[tokio::test]
async fn every_sink_keeps_the_contract() {
    type Make = fn(&Receiver) -> collector_remote::DestinationConfig;
    let makes: [(&str, Make); 2] = [
        ("influxdb", |receiver| {
            influxdb(&format!("{{url: 'http://{}', bucket: b, timeout: 200ms, {FAST}}}", receiver.address))
        }),
        ("remote_write", |receiver| {
            remote_write(&format!("{{url: '{}', remote_timeout: 200ms, {FAST}}}", receiver.url()))
        }),
    ];
    let names: Vec<&str> = makes.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, collector_remote::sinks::SINKS.iter().map(|spec| spec.name).collect::<Vec<_>>());
    for (name, make) in makes {
        // Each of these is no reason to lose or to double a sample.
        for passing in [
            Reply::Status(500, "no"),
            Reply::Status(502, ""),
            Reply::RetryAfter(503, "0"),
            Reply::BreakOff,
            Reply::Hang,
            Reply::Status(301, ""),
            Reply::Slow(Duration::from_millis(50)),
            Reply::Status(413, "too large"),
        ] {
            let receiver = Receiver::start([passing.clone()]).await;
            let directory = tempfile::tempdir().unwrap();
            let destinations = open(directory.path(), &[make(&receiver)]);
            forward(&destinations, "m", 10, 0);
            forward(&destinations, "m", 10, 1);
            receiver.until_taken(20).await;
            let status = until_status(&destinations, |s| s.pending_samples == 0).await;
            assert_complete(&receiver.taken(), 10, 0..2);
            assert_eq!((status.samples_sent, status.samples_failed), (20, 0), "{name}: {passing:?}");
        }
        // This one is final, and what comes after it is delivered.
        let receiver = Receiver::start([Reply::Status(405, "never")]).await;
        let directory = tempfile::tempdir().unwrap();
        let destinations = open(directory.path(), &[make(&receiver)]);
        forward(&destinations, "m", 10, 0);
        until_status(&destinations, |s| s.samples_failed == 10).await;
        forward(&destinations, "m", 10, 1);
        receiver.until_taken(10).await;
    }
}
