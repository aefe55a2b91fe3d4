//! Delivery to real receivers: InfluxDB 1.x and VictoriaMetrics from Debian's packages.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::expect_used,
    missing_docs,
    reason = "tests may"
)]

mod support;
mod victoria;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use collector_model::{Forward, Labels, METRIC_NAME, NORMAL_NAN, RefSample, STALE_NAN, SeriesRef};
use collector_remote::Destinations;
use provisioning_parts::Influx;
use support::*;
use victoria::VictoriaMetrics;

/// Series whose labels hold what can go wrong on the way.
fn hostile() -> Vec<Labels> {
    let values = [
        "plain",
        "with space",
        "a,b",
        "a=b",
        "quo\"te",
        "back\\slash",
        "a\\,b",
        "a\\ b",
        "é ü 漢",
        "#hash",
        "1.5",
        "-",
        "tab\there",
        "a\\\"b",
        "{x=\"y\"}",
        "percent%20",
    ];
    let mut series: Vec<Labels> = values
        .iter()
        .map(|value| Labels::from_pairs([("__name__", "hostile"), ("job", "node"), ("value_", *value)]))
        .collect();
    series.push(Labels::from_pairs([("__name__", "job_instance:cpu:avg_rate5m"), ("instance", "h:9100")]));
    series
}

fn forward_all(destinations: &Destinations, series: &[Labels], samples: &[(i64, f64)]) {
    for (step, value) in samples {
        let batch: Vec<RefSample> = (0..series.len())
            .map(|number| RefSample {
                series: SeriesRef(number as u64),
                timestamp_ms: START_MS + step * 1_000,
                value: *value,
            })
            .collect();
        destinations.forward(&batch, &|handle| series.get(usize::try_from(handle.0).unwrap()).cloned());
    }
}

type Tags = BTreeSet<(String, String)>;

/// What InfluxDB 1.x holds: tags (`__name__` left out) with the measurement, and points.
fn influx_content(influx: &Influx) -> BTreeMap<Tags, Vec<(i64, f64)>> {
    let mut content = BTreeMap::new();
    for series in influx.query("SELECT value FROM /.*/ GROUP BY *").unwrap() {
        let mut tags: Tags = series["tags"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(name, value)| *name != METRIC_NAME && *value != "")
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        tags.insert((METRIC_NAME.to_owned(), series["name"].as_str().unwrap().to_owned()));
        let points = series["values"].as_array().unwrap();
        let point = |p: &serde_json::Value| (p[0].as_i64().unwrap() - START_MS, p[1].as_f64().unwrap());
        assert!(content.insert(tags, points.iter().map(point).collect()).is_none());
    }
    content
}

