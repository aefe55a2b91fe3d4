//! The parser against tables of good and bad pages, and against the writers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod cases;

use std::collections::BTreeSet;

use agent_exposition::{Event, Format, Kind, NORMAL_NAN, Page, ParseError, Parser, Progress, Read};
use cases::{ACCEPTED, REFUSED};
use proptest::prelude::*;

type Sample = (String, Vec<(String, String)>, u64, Option<i64>);

fn samples(format: Format, page: &[u8]) -> Result<Vec<Sample>, ParseError> {
    collect(Parser::new(format, page))
}

fn collect<'a>(events: impl Iterator<Item = Result<Event<'a>, ParseError>>) -> Result<Vec<Sample>, ParseError> {
    let mut samples = Vec::new();
    for event in events {
        if let Event::Sample(sample) = event? {
            let labels = sample.labels().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
            samples.push((sample.name().into_owned(), labels, sample.value.to_bits(), sample.timestamp_ms));
        }
    }
    Ok(samples)
}

#[test]
fn reads_what_prometheus_reads() {
    for case in ACCEPTED {
        let page = String::from_utf8_lossy(case.page);
        assert!(samples(case.format, case.page).is_ok(), "{page:?}: {:?}", samples(case.format, case.page));
    }
}

#[test]
fn refuses_what_prometheus_refuses() {
    for case in REFUSED {
        let page = String::from_utf8_lossy(case.page);
        assert!(samples(case.format, case.page).is_err(), "{page:?}");
    }
}

#[track_caller]
fn check_one(format: Format, page: &str, series: &str, name: &str, labels: &[(&str, &str)]) {
    let mut events = Parser::new(format, page.as_bytes());
    let Some(Ok(Event::Sample(sample))) = events.next() else { panic!("{page:?}") };
    assert_eq!(sample.series, series);
    assert_eq!(sample.name(), name);
    let got: Vec<_> = sample.labels().collect();
    let got: Vec<_> = got.iter().map(|(n, v)| (n.as_ref(), v.as_ref())).collect();
    assert_eq!(got, labels);
}

#[test]
fn takes_series_apart() {
    use Format::{OpenMetrics100, Text004};
    check_one(Text004, "up 1\n", "up", "up", &[]);
    check_one(Text004, "up{} 1\n", "up{}", "up", &[]);
    check_one(Text004, " a {x=\"1\", y = \"2\",} 1 5\n", "a {x=\"1\", y = \"2\",}", "a", &[("x", "1"), ("y", "2")]);
    check_one(Text004, "a{x=\"q\\\"\\\\\\n\\t}\"} 1\n", "a{x=\"q\\\"\\\\\\n\\t}\"}", "a", &[("x", "q\"\\\n\\t}")]);
    check_one(Text004, "{\"a.b\",\"l m\"=\"x\"} 1\n", "{\"a.b\",\"l m\"=\"x\"}", "a.b", &[("l m", "x")]);
    check_one(OpenMetrics100, "a{x=\"1\"} 1 # {y=\"2\"} 1\n# EOF\n", "a{x=\"1\"}", "a", &[("x", "1")]);
}

#[test]
fn reads_metadata() {
    let page = "# HELP a one \\\\ \\n \\\" two\n# TYPE a histogram\n# HELP b\n# other\n# TYPE \"c.d\" untyped\n";
    let events: Vec<_> = Parser::new(Format::Text004, page.as_bytes()).map(Result::unwrap).collect();
    let shown: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Help { name, text } => format!("help {name}={text}"),
            Event::Type { name, kind } => format!("type {name}={kind:?}"),
            Event::Unit { name, unit } => format!("unit {name}={unit}"),
            Event::Comment => "comment".to_owned(),
            _ => "sample".to_owned(),
        })
        .collect();
    assert_eq!(shown, ["help a=one \\ \n \\\" two", "type a=Histogram", "help b=", "comment", "type c.d=Untyped"]);
    let page = "# HELP a one \\\" two\n# TYPE a_s stateset\n# UNIT a_s s\n# EOF\n";
    let kinds: Vec<_> = Parser::new(Format::OpenMetrics100, page.as_bytes()).map(Result::unwrap).collect();
    assert!(matches!(&kinds[0], Event::Help { text, .. } if text == "one \" two"));
    assert!(matches!(&kinds[1], Event::Type { kind: Kind::StateSet, .. }));
    assert!(matches!(&kinds[2], Event::Unit { unit: "s", .. }));
}

#[test]
fn times_are_milliseconds_in_both_formats() {
    let one = |format, page: &str| samples(format, page.as_bytes()).unwrap()[0].3;
    assert_eq!(one(Format::Text004, "a 1 1700000000123\n"), Some(1_700_000_000_123));
    assert_eq!(one(Format::OpenMetrics100, "a 1 1700000000.123\n# EOF\n"), Some(1_700_000_000_123));
    assert_eq!(one(Format::OpenMetrics100, "a 1 1700000000 # {} 1 5\n# EOF\n"), Some(1_700_000_000_000));
    assert_eq!(one(Format::OpenMetrics100, "a 1 -1\n# EOF\n"), Some(-1000));
}

#[test]
fn errors_name_the_line_and_end_the_page() {
    let mut parser = Parser::new(Format::Text004, b"a 1\n\nb{c} 2\nd 4\n");
    assert!(parser.next().unwrap().is_ok());
    let error = parser.next().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "line 3: expected an equals sign after the label name");
    assert!(parser.next().is_none());
    let error = samples(Format::OpenMetrics100, b"a 1\nb 2\n").unwrap_err();
    assert_eq!(error.to_string(), "line 2: the page does not end with # EOF");
}

