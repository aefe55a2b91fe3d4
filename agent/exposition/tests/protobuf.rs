//! The protobuf page, read by an independent decoder: it says what the text page says, sample by sample.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod client_model;

use std::collections::BTreeMap;

use agent_exposition::{Event, Format, Kind, Page, Parser, float_label};
use client_model::{MetricFamily, MetricType, families};
use proptest::prelude::*;

/// Name, labels (edges as floats), value (its bits, with one NaN for all), time.
type Sample = (String, BTreeMap<String, String>, u64, Option<i64>);

fn sample(name: &str, mut labels: BTreeMap<String, String>, value: f64, timestamp_ms: Option<i64>) -> Sample {
    for edge in ["le", "quantile"] {
        if let Some(text) = labels.get_mut(edge)
            && let Ok(number) = text.parse()
        {
            *text = float_label(number);
        }
    }
    let bits = if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() };
    (name.to_owned(), labels, bits, timestamp_ms)
}

fn from_text(page: &Page) -> Vec<Sample> {
    let mut text = String::new();
    page.write_text(&mut text);
    let mut samples = Vec::new();
    for event in Parser::new(Format::Text004, text.as_bytes()) {
        let Event::Sample(line) = event.unwrap() else { continue };
        let labels = line.labels().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        samples.push(sample(&line.name(), labels, line.value, line.timestamp_ms));
    }
    samples.sort();
    samples
}

fn from_protobuf(families: &[MetricFamily]) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (family, metric) in families.iter().flat_map(|family| family.metric.iter().map(move |metric| (family, metric)))
    {
        let labels: BTreeMap<_, _> = metric.label.iter().map(|l| (l.name.clone(), l.value.clone())).collect();
        let mut add = |suffix: &str, edge: Option<(&str, f64)>, value: f64| {
            let mut labels = labels.clone();
            labels.extend(edge.map(|(name, edge)| (name.to_owned(), float_label(edge))));
            samples.push(sample(&format!("{}{suffix}", family.name), labels, value, metric.timestamp_ms));
        };
        match family.r#type() {
            MetricType::Counter => add("", None, metric.counter.unwrap().value),
            MetricType::Gauge => add("", None, metric.gauge.unwrap().value),
            MetricType::Untyped => add("", None, metric.untyped.unwrap().value),
            MetricType::Summary => {
                let summary = metric.summary.as_ref().unwrap();
                summary.quantile.iter().for_each(|q| add("", Some(("quantile", q.quantile)), q.value));
                summary.sample_sum.iter().for_each(|sum| add("_sum", None, *sum));
                summary.sample_count.iter().for_each(|count| add("_count", None, *count as f64));
            }
            MetricType::Histogram => {
                let histogram = metric.histogram.as_ref().unwrap();
                for bucket in &histogram.bucket {
                    let count = bucket.cumulative_count.map(|count| count as f64).or(bucket.cumulative_count_float);
                    add("_bucket", Some(("le", bucket.upper_bound)), count.unwrap());
                }
                histogram.sample_sum.iter().for_each(|sum| add("_sum", None, *sum));
                let count = histogram.sample_count.map(|count| count as f64).or(histogram.sample_count_float);
                count.iter().for_each(|count| add("_count", None, *count));
            }
        }
    }
    samples.sort();
    samples
}

#[track_caller]
fn decoded(page: &Page) -> Vec<MetricFamily> {
    let mut out = Vec::new();
    page.write_protobuf(&mut out);
    families(&out)
}

