//! A page of whatever samples a page may have: what is written in either text format is read as what it was, and the
//! two binary forms can be written.
#![no_main]

use agent_exposition::{Event, Format, Kind, NORMAL_NAN, Page, Parser, TargetLabels, push_time_series};

/// Those whose samples have the family's own name.
const KINDS: [Kind; 3] = [Kind::Counter, Kind::Gauge, Kind::Untyped];

type Sample<'a> = (u8, &'a str, &'a str, f64);

libfuzzer_sys::fuzz_target!(|samples: Vec<Sample<'_>>| {
    let mut page = Page::new();
    for (choice, help, label, value) in &samples {
        // One kind for each name, as collectors give it.
        let number = usize::from(choice % 8);
        let name = format!("family_{number}{}", if choice % 16 < 8 { "" } else { "_total" });
        let family = page.family(name, (*help).to_owned(), KINDS[number % 3]);
        page.sample(family, &[("label", label)], *value);
    }
    for format in [Format::Text004, Format::OpenMetrics100] {
        let mut text = String::new();
        page.write(format, &mut text);
        let mut read = Vec::new();
        for event in Parser::new(format, text.as_bytes()) {
            if let Event::Sample(sample) = event.unwrap_or_else(|error| panic!("{error} in\n{text}")) {
                let labels = sample.labels().map(|(_, value)| value.into_owned()).collect::<String>();
                read.push((labels, sample.value.to_bits()));
            }
        }
        let bits = |value: f64| if value.is_nan() { NORMAL_NAN.to_bits() } else { value.to_bits() };
        let mut written: Vec<_> =
            samples.iter().map(|(_, _, label, value)| ((*label).to_owned(), bits(*value))).collect();
        written.sort();
        read.sort();
        assert_eq!(read, written, "{text}");
    }
    page.write_protobuf(&mut Vec::new());
    let mut sent = Vec::new();
    let labels = TargetLabels { target: vec![("job".to_owned(), "agent".to_owned())], external: Vec::new() };
    page.each_series(&labels, |series| push_time_series(&mut sent, series.labels, series.value, 1));
    assert!(sent.len() >= samples.len());
});
