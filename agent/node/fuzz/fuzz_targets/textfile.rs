//! Any bytes as two files of the textfile collector, whose families meet: what is printed of them can be read, in every
//! format, and nothing stands there twice.
#![no_main]

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use agent_exposition::{Event, Format, Page, Parser};
use agent_node::collectors::COLLECTORS;
use agent_node::{Context, Flags, Scrape};
use agent_procfs::Root;

static DIRECTORY: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8])| {
    let (share, bytes) = input;
    let (first, second) = bytes.split_at(bytes.len() * usize::from(share) / 256);
    std::fs::write(DIRECTORY.path().join("a.prom"), first).unwrap();
    std::fs::write(DIRECTORY.path().join("b.prom"), second).unwrap();
    let mut flags = Flags::default();
    flags.push("collector.textfile.directory", DIRECTORY.path().to_str().unwrap());
    let spec = COLLECTORS.iter().find(|spec| spec.name == "textfile").unwrap();
    let mut collector = (spec.build)(&Context::new(Root::default(), Arc::new(flags))).unwrap();
    let mut page = Page::new();
    collector.begin(Scrape { number: 1, deadline: Instant::now() + Duration::from_secs(5) });
    if collector.collect(&mut page).is_err() {
        return;
    }
    page.write_protobuf(&mut Vec::new());
    for format in [Format::Text004, Format::OpenMetrics100] {
        let mut text = String::new();
        page.write(format, &mut text);
        let mut seen = HashSet::new();
        for event in Parser::new(format, text.as_bytes()) {
            match event.unwrap_or_else(|error| panic!("{error} in\n{text}")) {
                Event::Sample(sample) => assert!(seen.insert(sample.series), "{} twice in\n{text}", sample.series),
                _ => {}
            }
        }
    }
});
