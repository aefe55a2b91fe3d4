//! The collector and a real Prometheus over the same exporter, rules and flags.

use provisioning_parts::{Collector, Prometheus, eventually, form, prom_query};

use crate::exporter::{Exporter, STEPS};
use crate::http::get;
use crate::support::collector;

/// Both, with the whole history stored in each.
pub struct Pair {
    /// The exporter.
    pub exporter: Exporter,
    /// The collector, which this suite is about.
    pub collector: Collector,
    /// Where Prometheus listens.
    pub prometheus: String,
    _prometheus: Prometheus,
    _dir: tempfile::TempDir,
}

const RULES: &str = r#"
groups:
  - name: records
    interval: 1s
    rules:
      - record: api:requests:sum
        expr: sum by (path) (api_requests_total)
        labels: { level: path }
      - record: api:half:temperature
        expr: api_temperature_celsius{room="south"} / 2
  - name: alerts
    interval: 1s
    limit: 10
    rules:
      - alert: Burning
        expr: vector(42.5) > 1
        keep_firing_for: 1m
        labels: { severity: page, room: "{{ $value }}" }
        annotations: { summary: "It is {{ $value | humanize }} degrees" }
      - alert: Smoking
        expr: vector(NaN)
        for: 1h
        labels: { severity: ticket }
      - alert: Quiet
        expr: vector(1) > 2
  - name: broken
    interval: 1s
    rules:
      - record: api:broken
        expr: api_requests_total * on (code) api_requests_total
  - name: nothing
    rules: []
"#;

impl Pair {
    /// Starts both and waits until both hold the whole history.
    pub fn start() -> Self {
        let exporter = Exporter::start();
        let dir = tempfile::tempdir().unwrap();
        let rules = dir.path().join("api.rules.yml");
        std::fs::write(&rules, RULES).unwrap();
        let config = format!(
            r#"
global: {{ scrape_interval: 100ms, scrape_timeout: 100ms, evaluation_interval: 1s, external_labels: {{ site: a }} }}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: synthetic
    static_configs: [{{ targets: ["{target}"], labels: {{ rack: r1 }} }}]
  - job_name: dead
    scrape_interval: 1s
    static_configs: [{{ targets: ["127.0.0.1:1"] }}]
  - job_name: dropped
    static_configs: [{{ targets: ["127.0.0.1:2"] }}]
    relabel_configs: [{{ source_labels: [__address__], regex: ".*:2", action: drop }}]
"#,
            rules = rules.display(),
            target = exporter.address,
        );
        let process = Prometheus::start(&config, &["--web.enable-lifecycle"]);
        let prometheus = process.address.clone();
        let collector = collector(&config, &["--web.enable-lifecycle"]);
        for address in [&prometheus, &collector.address] {
            eventually(60, "the whole history is stored", || {
                let asked = form(&[("query", "api_requests_total[1h]"), ("time", &exporter.at(STEPS, 0))]);
                let answer = provisioning_parts::get(address, &format!("/api/v1/query?{asked}"))?;
                let answer: serde_json::Value = serde_json::from_str(&answer).map_err(|e| e.to_string())?;
                let stored = answer["data"]["result"][0]["values"].as_array().map_or(0, Vec::len);
                let wanted = usize::try_from(STEPS).unwrap();
                if stored == wanted { Ok(()) } else { Err(format!("{address}: {stored} of {wanted} samples")) }
            });
            eventually(30, "rules are evaluated", || {
                let rows = prom_query(address, "ALERTS{alertname=\"Smoking\"} and on () api:half:temperature")?;
                let answer = get(address, "/api/v1/rules");
                let text = answer.text();
                if rows.len() == 1 && !text.contains("\"unknown\"") { Ok(()) } else { Err(text.to_owned()) }
            });
        }
        Self { exporter, collector, prometheus, _prometheus: process, _dir: dir }
    }
}
