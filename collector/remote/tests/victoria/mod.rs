//! VictoriaMetrics, which takes remote write and line protocol.

use provisioning_parts::{Process, eventually, form, free_port, get, program};

/// A running one, in a folder of its own.
pub struct VictoriaMetrics {
    // In this order: it ends before its folder goes.
    _process: Process,
    _dir: tempfile::TempDir,
    pub address: String,
}

impl VictoriaMetrics {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let process = Process::start(
            program("victoria-metrics"),
            &[
                &format!("-storageDataPath={}", dir.path().join("data").display()),
                &format!("-httpListenAddr={address}"),
                "-retentionPeriod=100y",
                "-influxSkipSingleField",
            ],
        );
        eventually(60, "VictoriaMetrics answers", || get(&address, "/health"));
        Self { _process: process, _dir: dir, address }
    }

    /// All that it holds: labels and samples of each series.
    pub fn export(&self) -> Vec<serde_json::Value> {
        get(&self.address, "/internal/force_flush").unwrap();
        let asked = form(&[("match[]", "{__name__!=\"\"}"), ("start", "0")]);
        let text = get(&self.address, &format!("/api/v1/export?{asked}")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
