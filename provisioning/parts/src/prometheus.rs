//! The real Prometheus and its tool, as oracles.

use serde_json::Value;

use crate::http::{form, get, request};
use crate::machine::{eventually, program};
use crate::process::{Process, Start};

/// A real Prometheus in a folder of its own.
pub struct Prometheus {
    // In this order: it ends before its folder goes.
    process: Process,
    _dir: tempfile::TempDir,
    /// Where its API listens.
    pub address: String,
}

impl Prometheus {
    /// Starts one with this `prometheus.yml` and further flags, and waits until it is ready.
    #[track_caller]
    pub fn start(config: &str, flags: &[&str]) -> Self {
        Self::over(tempfile::tempdir().unwrap(), config, flags)
    }

    /// The same in a folder where `data/` may hold blocks already.
    #[track_caller]
    pub fn over(dir: tempfile::TempDir, config: &str, flags: &[&str]) -> Self {
        std::fs::write(dir.path().join("prometheus.yml"), config).unwrap();
        let mut process = Start::new(program("prometheus"))
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .args(["--web.listen-address=127.0.0.1:0", "--log.format=logfmt"])
            .args(flags)
            .folder(dir.path())
            .spawn();
        let address = process.await_log("address", |log| {
            let line = log.lines().find(|line| line.contains("msg=\"Listening on\""))?;
            Some(line.split("address=").nth(1)?.split(' ').next()?.to_owned())
        });
        eventually(30, "Prometheus is ready", || get(&address, "/-/ready"));
        Self { process, _dir: dir, address }
    }

    /// The warnings and errors in its log so far.
    pub fn troubles(&self) -> Vec<String> {
        let log = self.process.log();
        let lines = log.lines().filter(|line| line.contains("level=warn") || line.contains("level=error"));
        lines.map(str::to_owned).collect()
    }
}

/// An instant query to a Prometheus API; gives `data.result`.
pub fn prom_query(address: &str, query: &str) -> Result<Vec<Value>, String> {
    let (status, body) = request("POST", address, "/api/v1/query", &form(&[("query", query)]))?;
    let answer: Value = serde_json::from_str(&body).map_err(|e| format!("{status}: {e}: {body}"))?;
    if answer["status"] != "success" {
        return Err(body);
    }
    Ok(answer["data"]["result"].as_array().cloned().unwrap_or_default())
}

/// What `promtool check metrics` has against a page in the text format, one complaint a line.
#[track_caller]
pub fn promtool_complaints(page: &[u8]) -> Vec<String> {
    let mut promtool = Start::new(program("promtool")).args(["check", "metrics"]).with_input().spawn();
    promtool.say(page);
    promtool.close_input();
    let status = promtool.await_exit();
    let said = promtool.output() + &promtool.log();
    let complaints: Vec<_> = said.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    assert!(status.success() || !complaints.is_empty(), "promtool ended with {status} and said nothing");
    complaints
}
