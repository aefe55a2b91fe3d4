//! GPUs on the pages, by a library that stands in for NVIDIA's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../gpu/tests/fake/mod.rs"]
mod fake;
mod running;

use std::time::Instant;

use fake::Library;
use running::{Agent, SOON, value};

const LABELS: &str = "gpu=\"0\",model=\"NVIDIA H100 80GB HBM3\",uuid=\"GPU-0000\"";

fn start(library: &Library, flags: &[&str]) -> Agent {
    let flag = format!("--collector.nvidia.library={}", library.path().display());
    Agent::start(&[&[flag.as_str()], flags].concat())
}

/// The outcome of a collector, of which a page shows one as 1.
fn outcome(page: &str, collector: &str) -> String {
    let start = format!("atalaia_collector_outcome{{collector=\"{collector}\",outcome=\"");
    let of = |line: &&str| line.starts_with(&start) && line.ends_with(" 1");
    let line = page.lines().find(of).unwrap_or_else(|| panic!("no outcome of {collector}"));
    line[start.len()..].split('"').next().unwrap().to_owned()
}

#[test]
fn both_roles_tell_of_them() {
    // This very process stands in for one that computes.
    let library = Library::make(&format!("use 0 {} 4096 40\n", std::process::id()));
    let agent = start(&library, &["--web.container-listen-address=127.0.0.1:0"]);
    let page = agent.get("/metrics");
    let page = page.text();
    assert_eq!(value(page, &format!("node_gpu_memory_total_bytes{{{LABELS}}}")), Some((80_u64 << 30) as f64));
    assert_eq!(value(page, &format!("node_gpu_up{{{LABELS}}}")), Some(1.0));
    assert_eq!(outcome(page, "nvidia"), "ok");
    assert!(!page.contains("container_accelerator_"), "they are on the other page");
    let containers = running::request(agent.containers.as_ref().unwrap(), "GET", "/metrics", &[]);
    let page = containers.text();
    let used: Vec<_> =
        page.lines().filter(|line| line.starts_with("container_accelerator_memory_used_bytes{")).collect();
    let [used] = used.as_slice() else { panic!("{used:?}") };
    assert!(used.contains("acc_id=\"GPU-0000\"") && used.contains("id=\"/") && used.ends_with(" 4096"), "{used}");
    assert!(!page.contains("node_gpu_"), "they are on the other page");
}

#[test]
fn they_are_turned_off_one_by_one() {
    let library = Library::make(&format!("use 0 {} 4096 40\n", std::process::id()));
    let agent = start(&library, &["--no-collector.nvidia"]);
    let page = agent.get("/metrics");
    assert!(!page.text().contains("node_gpu_") && page.text().contains("container_accelerator_duty_cycle{"));
    let agent = start(&library, &["--disable_metrics=accelerator"]);
    let page = agent.get("/metrics");
    assert!(page.text().contains("node_gpu_up{") && !page.text().contains("container_accelerator_"));
}

#[test]
fn a_driver_that_never_answers_costs_the_gpus_alone() {
    let library = Library::make("hang\n");
    let mut agent = start(&library, &[]);
    let hurry = [("X-Prometheus-Scrape-Timeout-Seconds", "2")];
    let page = agent.get_with("/metrics", &hurry);
    assert_eq!(page.status, 200);
    assert_eq!(outcome(page.text(), "nvidia"), "stuck");
    assert_eq!((outcome(page.text(), "cpu").as_str(), outcome(page.text(), "container").as_str()), ("ok", "ok"));
    assert!(value(page.text(), "node_load1").is_some() && !page.text().contains("node_gpu_"));
    agent.log_line("collector=nvidia");
    library.tell("");
    let since = Instant::now();
    while outcome(agent.get("/metrics").text(), "nvidia") != "ok" {
        assert!(since.elapsed() < SOON, "it does not come back");
    }
}

#[test]
fn a_gpu_that_is_lost_is_told_once() {
    let library = Library::make("lost 1\n");
    let mut agent = start(&library, &[]);
    for _ in 0..2 {
        let page = agent.get("/metrics");
        assert_eq!(value(page.text(), "node_gpu_up{gpu=\"1\"}"), Some(0.0));
        assert_eq!(value(page.text(), &format!("node_gpu_up{{{LABELS}}}")), Some(1.0));
        assert_eq!(outcome(page.text(), "nvidia"), "ok");
    }
    library.tell("");
    assert!(agent.get("/metrics").text().contains("node_gpu_up{gpu=\"1\",model="));
    agent.log_line("a GPU is back");
    let told = agent.process.log().matches("a GPU does not answer any more").count();
    assert_eq!(told, 1);
}

#[test]
fn a_library_that_was_named_and_is_none_is_a_failure() {
    let mut agent = Agent::start(&["--collector.nvidia.library=/nonexistent/libnvidia-ml.so.1"]);
    assert_eq!(outcome(agent.get("/metrics").text(), "nvidia"), "failed");
    let line = agent.log_line("collector=nvidia");
    assert!(line.contains("/nonexistent/libnvidia-ml.so.1"), "{line}");
}

#[test]
fn the_library_is_left_at_the_end() {
    let library = Library::make("");
    let mut agent = start(&library, &[]);
    assert!(agent.get("/metrics").text().contains("node_gpu_up"));
    assert!(agent.process.terminate().success());
    assert!(library.was_shut_down());
}
