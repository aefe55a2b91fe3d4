//! Beside a real Prometheus: it scrapes the agent without a warning and remote-writes into the collector, which
//! then answers with the same values.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeMap;

use provisioning_parts::{Prometheus, eventually, form, prom_query, request};
use support::collector;

/// One sample per label set, newest first in time, as (labels without `job` of the writer, time, value).
fn instant(address: &str, query: &str, at: &str) -> BTreeMap<String, String> {
    let body = form(&[("query", query), ("time", at)]);
    let (_, text) = request("POST", address, "/api/v1/query", &body).unwrap();
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    let rows = answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{text}")).clone();
    rows.iter().map(|row| (row["metric"].to_string(), row["value"][1].to_string())).collect()
}

#[test]
fn prometheus_scrapes_the_agent_and_writes_into_the_collector() {
    let agent = support::agent();
    let own = "global: { scrape_interval: 1s, evaluation_interval: 1s }";
    let collector = collector(own, &["--web.enable-remote-write-receiver"]);
    let config = format!(
        r#"
global: {{ scrape_interval: 1s, scrape_timeout: 1s }}
scrape_configs:
  - job_name: agent
    static_configs: [{{ targets: ["{}", "{}"] }}]
remote_write:
  - url: http://{}/api/v1/write
"#,
        agent.node, agent.containers, collector.address
    );
    let prometheus = Prometheus::start(&config, &[]);
    let listen = &prometheus.address;

    eventually(30, "both pages are up in Prometheus", || {
        let up = prom_query(listen, "up == 1")?;
        if up.len() == 2 { Ok(()) } else { Err(format!("{up:?}")) }
    });
    eventually(30, "series arrive in the collector", || {
        let cpus = prom_query(&collector.address, "count(node_cpu_seconds_total)")?;
        let containers = prom_query(&collector.address, "count(container_memory_usage_bytes)")?;
        if cpus.is_empty() || containers.is_empty() { Err("not yet".to_owned()) } else { Ok(()) }
    });

    // A moment that both have in full: some scrapes after the first, and some before the newest.
    std::thread::sleep(std::time::Duration::from_secs(4));
    let written = "max(timestamp(node_time_seconds))";
    let at = eventually(30, "a common moment", || {
        let rows = prom_query(&collector.address, written)?;
        let at: f64 = rows.first().ok_or("none")?["value"][1].as_str().unwrap().parse().unwrap();
        Ok(at)
    });
    std::thread::sleep(std::time::Duration::from_secs(3));
    let at = format!("{:.3}", at - 0.2);
    for query in
        ["{job=\"agent\",__name__=~\"node_(memory|load|vmstat|cpu).*\"}", "sum by (id) (container_memory_usage_bytes)"]
    {
        let (theirs, ours) = (instant(listen, query, &at), instant(&collector.address, query, &at));
        assert!(!theirs.is_empty(), "{query} at {at} is empty in Prometheus");
        assert_eq!(ours, theirs, "{query} at {at}");
    }

    assert_eq!(prometheus.troubles(), Vec::<String>::new(), "Prometheus must have nothing to complain about");
}
