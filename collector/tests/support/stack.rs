//! The main job on real parts: two InfluxDB, the agent, the collector, and containers with load in them.

use std::path::PathBuf;
use std::process::Command;

use super::{Influx, Process, agent_binary, collector_binary, eventually, get, root};

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

/// Both listeners of a running agent.
pub struct Agent {
    /// The process.
    pub process: Process,
    /// Where the node families are.
    pub node: String,
    /// Where the container families are.
    pub containers: String,
}

impl Agent {
    /// Starts one on free ports.
    pub fn start() -> Self {
        let args = ["--web.listen-address=127.0.0.1:0", "--web.container-listen-address=127.0.0.1:0"];
        let mut process = Process::start(agent_binary(), &args);
        let addresses = process.await_addresses(2);
        Self { process, node: addresses[0].clone(), containers: addresses[1].clone() }
    }
}

/// A collector with a folder of its own that outlives a kill.
pub struct Collector {
    dir: tempfile::TempDir,
    process: Option<Process>,
    /// Where its API listens, once it runs.
    pub address: String,
    flags: Vec<String>,
}

impl Collector {
    /// Starts one with this configuration.
    pub fn start(config: &str, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("prometheus.yml"), config).unwrap();
        let flags = flags.iter().map(|f| (*f).to_owned()).collect();
        let mut collector = Self { dir, process: None, address: String::new(), flags };
        collector.resume();
        collector
    }

    /// Its folder: `prometheus.yml` and `data/`.
    pub fn folder(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process.take().unwrap().kill();
    }

    /// The running process.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().unwrap()
    }

    /// Starts it (again), on a new port, over the same folder.
    pub fn resume(&mut self) {
        let mut args = vec![
            format!("--config.file={}", self.dir.path().join("prometheus.yml").display()),
            format!("--storage.tsdb.path={}", self.dir.path().join("data").display()),
            "--web.listen-address=127.0.0.1:0".to_owned(),
            "--storage.remote.flush-deadline=2s".to_owned(),
        ];
        args.extend(self.flags.iter().cloned());
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut process = Process::start(collector_binary(), &args);
        self.address = process.await_addresses(1).remove(0);
        self.process = Some(process);
        eventually(20, "the collector is ready", || get(&self.address, "/-/ready"));
    }
}

/// The seeds' kind of configuration: both listeners, the rules, one destination per database.
pub fn configuration(agent: &Agent, vms: &Influx, containers: &Influx) -> String {
    let rules = root().join("rules");
    format!(
        r#"
global:
  scrape_interval: 1s
  evaluation_interval: 1s
  external_labels: {{ monitor: docker-host-alpha }}
rule_files: ["{rules}/vms.rules.yml", "{rules}/containers.rules.yml"]
scrape_configs:
  - job_name: nodeexporter
    static_configs: [{{ targets: ["{node}"] }}]
  - job_name: cadvisor
    static_configs: [{{ targets: ["{cadvisor}"] }}]
remote_write:
  - url: http://{vms}/api/v1/prom/write?db=prometheus
    queue_config: {{ batch_send_deadline: 500ms, max_backoff: 1s }}
    write_relabel_configs: [{{ source_labels: [__name__], regex: "job_instance:.*", action: keep }}]
  - url: http://{containers}/api/v1/prom/write?db=prometheus
    queue_config: {{ batch_send_deadline: 500ms, max_backoff: 1s }}
    write_relabel_configs: [{{ source_labels: [__name__], regex: "job_container:.*", action: keep }}]
"#,
        rules = rules.display(),
        node = agent.node,
        cadvisor = agent.containers,
        vms = vms.address,
        containers = containers.address,
    )
}

/// A container that runs a shell script in Debian's static busybox; removed when the test lets go of it.
pub struct Container {
    /// Its name.
    pub name: String,
}

impl Container {
    /// Starts one from the image that the local stack's demo container is built from.
    pub fn start(purpose: &str, script: &str) -> Self {
        build_image();
        let name = format!("atalaia-test-{purpose}-{}", std::process::id());
        docker(&["run", "-d", "--name", &name, "--memory", "64m", IMAGE, script]);
        Self { name }
    }

    /// One field of `docker inspect`.
    pub fn inspect(&self, field: &str) -> String {
        docker(&["inspect", "-f", field, &self.name])
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f", &self.name]).output();
    }
}

const IMAGE: &str = "atalaia/demo:local";

fn build_image() {
    let script = root().join("provisioning/local/demo-container.sh");
    let output = Command::new(script).arg("image").output().unwrap();
    assert!(
        output.status.success(),
        "cannot build the image (does a Docker engine answer? provisioning/local/docker-engine.sh start): {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs the docker client; gives its trimmed output.
pub fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().expect("docker is not installed: make setup");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "docker {args:?} failed (no engine? provisioning/local/docker-engine.sh start): {error}"
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
