//! Prometheus's own tools read the agent's pages.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod running;

use provisioning_parts::{Prometheus, eventually, prom_query, promtool_complaints};
use running::{Agent, request};

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
    ("container_hugetlb_failcnt", "counter metrics should have \"_total\" suffix"),
    ("container_memory_bandwidth_", "counter metrics should have \"_total\" suffix"),
    ("container_cpu_load_d_average_10s", "metric names should not contain abbreviated units"),
    ("machine_dimm_count", "non-histogram and non-summary metrics should not have \"_count\" suffix"),
    ("machine_node_hugepages_count", "non-histogram and non-summary metrics should not have \"_count\" suffix"),
    ("machine_thread_siblings_count", "non-histogram and non-summary metrics should not have \"_count\" suffix"),
    ("container_network_tcp_usage_total", "non-counter metrics should not have \"_total\" suffix"),
    ("container_network_tcp6_usage_total", "non-counter metrics should not have \"_total\" suffix"),
    ("container_network_udp_usage_total", "non-counter metrics should not have \"_total\" suffix"),
    ("container_network_udp6_usage_total", "non-counter metrics should not have \"_total\" suffix"),
];

/// Every set of containers' metrics.
const ALL_SETS: &str = "--enable_metrics=advtcp,cpu,cpuLoad,cpu_topology,cpuset,disk,diskIO,hugetlb,memory,memory_numa,\
    network,oom_event,percpu,pressure,process,referenced_memory,resctrl,sched,tcp,udp,log,volume,bind";

#[track_caller]
fn check_nothing_new(page: &[u8]) {
    let said = promtool_complaints(page);
    let known = |line: &str| KNOWN.iter().any(|(name, text)| line.starts_with(name) && line.ends_with(text));
    let new: Vec<_> = said.iter().filter(|line| !known(line)).collect();
    assert!(new.is_empty(), "{new:#?}");
}

/// On this machine, and on the fixtures, which have what this machine lacks.
#[test]
fn promtool_has_nothing_new_to_say_of_all_sets() {
    let agent = Agent::start(&["--web.container-listen-address=127.0.0.1:0", "--enable_load_reader", ALL_SETS]);
    let page = request(agent.containers.as_ref().unwrap(), "GET", "/metrics", &[]);
    assert!(String::from_utf8_lossy(&page.body).contains("container_network_advance_tcp_stats_total"));
    check_nothing_new(&page.body);
    check_nothing_new(include_bytes!("../container/tests/golden/v1_all.prom"));
    check_nothing_new(include_bytes!("../container/tests/golden/v2_all.prom"));
}

#[test]
fn promtool_has_nothing_new_to_say() {
    let agent = Agent::start(&["--web.container-listen-address=127.0.0.1:0"]);
    for address in [&agent.address, agent.containers.as_ref().unwrap()] {
        check_nothing_new(&request(address, "GET", "/metrics", &[]).body);
    }
}

/// It asks for OpenMetrics, so this is about that format, as promtool is about the text.
#[test]
fn a_real_prometheus_scrapes_without_a_warning() {
    let agent = Agent::start(&["--web.container-listen-address=127.0.0.1:0"]);
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: node\n  static_configs: [{{targets: ['{}']}}]\n\
         - job_name: containers\n  static_configs: [{{targets: ['{}']}}]\n",
        agent.address,
        agent.containers.as_ref().unwrap(),
    );
    let prometheus = Prometheus::start(&config, &[]);
    // Each target twice at least: doubled series and such are told at the first scrape, changes at the second.
    eventually(20, "both pages are scraped twice", || {
        let rows = prom_query(&prometheus.address, "count_over_time(up[1m]) >= 2 and up == 1")?;
        if rows.len() == 2 { Ok(()) } else { Err(format!("{rows:?} {:?}", prometheus.troubles())) }
    });
    assert_eq!(prometheus.troubles(), Vec::<String>::new());
}
