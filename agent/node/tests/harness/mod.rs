//! Collectors run over a fixture tree or this machine.

#![allow(dead_code, reason = "each test uses what it needs")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_exposition::{Format, Page};
use agent_node::collectors::COLLECTORS;
use agent_node::{CollectError, Collector, Context, Flags, Outcome, Scrape, Spec};
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

/// A collector that has been built.
pub struct Built {
    pub name: &'static str,
    collector: Box<dyn Collector>,
}

impl Built {
    /// Collects once. A collector that fails leaves no text, as in the agent.
    pub fn run(&mut self, number: u64) -> Run {
        let mut page = Page::new();
        self.collector.begin(Scrape { number, deadline: Instant::now() + Duration::from_secs(30) });
        let result = self.collector.collect(&mut page);
        let mut text = String::new();
        if result.is_ok() {
            page.write(Format::Text004, &mut text);
        }
        Run { name: self.name, result, text }
    }
}

/// Builds the collectors of those names with the flags.
pub fn build(root: &Root, flags: &[(&str, &str)], wanted: impl Fn(&str) -> bool) -> Vec<Built> {
    let mut given = Flags::default();
    for (name, value) in flags {
        given.push(*name, *value);
    }
    let context = Context::new(root.clone(), Arc::new(given));
    let built = |spec: &&Spec| Built { name: spec.name, collector: (spec.build)(&context).unwrap() };
    COLLECTORS.iter().filter(|spec| wanted(spec.name)).map(built).collect()
}

/// Builds all collectors and collects once.
pub fn run(root: &Root, flags: &[(&str, &str)]) -> Vec<Run> {
    build(root, flags, |_| true).iter_mut().map(|built| built.run(1)).collect()
}
