//! The remote-write receiver: what it takes, what it refuses and why, and a real sender.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use collector_remote::prompb::{Label, Sample, TimeSeries, WriteRequest};
use prost::Message;
use provisioning_parts::{Answer, Collector, Prometheus, eventually, form, prom_query};
use serde_json::{Value, json};

use crate::exporter::{Exporter, STEPS};
use crate::http::{get, send};
use crate::support::collector;

const HEADERS: [(&str, &str); 3] = [
    ("Content-Type", "application/x-protobuf"),
    ("Content-Encoding", "snappy"),
    ("X-Prometheus-Remote-Write-Version", "0.1.0"),
];

/// Prometheus's marker for "this series has ended here".
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

fn receiver() -> Collector {
    collector("global: {}", &["--web.enable-remote-write-receiver"])
}

/// A series; times are milliseconds from the origin.
fn series(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> TimeSeries {
    TimeSeries {
        labels: labels.iter().map(|(n, v)| Label { name: (*n).to_owned(), value: (*v).to_owned() }).collect(),
        samples: samples.iter().map(|(ms, value)| Sample { timestamp: origin() * 1000 + ms, value: *value }).collect(),
        ..TimeSeries::default()
    }
}

fn packed(timeseries: Vec<TimeSeries>) -> Vec<u8> {
    let request = WriteRequest { timeseries, ..WriteRequest::default() };
    snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap()
}

fn write(address: &str, timeseries: Vec<TimeSeries>) -> Answer {
    post(address, &packed(timeseries))
}

fn post(address: &str, body: &[u8]) -> Answer {
    send("POST", address, "/api/v1/write", &HEADERS, body)
}

/// A second half an hour ago, well inside the window; all of a test's times count from it.
fn origin() -> i64 {
    static ORIGIN: LazyLock<i64> = LazyLock::new(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        i64::try_from(now.as_secs()).unwrap() - 1800
    });
    *ORIGIN
}

/// Stores one sample for each value of the label `which`; gives their second.
pub fn store_one_of_each(address: &str, metric: &str, which: &[&str]) -> i64 {
    let all = which.iter().map(|v| series(&[("__name__", metric), ("which", v)], &[(0, 1.0)])).collect();
    let answer = write(address, all);
    assert_eq!(answer.status, 204, "{answer:?}");
    origin()
}

/// All samples of a metric, their times in seconds from the origin.
fn stored(address: &str, metric: &str) -> Value {
    let asked = form(&[("query", &format!("{metric}[1h]")), ("time", &(origin() + 900).to_string())]);
    let mut result = get(address, &format!("/api/v1/query?{asked}")).json()["data"]["result"].take();
    for point in result.as_array_mut().unwrap().iter_mut().flat_map(|row| row["values"].as_array_mut().unwrap()) {
        let ms = (point[0].as_f64().unwrap() * 1000.0).round() - 1000.0 * origin() as f64;
        point[0] = json!(ms / 1000.0);
    }
    result
}

#[test]
fn it_must_be_enabled() {
    let collector = collector("global: {}", &[]);
    let answer = write(&collector.address, vec![series(&[("__name__", "a")], &[(1, 1.0)])]);
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("--web.enable-remote-write-receiver"));
}

#[test]
fn what_is_right_is_stored_exactly() {
    let collector = receiver();
    let address = &collector.address;
    let odd = [(1, 0.1 + 0.2), (1_002, -1e-300), (2_003, f64::INFINITY), (3_004, f64::NAN)];
    let answer = write(address, vec![series(&[("__name__", "odd"), ("text", "a\"b\\c\nd é")], &odd)]);
    assert_eq!((answer.status, answer.body.len()), (204, 0), "{answer:?}");
    let wanted = json!([{
        "metric": { "__name__": "odd", "text": "a\"b\\c\nd é" },
        "values": [[0.001, "0.30000000000000004"], [1.002, "-1e-300"], [2.003, "+Inf"], [3.004, "NaN"]],
    }]);
    assert_eq!(stored(address, "odd"), wanted);
    // The same again is no conflict: a sender repeats what it had no answer for.
    let again = write(address, vec![series(&[("__name__", "odd"), ("text", "a\"b\\c\nd é")], &odd[3..])]);
    assert_eq!(again.status, 204, "{again:?}");
    assert_eq!(stored(address, "odd"), wanted);
    // Unsorted labels are sorted, an empty value is no label; the order of names means nothing.
    let unsorted = series(&[("zone", "z"), ("empty", ""), ("__name__", "unsorted"), ("area", "a")], &[(0, 1.0)]);
    assert_eq!(write(address, vec![unsorted]).status, 204);
    let wanted = json!([{
        "metric": { "__name__": "unsorted", "area": "a", "zone": "z" },
        "values": [[0.0, "1"]],
    }]);
    assert_eq!(stored(address, "unsorted"), wanted);
    // Nothing to store is no fault.
    assert_eq!(write(address, Vec::new()).status, 204);
}

