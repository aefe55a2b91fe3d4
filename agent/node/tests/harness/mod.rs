//! Collectors run over a fixture tree or this machine.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_exposition::{Format, Page};
use agent_node::collectors::COLLECTORS;
use agent_node::{CollectError, Context, Flags, Outcome, Scrape};
use agent_procfs::Root;

/// What one collector gave.
pub struct Run {
    pub name: &'static str,
    pub result: Result<Outcome, CollectError>,
    pub text: String,
}

/// The trees below a directory laid out as `tests/fixtures`.
pub fn root_at(fixtures: &Path) -> Root {
    Root {
        procfs: fixtures.join("proc"),
        sysfs: fixtures.join("sys"),
        rootfs: fixtures.join("rootfs"),
        udev_data: fixtures.join("udev"),
    }
}

/// Builds all collectors with the flags and collects once. A collector that fails leaves no text, as in the agent.
pub fn run(root: &Root, flags: &[(&str, &str)]) -> Vec<Run> {
    let mut given = Flags::default();
    for (name, value) in flags {
        given.push(*name, *value);
    }
    let context = Context::new(root.clone(), Arc::new(given));
    let scrape = Scrape { number: 1, deadline: Instant::now() + Duration::from_secs(30) };
    let run = |spec: &&agent_node::Spec| {
        let mut collector = (spec.build)(&context).unwrap();
        let mut page = Page::new();
        collector.begin(scrape);
        let result = collector.collect(&mut page);
        let mut text = String::new();
        if result.is_ok() {
            page.write(Format::Text004, &mut text);
        }
        Run { name: spec.name, result, text }
    };
    COLLECTORS.iter().map(run).collect()
}