fn tags(labels: &Labels) -> Tags {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

async fn drained(destinations: &Destinations) {
    for _ in 0..6_000 {
        if destinations.snapshot().iter().all(|s| s.pending_samples == 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", destinations.snapshot());
}

#[tokio::test]
async fn influxdb_1_gets_every_sample_once_through_an_outage_and_a_killed_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut influx = Influx::start();
    let address = influx.address.clone();
    let config =
        remote_write(&format!("{{url: 'http://{address}/api/v1/prom/write?db=prometheus', name: vms, {FAST}}}"));
    let queues = folder.path().join("queues");
    let series = hostile();
    let steps = |from: i64, to: i64| -> Vec<(i64, f64)> { (from..to).map(|step| (step, step as f64 + 0.25)).collect() };

    let destinations = open(&queues, std::slice::from_ref(&config));
    forward_all(&destinations, &series, &steps(0, 100));
    forward_all(&destinations, &series, &[(100, NORMAL_NAN), (101, STALE_NAN), (102, f64::INFINITY)]);
    drained(&destinations).await;
    influx.kill();
    forward_all(&destinations, &series, &steps(103, 200));
    until_status(&destinations, |s| s.last_error.is_some()).await;
    assert!(destinations.snapshot()[0].pending_samples > 0);
    // The process dies: nobody stops cleanly, nobody writes the cursor.
    drop(destinations);
    let destinations = open(&queues, std::slice::from_ref(&config));
    forward_all(&destinations, &series, &steps(200, 300));
    influx.resume();
    forward_all(&destinations, &series, &steps(300, 400));
    drained(&destinations).await;
    let status = &destinations.snapshot()[0];
    assert_eq!(status.samples_failed, 0, "{status:?}");

    let mut want: Vec<(i64, f64)> = steps(0, 100);
    want.extend(steps(103, 400));
    let want: Vec<(i64, f64)> = want.into_iter().map(|(step, value)| (step * 1_000, value)).collect();
    let content = influx_content(&influx);
    assert_eq!(content.keys().cloned().collect::<Vec<_>>(), {
        let mut all: Vec<_> = series.iter().map(tags).collect();
        all.sort();
        all
    });
    for (tags, points) in content {
        assert_eq!(points, want, "{tags:?}");
    }
}

#[tokio::test]
async fn influxdb_1_waits_for_its_database() {
    let folder = tempfile::tempdir().unwrap();
    let influx = Influx::start();
    influx.query("DROP DATABASE prometheus").unwrap();
    let address = &influx.address;
    let configs = [
        remote_write(&format!("{{url: 'http://{address}/api/v1/prom/write?db=prometheus', {FAST}}}")),
        influxdb(&format!("{{url: 'http://{address}', database: prometheus, name_tag: true, {FAST}}}")),
    ];
    let destinations = open(&folder.path().join("queues"), &configs);
    forward(&destinations, "up", 3, 1);
    until_status(&destinations, |s| s.last_error.as_ref().is_some_and(|e| e.message.contains("not found"))).await;
    influx.query("CREATE DATABASE prometheus").unwrap();
    drained(&destinations).await;
    assert_eq!(influx_content(&influx).len(), 3);
    assert!(destinations.snapshot().iter().all(|s| s.samples_failed == 0));
}

#[tokio::test]
async fn line_protocol_says_to_influxdb_1_what_remote_write_says() {
    let folder = tempfile::tempdir().unwrap();
    let influx = Influx::start();
    let config = influxdb(&format!("{{url: 'http://{}', database: prometheus, {FAST}}}", influx.address));
    let destinations = open(&folder.path().join("queues"), &[config]);
    let mut series = hostile();
    series.push(Labels::from_pairs([("__name__", "path"), ("windows", "C:\\"), ("multi", "a\nb")]));
    let values = [0.0, -1.5, 1e300, 5e-324, 0.1, 123_456_789_012.0, f64::NAN, STALE_NAN, f64::NEG_INFINITY];
    let samples: Vec<(i64, f64)> = (0..).zip(values).collect();
    forward_all(&destinations, &series, &samples);
    drained(&destinations).await;
    let status = &destinations.snapshot()[0];
    assert_eq!((status.samples_failed, status.samples_sent), (0, 6 * series.len() as u64), "{status:?}");

    let want: Vec<(i64, f64)> =
        samples.iter().filter(|(_, v)| v.is_finite()).map(|(step, value)| (step * 1_000, *value)).collect();
    let content = influx_content(&influx);
    // What the format cannot say is changed, and only that.
    *series.last_mut().unwrap() = Labels::from_pairs([("__name__", "path"), ("windows", "C:"), ("multi", "a\\nb")]);
    let keys: BTreeSet<_> = content.keys().cloned().collect();
    assert_eq!(keys, series.iter().map(tags).collect::<BTreeSet<_>>());
    for (tags, points) in content {
        assert_eq!(points, want, "{tags:?}");
    }
}

#[tokio::test]
async fn victoria_metrics_understands_both_protocols() {
    for protocol in ["remote write", "line protocol"] {
        let folder = tempfile::tempdir().unwrap();
        let server = VictoriaMetrics::start();
        let base = format!("http://{}", server.address);
        let config = match protocol {
            "remote write" => remote_write(&format!("{{url: '{base}/api/v1/write', {FAST}}}")),
            _ => influxdb(&format!("{{url: '{base}', org: o, bucket: b, version: 2, {FAST}}}")),
        };
        let destinations = open(&folder.path().join("queues"), &[config]);
        let mut series = hostile();
        if protocol == "line protocol" {
            // Where a backslash stands before what needs one, receivers disagree: InfluxDB 1.x and 2.x take it for
            // itself, VictoriaMetrics takes two for one.
            series.retain(|labels| !labels.get("value_").is_some_and(|v| v.contains("\\,") || v.contains("\\ ")));
        }
        let samples: Vec<(i64, f64)> = (0..50).map(|step| (step, step as f64 / 3.0)).collect();
        forward_all(&destinations, &series, &samples);
        drained(&destinations).await;
        assert_eq!(destinations.snapshot()[0].samples_failed, 0, "{protocol}");

        let mut content = BTreeMap::new();
        for line in server.export() {
            let labels = Labels::from_pairs(
                line["metric"].as_object().unwrap().iter().map(|(n, v)| (n.clone(), v.as_str().unwrap().to_owned())),
            );
            let numbers = |key: &str| line[key].as_array().unwrap().clone();
            let times = numbers("timestamps").into_iter().map(|t| t.as_i64().unwrap() - START_MS);
            let values = numbers("values").into_iter().map(|v| v.as_f64().unwrap());
            let mut name = labels.to_builder();
            name.remove("db");
            content.insert(tags(&name.build()), times.zip(values).collect::<Vec<_>>());
        }
        let want: Vec<(i64, f64)> = samples.iter().map(|(step, value)| (step * 1_000, *value)).collect();
        let keys: BTreeSet<_> = content.keys().cloned().collect();
        assert_eq!(keys, series.iter().map(tags).collect::<BTreeSet<_>>(), "{protocol}");
        for (tags, points) in content {
            assert_eq!(points.len(), want.len(), "{protocol}: {tags:?}");
            for (got, want) in points.iter().zip(&want) {
                // VictoriaMetrics keeps values as decimals.
                assert!(got.0 == want.0 && (got.1 - want.1).abs() < 1e-12, "{protocol}: {got:?} for {want:?}");
            }
        }
    }
}
