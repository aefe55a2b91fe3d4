//! The agent and the collector, as their binaries.

use std::path::{Path, PathBuf};

use crate::http::get;
use crate::influx::Influx;
use crate::machine::{eventually, root};
use crate::process::Process;

/// A running agent with a listener for each of its two pages.
pub struct Agent {
    /// The process.
    pub process: Process,
    /// Where the node families are.
    pub node: String,
    /// Where the container families are.
    pub containers: String,
}

impl Agent {
    /// Starts the binary on free ports.
    #[track_caller]
    pub fn start(binary: impl AsRef<Path>) -> Self {
        let args = ["--web.listen-address=127.0.0.1:0", "--web.container-listen-address=127.0.0.1:0"];
        let mut process = Process::start(binary, &args);
        let addresses = process.await_addresses(2);
        Self { process, node: addresses[0].clone(), containers: addresses[1].clone() }
    }
}

/// A collector with a folder of its own that outlives a kill.
pub struct Collector {
    binary: PathBuf,
    // In this order: it ends before its folder goes.
    process: Option<Process>,
    dir: tempfile::TempDir,
    /// Where its API listens, once it runs.
    pub address: String,
    flags: Vec<String>,
}

impl Collector {
    /// Starts the binary with this configuration and further flags.
    #[track_caller]
    pub fn start(binary: impl AsRef<Path>, config: &str, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("prometheus.yml"), config).unwrap();
        let flags = flags.iter().map(|f| (*f).to_owned()).collect();
        let binary = binary.as_ref().to_owned();
        let mut collector = Self { binary, dir, process: None, address: String::new(), flags };
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
    #[track_caller]
    pub fn resume(&mut self) {
        let mut args = vec![
            format!("--config.file={}", self.dir.path().join("prometheus.yml").display()),
            format!("--storage.tsdb.path={}", self.dir.path().join("data").display()),
            "--web.listen-address=127.0.0.1:0".to_owned(),
            "--storage.remote.flush-deadline=2s".to_owned(),
        ];
        args.extend(self.flags.iter().cloned());
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut process = Process::start(&self.binary, &args);
        self.address = process.await_addresses(1).remove(0);
        self.process = Some(process);
        eventually(20, "the collector is ready", || get(&self.address, "/-/ready"));
    }
}

/// The main job's `prometheus.yml`: both pages of the agent each second, the rules, one destination per database; and
/// further scrape jobs, written as items of `scrape_configs`.
pub fn configuration(agent: &Agent, vms: &Influx, containers: &Influx, jobs: &str) -> String {
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
{jobs}
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
