//! Collectors run over a fixture tree or this machine.

#![allow(dead_code, reason = "each test uses what it needs")]

pub mod readers;

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
        self.run_within(number, Duration::from_secs(30))
    }

    /// Collects once, with that much time to do so.
    pub fn run_within(&mut self, number: u64, left: Duration) -> Run {
        let mut page = Page::new();
        self.collector.begin(Scrape { number, deadline: Instant::now() + left });
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

/// Whether a collector runs without being asked for. But GPUs: a library of this machine tells of them, no fixture.
pub fn is_on_by_default(name: &str) -> bool {
    COLLECTORS.iter().any(|spec| spec.name == name && spec.default_on && name != "nvidia")
}

/// Builds the collectors that are on by default and collects once.
pub fn run(root: &Root, flags: &[(&str, &str)]) -> Vec<Run> {
    run_those(root, flags, is_on_by_default)
}

/// Builds the collectors of those names and collects once.
pub fn run_those(root: &Root, flags: &[(&str, &str)], wanted: impl Fn(&str) -> bool) -> Vec<Run> {
    build(root, flags, wanted).iter_mut().map(|built| built.run(1)).collect()
}

/// What collectors that are off by default need to be told, or else they find nothing.
pub const CHOSEN: &[(&str, &str)] = &[
    ("collector.sysctl.include", "kernel.pid_max"),
    ("collector.sysctl.include", "net.ipv4.tcp_rmem"),
    ("collector.sysctl.include", "net.ipv4.ip_local_port_range:low,high"),
    ("collector.sysctl.include-info", "kernel.ostype"),
    ("collector.sysctl.include-info", "net.ipv4.tcp_allowed_congestion_control"),
];