fn every_kind() -> Page {
    let mut page = Page::new();
    let who = page.shared([("id", "/docker/é\"\\\n"), ("zone", "a,b=\"c\"")]);
    for (name, kind) in [
        ("a_total", Kind::Counter),
        ("b", Kind::Gauge),
        ("c_info", Kind::Info),
        ("d", Kind::StateSet),
        ("e", Kind::Untyped),
    ] {
        let family = page.family(name, "Help with \"quotes\", \\ and\nnewline.", kind);
        page.sample(family, &[], 1e6);
        page.sample(family, &[("device", "sd\"a"), ("mode", "")], f64::NAN);
        page.sample_shared(family, who, &[("cpu", "0")], f64::NEG_INFINITY);
        page.sample_shared(family, who, &[], -0.0);
        page.sample_at(family, &[("late", "yes")], 0.1, 1_700_000_000_123);
        page.sample_at(family, &[("late", "very")], 5e-324, 1);
    }
    let histogram = page.family("h_seconds", "", Kind::Histogram);
    for (path, scale) in [("/", 1.0), ("/x", 0.5)] {
        let labels = [("code", "200"), ("path", path)];
        page.bucket(histogram, &labels, 0.5, 1.0 * scale);
        page.bucket(histogram, &labels, 1.0, 2.0 * scale);
        page.bucket(histogram, &labels, f64::INFINITY, 3.0 * scale);
        page.sample_suffixed(histogram, "_sum", &labels, 12.5);
        page.sample_suffixed(histogram, "_count", &labels, 3.0 * scale);
    }
    page.sample_suffixed(histogram, "_bucket", &[("code", "500"), ("le", "7"), ("path", "/")], 4.0);
    page.sample_suffixed(histogram, "_created", &[("code", "500"), ("path", "/")], 1.7e9);
    let summary = page.family("s", "A summary.", Kind::Summary);
    for labels in [&[("a", "1")][..], &[]] {
        page.quantile(summary, labels, 0.5, f64::NAN);
        page.quantile(summary, labels, 0.99, 2.0);
        page.sample_suffixed(summary, "_sum", labels, 7.5);
        page.sample_suffixed(summary, "_count", labels, 18_446_744.0);
    }
    let gauge_histogram = page.family("g", "A gauge histogram.", Kind::GaugeHistogram);
    page.bucket(gauge_histogram, &[], 1.0, 2.0);
    page.bucket(gauge_histogram, &[], f64::INFINITY, 2.5);
    page.sample_suffixed(gauge_histogram, "_gsum", &[], 1.0);
    page.sample_suffixed(gauge_histogram, "_gcount", &[], 2.0);
    page.family("nothing", "Has no sample.", Kind::Gauge);
    page
}

#[test]
fn says_what_the_text_page_says() {
    let page = every_kind();
    let families = decoded(&page);
    assert_eq!(from_protobuf(&families), from_text(&page));
    assert_eq!(from_text(&page).len(), page.sample_count());
    let kinds: Vec<_> = families.iter().map(|f| (f.name.as_str(), f.r#type(), f.metric.len())).collect();
    use MetricType::{Counter, Gauge, Histogram, Summary, Untyped};
    let want = [
        ("a_total", Counter, 6),
        ("b", Gauge, 6),
        ("c_info", Gauge, 6),
        ("d", Gauge, 6),
        ("e", Untyped, 6),
        ("g_bucket", Untyped, 2),
        ("g_gsum", Untyped, 1),
        ("g_gcount", Untyped, 1),
        ("h_seconds", Histogram, 3),
        ("h_seconds_created", Untyped, 1),
        ("s", Summary, 2),
    ];
    assert_eq!(kinds, want);
    assert_eq!(families[0].help.as_deref(), Some("Help with \"quotes\", \\ and\nnewline."));
    assert_eq!(families[8].help, None);
}

#[test]
fn an_empty_page_is_empty() {
    assert_eq!(decoded(&Page::new()), []);
}

proptest! {
    #[test]
    fn any_labels_and_values_arrive(
        samples in prop::collection::vec(
            (0..3usize, prop::collection::btree_map("[a-d]", any::<String>(), 0..4), any::<u64>()),
            0..40,
        ),
    ) {
        let mut page = Page::new();
        for (family, labels, bits) in &samples {
            let family = page.family(["x", "y", "z"][*family], "Any.", Kind::Gauge);
            let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            page.sample(family, &labels, f64::from_bits(*bits));
        }
        prop_assert_eq!(from_protobuf(&decoded(&page)), from_text(&page));
    }
}