#[test]
fn no_nan_is_taken_for_a_stale_marker() {
    let read = samples(Format::Text004, b"a NaN\nb nan\n").unwrap();
    assert!(read.iter().all(|s| s.2 == NORMAL_NAN.to_bits() && s.2 == 0x7ff8_0000_0000_0001));
}

/// Feeds a page in pieces cut at `size` bytes.
fn samples_in_pieces(format: Format, page: &[u8], size: usize) -> Result<Vec<Sample>, ParseError> {
    let (mut progress, mut buffer, mut all) = (Progress::new(format), Vec::new(), Vec::new());
    for piece in page.chunks(size) {
        buffer.extend_from_slice(piece);
        let mut parser = Parser::lines(progress, &buffer);
        all.extend(collect(&mut parser)?);
        let consumed = parser.consumed();
        progress = parser.progress();
        buffer.drain(..consumed);
    }
    all.extend(collect(Parser::rest(progress, &buffer))?);
    Ok(all)
}

#[test]
fn pieces_read_as_the_whole() {
    for case in ACCEPTED.iter().chain(REFUSED) {
        let whole = samples(case.format, case.page);
        for size in [1, 2, 7, 64] {
            let page = String::from_utf8_lossy(case.page);
            assert_eq!(samples_in_pieces(case.format, case.page, size), whole, "{page:?} by {size}");
        }
    }
}

/// Reads a page with the help of everything that was ever a series: the shortest that begins a line, or the longest.
fn samples_known(format: Format, page: &[u8], known: &BTreeSet<String>, longest: bool) -> Result<Vec<u64>, ParseError> {
    let mut parser = Parser::new(format, page);
    let mut values = Vec::new();
    let recognise = |line: &str| {
        let mut fitting = known.iter().filter(|series| line.starts_with(series.as_str())).map(String::len);
        if longest { fitting.next_back() } else { fitting.next() }
    };
    while let Some(read) = parser.next_known(recognise) {
        match read? {
            Read::Known { value, .. } => values.push(value.to_bits()),
            Read::Event(Event::Sample(sample)) => values.push(sample.value.to_bits()),
            Read::Event(_) => {}
        }
    }
    Ok(values)
}

#[test]
fn known_series_read_as_unknown_ones() {
    for format in [Format::Text004, Format::OpenMetrics100] {
        let cases = || ACCEPTED.iter().chain(REFUSED).filter(|case| case.format == format);
        let mut known = BTreeSet::new();
        for case in cases() {
            for event in Parser::new(format, case.page) {
                if let Ok(Event::Sample(sample)) = event {
                    known.insert(sample.series.to_owned());
                }
            }
        }
        assert!(known.len() > 10);
        for case in cases() {
            let want = samples(format, case.page).map(|all| all.iter().map(|s| s.2).collect::<Vec<_>>());
            for longest in [false, true] {
                let got = samples_known(format, case.page, &known, longest);
                assert_eq!(got, want, "{:?}", String::from_utf8_lossy(case.page));
            }
        }
    }
}

fn label_name() -> impl Strategy<Value = String> {
    "[a-zA-Z_][a-zA-Z0-9_]{0,8}"
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        families in prop::collection::btree_map(
            "[a-z_:][a-z0-9_:]{0,10}",
            (
                ".{0,20}",
                prop::sample::select(vec![Kind::Counter, Kind::Gauge, Kind::Untyped, Kind::Histogram, Kind::Summary]),
                prop::collection::vec(
                    (
                        prop::collection::btree_map(label_name(), ".{0,10}", 0..4),
                        any::<u64>().prop_map(f64::from_bits),
                        prop::option::of(0i64..4_102_444_800_000),
                    ),
                    1..4,
                ),
            ),
            0..6,
        ),
        openmetrics: bool,
    ) {
        let mut page = Page::new();
        let mut want: Vec<Sample> = Vec::new();
        for (name, (help, kind, entries)) in &families {
            let family = page.family(name.clone(), help.clone(), *kind);
            for (labels, value, time) in entries {
                let pairs: Vec<_> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                match time {
                    Some(time) => page.sample_at(family, &pairs, *value, *time),
                    None => page.sample(family, &pairs, *value),
                }
                let value = if value.is_nan() { NORMAL_NAN } else { *value };
                let labels = labels.iter().map(|(n, v)| {
                    // OpenMetrics writes these numbers as floats.
                    let edge = matches!((*kind, n.as_str()), (Kind::Histogram, "le") | (Kind::Summary, "quantile"));
                    let integer = !v.is_empty() && v.bytes().all(|b| b.is_ascii_digit() || b == b'-');
                    (n.clone(), if openmetrics && edge && integer { format!("{v}.0") } else { v.clone() })
                });
                want.push((name.clone(), labels.collect(), value.to_bits(), *time));
            }
        }
        let format = if openmetrics { Format::OpenMetrics100 } else { Format::Text004 };
        let mut out = String::new();
        page.write(format, &mut out);
        prop_assert_eq!(samples(format, out.as_bytes()), Ok(want), "{}", out);
    }

    #[test]
    fn any_bytes_are_survived(page: Vec<u8>, openmetrics: bool) {
        let format = if openmetrics { Format::OpenMetrics100 } else { Format::Text004 };
        let whole = samples(format, &page);
        prop_assert_eq!(samples_in_pieces(format, &page, 3), whole);
    }

    #[test]
    fn near_pages_are_survived(page in "([a#{}=\",\\\\ \t\n1.eéHELPTYPUNI_]|# HELP |# TYPE | # \\{|=\"){0,60}", openmetrics: bool) {
        let format = if openmetrics { Format::OpenMetrics100 } else { Format::Text004 };
        let whole = samples(format, page.as_bytes());
        prop_assert_eq!(samples_in_pieces(format, page.as_bytes(), 5), whole);
    }
}
