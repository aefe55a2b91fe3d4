//! Prometheus's own tools read the agent's pages.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod running;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use running::{Agent, SOON, request};

/// What promtool has against the names that node_exporter and cAdvisor chose: the beginning of the name, and the
/// complaint. Anything else is our mistake.
const KNOWN: &[(&str, &str)] = &[
    ("node_memory_", "metric names should be written in 'snake_case' not 'camelCase'"),
    ("node_netstat_", "metric names should be written in 'snake_case' not 'camelCase'"),
    ("node_sockstat_", "metric names should be written in 'snake_case' not 'camelCase'"),
    ("node_entropy_", "use base unit \"bytes\" instead of \"bits\""),
    ("container_fs_inodes_total", "non-counter metrics should not have \"_total\" suffix"),
    ("cadvisor_version_info", "label names should be written in 'snake_case' not 'camelCase'"),
    ("container_memory_failcnt", "counter metrics should have \"_total\" suffix"),
];

#[test]
fn promtool_has_nothing_new_to_say() {
    let agent = Agent::start(&["--web.container-listen-address=127.0.0.1:0"]);
    for address in [&agent.address, agent.containers.as_ref().unwrap()] {
        let page = request(address, "GET", "/metrics", &[]);
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("no promtool here: apt-get install prometheus");
        promtool.stdin.take().unwrap().write_all(&page.body).unwrap();
        let output = promtool.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        let known = |line: &str| KNOWN.iter().any(|(name, text)| line.starts_with(name) && line.ends_with(text));
        let new: Vec<_> = said.lines().filter(|line| !line.is_empty() && !known(line)).collect();
        assert!(new.is_empty(), "{}", new.join("\n"));
    }
}

/// It asks for OpenMetrics, so this is about that format, as promtool is about the text.
#[test]
fn a_real_prometheus_scrapes_without_a_warning() {
    let agent = Agent::start(&["--web.container-listen-address=127.0.0.1:0"]);
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: node\n  static_configs: [{{targets: ['{}']}}]\n\
         - job_name: containers\n  static_configs: [{{targets: ['{}']}}]\n",
        agent.address,
        agent.containers.as_ref().unwrap(),
    );
    let file = folder.path().join("prometheus.yml");
    std::fs::write(&file, config).unwrap();
    let mut prometheus = Command::new("prometheus")
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .args(["--web.listen-address=127.0.0.1:0", "--log.format=logfmt"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("no prometheus here: apt-get install prometheus");
    let log = BufReader::new(prometheus.stderr.take().unwrap());
    let (lines, from_log) = std::sync::mpsc::channel();
    std::thread::spawn(move || log.lines().map_while(Result::ok).for_each(|line| drop(lines.send(line))));
    let deadline = Instant::now() + SOON;
    let mut address = None;
    let mut seen = Vec::new();
    // Each target twice at least: doubled series and such are told at the first scrape, changes at the second.
    let scraped = |address: &str| {
        let query = "count_over_time(up%5B1m%5D)%3E%3D2%20and%20up%3D%3D1";
        let answer = request(address, "GET", &format!("/api/v1/query?query={query}"), &[]);
        answer.text().matches("\"job\":").count()
    };
    loop {
        seen.extend(from_log.try_iter());
        let listening = seen.iter().find(|line| line.contains("msg=\"Listening on\""));
        address = address.or_else(|| Some(listening?.split("address=").nth(1)?.split(' ').next()?.to_owned()));
        if address.as_deref().is_some_and(|address| scraped(address) >= 2) {
            break;
        }
        assert!(Instant::now() < deadline, "not scraped twice: {}", seen.join("\n"));
        std::thread::sleep(Duration::from_millis(50));
    }
    prometheus.kill().unwrap();
    prometheus.wait().unwrap();
    seen.extend(from_log.iter());
    let bad: Vec<_> = seen.iter().filter(|line| line.contains("level=warn") || line.contains("level=error")).collect();
    assert!(bad.is_empty(), "{bad:?}");
}
