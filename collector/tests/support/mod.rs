//! The two binaries of the main job, and the names of what it delivers.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::path::PathBuf;

use provisioning_parts::{Agent, Collector};

/// The collector under test.
pub fn collector_binary() -> PathBuf {
    env!("CARGO_BIN_EXE_atalaia-collector").into()
}

/// Starts the agent that was built beside the collector.
pub fn agent() -> Agent {
    Agent::start(provisioning_parts::binary("atalaia-agent"))
}

/// Starts the collector with this configuration and further flags.
pub fn collector(config: &str, flags: &[&str]) -> Collector {
    Collector::start(collector_binary(), config, flags)
}

/// The four series of the VM database.
pub const VM_SERIES: [&str; 4] = [
    "job_instance:cpu_usage_per_instance:avg_rate5m",
    "job_instance:memory_usage_per_instance",
    "job_instance:network_rx_per_instance:avg_rate5m",
    "job_instance:network_tx_per_instance:avg_rate5m",
];

/// The four series of the container database.
pub const CONTAINER_SERIES: [&str; 4] = [
    "job_container:cpu_usage_per_container:avg_rate5m",
    "job_container:memory_usage_per_container",
    "job_container:network_rx_per_container:sum_rate5m",
    "job_container:network_tx_per_container:sum_rate5m",
];