#[test]
fn a_stale_marker_ends_a_series() {
    let collector = receiver();
    let name = [("__name__", "ends")];
    assert_eq!(write(&collector.address, vec![series(&name, &[(0, 1.0), (15_000, STALE)])]).status, 204);
    let at =
        |second: i64| get(&collector.address, &format!("/api/v1/query?query=ends&time={}", origin() + second)).json();
    assert_eq!(at(14)["data"]["result"][0]["value"][1], "1");
    assert_eq!(at(15)["data"]["result"], json!([]), "the marker is kept as such, no ordinary NaN");
    assert_eq!(stored(&collector.address, "ends")[0]["values"], json!([[0.0, "1"]]));
}

#[test]
fn wrong_bodies_are_refused_and_cost_nothing() {
    let collector = receiver();
    let address = &collector.address;
    let whole = packed((0..50).map(|n| series(&[("__name__", &format!("m{n}"))], &[(0, 1.0)])).collect());
    let pack = |bytes: &[u8]| snap::raw::Encoder::new().compress_vec(bytes).unwrap();
    // A length of 4 GiB - 1 in front of nothing much.
    let bomb = [b"\xff\xff\xff\xff\x0f".as_slice(), &[0; 100]].concat();
    let large = pack(&vec![0; 80 << 20]);
    let no_utf8 = b"\x0a\x0e\x0a\x0c\x0a\x08__name__\x12\x00".map(|b| if b == b'n' { 0xff } else { b });
    for (what, body) in [
        ("no body", Vec::new()),
        ("garbage", b"this is not snappy at all".to_vec()),
        ("JSON", b"{\"timeseries\":[]}".to_vec()),
        ("half a body", whole[..whole.len() / 2].to_vec()),
        ("all but a byte", whole[..whole.len() - 1].to_vec()),
        ("a byte too many", [whole.as_slice(), b"\x00"].concat()),
        ("packed garbage", pack(b"\xff\xff\xff\xffgarbage")),
        ("unpacked", WriteRequest { timeseries: Vec::new(), ..WriteRequest::default() }.encode_to_vec()),
        ("a bomb", bomb),
        ("too large unpacked", large),
        ("no UTF-8", pack(&no_utf8)),
    ] {
        let answer = post(address, &body);
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        assert!(answer.text().trim_end().len() > 5, "{what}: {answer:?}");
    }
    assert_eq!(post(address, &vec![0; 33 << 20]).status, 413, "larger than anything that is read");
    let version_2 = [("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request")];
    assert_eq!(send("POST", address, "/api/v1/write", &version_2, &whole).status, 415);
    assert_eq!(get(address, "/api/v1/write").status, 405);
    let names = get(address, "/api/v1/label/__name__/values?match[]={__name__=~%22m[0-9]%2B%22}").json();
    assert_eq!(names["data"], json!([]), "nothing of them was stored");
    assert_eq!(post(address, &whole).status, 204);
}

