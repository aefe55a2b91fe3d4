//! Series of remote write, read by an independent decoder.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use agent_exposition::{Kind, Page, STALE, TargetLabels, push_time_series};
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    series: Vec<TimeSeries>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    family: String,
    #[prost(string, tag = "4")]
    help: String,
}

fn labels(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn series_are_what_a_scrape_would_have_stored() {
    let mut page = Page::new();
    let who = page.shared([("id", "a\"b\\c\nd"), ("zone", "z")]);
    let gauge = page.family("g", "A gauge.", Kind::Gauge);
    page.sample_shared(gauge, who, &[("job", "its own"), ("empty", ""), ("Z", "1")], 1.5);
    page.sample_at(gauge, &[("site", "its own")], -0.0, 12);
    let histogram = page.family("h", "", Kind::Histogram);
    page.bucket(histogram, &[], 1.0, 2.0);
    page.sample_suffixed(histogram, "_count", &[], 2.0);
    let summary = page.family("s", "", Kind::Summary);
    page.quantile(summary, &[("le", "1")], 0.0, STALE);

    let target = labels(&[("instance", "i"), ("job", "j")]);
    let external = labels(&[("empty", "filled"), ("site", "lab")]);
    let mut body = Vec::new();
    page.each_series(&TargetLabels { target, external }, |sample| {
        push_time_series(&mut body, sample.labels, sample.value, sample.timestamp_ms.unwrap_or(-7));
    });
    page.push_metadata(&mut body);
    let request = WriteRequest::decode(body.as_slice()).unwrap();
    let series: Vec<_> = request
        .series
        .iter()
        .map(|series| {
            let labels: Vec<_> = series.labels.iter().map(|l| format!("{}={}", l.name, l.value)).collect();
            let [sample] = series.samples[..] else { panic!("{series:?}") };
            (labels.join(" "), sample.value.to_bits(), sample.timestamp)
        })
        .collect();
    let row = |labels: &str, value: f64, timestamp: i64| (labels.to_owned(), value.to_bits(), timestamp);
    let want = [
        row("Z=1 __name__=g empty=filled exported_job=its own id=a\"b\\c\nd instance=i job=j site=lab zone=z", 1.5, -7),
        row("__name__=g empty=filled instance=i job=j site=its own", -0.0, 12),
        row("__name__=h_bucket empty=filled instance=i job=j le=1.0 site=lab", 2.0, -7),
        row("__name__=h_count empty=filled instance=i job=j site=lab", 2.0, -7),
        row("__name__=s empty=filled instance=i job=j le=1 quantile=0.0 site=lab", STALE, -7),
    ];
    assert_eq!(series, want);
    let metadata: Vec<_> = request.metadata.iter().map(|m| (m.family.as_str(), m.kind, m.help.as_str())).collect();
    assert_eq!(metadata, [("g", 2, "A gauge."), ("h", 3, ""), ("s", 5, "")]);
}
