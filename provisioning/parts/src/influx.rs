//! InfluxDB 1.x.

use serde_json::Value;

use crate::http::{form, request};
use crate::machine::{eventually, free_port, program, root};
use crate::process::Process;

/// A real InfluxDB 1.x with a database `prometheus`, in a folder of its own.
pub struct Influx {
    // In this order: it ends before its folder goes.
    process: Option<Process>,
    dir: tempfile::TempDir,
    /// Where its HTTP API listens.
    pub address: String,
}

impl Influx {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let template = std::fs::read_to_string(root().join("provisioning/local/influxdb.conf.template")).unwrap();
        let config = template.replace("@DIR@", dir.path().to_str().unwrap()).replace("@ADDRESS@", &address);
        std::fs::write(dir.path().join("influxdb.conf"), config).unwrap();
        let mut influx = Self { dir, process: None, address };
        influx.resume();
        influx
    }

    /// Stops it, keeping its data.
    pub fn pause(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.terminate();
        }
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again on the same port, with the same data.
    pub fn resume(&mut self) {
        let config = self.dir.path().join("influxdb.conf");
        let process = Process::start(program("influxd"), &["-config", config.to_str().unwrap()]);
        self.process = Some(process);
        eventually(30, "InfluxDB answers", || {
            let q = form(&[("q", "CREATE DATABASE prometheus")]);
            match request("POST", &self.address, "/query", &q)? {
                (200, _) => Ok(()),
                (status, body) => Err(format!("{status}: {body}")),
            }
        });
    }

    /// Runs a query; gives `results[0].series`.
    pub fn query(&self, q: &str) -> Result<Vec<Value>, String> {
        let form = form(&[("db", "prometheus"), ("epoch", "ms"), ("q", q)]);
        let (_, answer) = request("POST", &self.address, "/query", &form)?;
        let answer: Value = serde_json::from_str(&answer).map_err(|e| format!("{e}: {answer}"))?;
        match answer["results"][0].get("error").or(answer.get("error")) {
            Some(error) => Err(error.to_string()),
            None => Ok(answer["results"][0]["series"].as_array().cloned().unwrap_or_default()),
        }
    }

    /// The names of all measurements, sorted.
    pub fn measurements(&self) -> Vec<String> {
        let series = self.query("SHOW MEASUREMENTS").unwrap_or_default();
        let rows = series.first().and_then(|s| s["values"].as_array().cloned()).unwrap_or_default();
        rows.iter().map(|row| row[0].as_str().unwrap().to_owned()).collect()
    }

    /// Every point of a measurement, as (time in ms, value), in time order, all series together.
    pub fn points(&self, measurement: &str) -> Vec<(i64, f64)> {
        let series = self.query(&format!("SELECT value FROM \"{measurement}\"")).unwrap_or_default();
        let rows = series.first().and_then(|s| s["values"].as_array().cloned()).unwrap_or_default();
        rows.iter().map(|row| (row[0].as_i64().unwrap(), row[1].as_f64().unwrap())).collect()
    }
}