#[test]
fn what_is_wrong_with_one_series_costs_that_series() {
    let collector = receiver();
    let address = &collector.address;
    let first = series(&[("__name__", "in_order")], &[(0, 1.0), (10_000, 2.0)]);
    assert_eq!(write(address, vec![first]).status, 204);
    for (n, (what, wrong)) in [
        ("no metric name", series(&[("job", "a")], &[(0, 1.0)])),
        ("no labels", series(&[], &[(0, 1.0)])),
        ("an empty metric name", series(&[("__name__", ""), ("job", "a")], &[(0, 1.0)])),
        ("a label twice", series(&[("__name__", "m"), ("a", "1"), ("a", "2")], &[(0, 1.0)])),
        ("a label twice, apart", series(&[("a", "1"), ("__name__", "m"), ("b", "2"), ("a", "3")], &[(0, 1.0)])),
        ("a label without a name", series(&[("", "x"), ("__name__", "m")], &[(0, 1.0)])),
        ("too old", series(&[("__name__", "old")], &[(-1_000_000_000, 9.0)])),
        ("far in the future", series(&[("__name__", "young")], &[(1_000_000_000_000, 9.0)])),
        ("out of order", series(&[("__name__", "in_order")], &[(5_000, 9.0)])),
        ("another value at the same time", series(&[("__name__", "in_order")], &[(10_000, 9.0)])),
    ]
    .into_iter()
    .enumerate()
    {
        let beside = format!("beside_{n}");
        let right = |name: &str| series(&[("__name__", name)], &[(0, 1.0)]);
        let answer = write(address, vec![right(&beside), wrong, right(&format!("{beside}_after"))]);
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        assert!(answer.text().trim_end().len() > 5 && answer.text().lines().count() == 1, "{what}: {answer:?}");
        for name in [beside.clone(), format!("{beside}_after")] {
            assert_eq!(stored(address, &name).as_array().unwrap().len(), 1, "{what}: {name} is stored");
        }
    }
    assert_eq!(stored(address, "m"), json!([]));
    assert_eq!(stored(address, "in_order")[0]["values"], json!([[0.0, "1"], [10.0, "2"]]));
}

#[test]
fn a_real_prometheus_writes_everything_it_has() {
    // What is older than its start Prometheus does not send; up to ten minutes ahead it takes.
    let exporter = Exporter::start_ahead();
    let collector = receiver();
    let config = format!(
        r#"
global: {{ scrape_interval: 100ms, scrape_timeout: 100ms, external_labels: {{ site: a }} }}
scrape_configs:
  - job_name: synthetic
    static_configs: [{{ targets: ["{}"] }}]
remote_write:
  - url: http://{}/api/v1/write
"#,
        exporter.address, collector.address
    );
    let prometheus = Prometheus::start(&config, &[]);
    let history = |address: &str| {
        // Go's encoder leaves out every zero, and with it the sign of a negative one.
        let query = "{__name__=~\"api_.*\",kind!=\"minus_zero\"}[1h]";
        let asked = form(&[("query", query), ("time", &exporter.at(STEPS, 0))]);
        let mut result = get(address, &format!("/api/v1/query?{asked}")).json()["data"]["result"].take();
        for row in result.as_array_mut().unwrap() {
            // Prometheus adds its external labels on the way out.
            row["metric"].as_object_mut().unwrap().remove("site");
        }
        result.as_array_mut().unwrap().sort_by_key(|row| row["metric"].to_string());
        result
    };
    let wanted = eventually(60, "Prometheus has the whole history", || {
        let stored = history(&prometheus.address);
        let whole = stored.as_array().unwrap().iter().any(|row| row["values"].as_array().unwrap().len() == 40);
        if whole { Ok(stored) } else { Err("not yet".to_owned()) }
    });
    eventually(30, "the collector has it as well", || {
        let got = history(&collector.address);
        let (got, wanted) = (got.as_array().unwrap(), wanted.as_array().unwrap());
        match wanted.iter().find(|row| !got.contains(row)) {
            None if got.len() == wanted.len() => Ok(()),
            missing => Err(format!("{} rows instead of {}, without {missing:?}", got.len(), wanted.len())),
        }
    });
    let sites = prom_query(&collector.address, "count by (site) ({__name__=~\"api_.*\"})").unwrap();
    assert_eq!((sites.len(), &sites[0]["metric"]["site"]), (1, &json!("a")));
    let about_us = |line: &String| line.contains("level=error") || line.contains("component=remote");
    assert_eq!(prometheus.troubles().into_iter().find(about_us), None);
}
