//! `/metrics` of the collector, as promtool and a real Prometheus read it.

use std::io::Read;

use provisioning_parts::{Prometheus, eventually, prom_query, promtool_complaints};

use crate::http::{get, send};
use crate::support::collector;

const SELF: &str = r#"
global: { scrape_interval: 1s, evaluation_interval: 1s }
scrape_configs:
  - job_name: nobody
    static_configs: [{ targets: ["127.0.0.1:1"] }]
remote_write:
  - url: http://127.0.0.1:1/api/v1/write
"#;

#[test]
fn the_format_is_the_clients_choice() {
    let collector = collector(SELF, &[]);
    let plain = get(&collector.address, "/metrics");
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(plain.header("content-encoding"), None);
    assert!(plain.text().contains("# TYPE process_cpu_seconds_total counter\n"), "{}", plain.text());

    let accept = ("Accept", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5");
    let open = send("GET", &collector.address, "/metrics", &[accept], b"");
    assert_eq!(open.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(open.text().contains("# TYPE process_cpu_seconds counter\n") && open.text().ends_with("# EOF\n"));

    let packed = send("GET", &collector.address, "/metrics", &[accept, ("Accept-Encoding", "gzip")], b"");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.body.as_slice()).read_to_string(&mut text).unwrap();
    assert!(text.ends_with("# EOF\n") && packed.body.len() < text.len() / 2);
}

#[test]
fn promtool_accepts_the_page() {
    let collector = collector(SELF, &[]);
    let answer = get(&collector.address, "/metrics");
    let page = answer.text();
    assert!(page.lines().count() > 50, "{page}");
    assert_eq!(promtool_complaints(page.as_bytes()), Vec::<String>::new());
}

#[test]
fn a_real_prometheus_scrapes_it_without_a_warning() {
    let collector = collector(SELF, &[]);
    let config = format!(
        "global: {{ scrape_interval: 1s }}\nscrape_configs: [{{ job_name: c, static_configs: [{{ targets: [\"{}\"] }}] }}]",
        collector.address
    );
    let prometheus = Prometheus::start(&config, &[]);
    let listen = &prometheus.address;
    eventually(30, "three scrapes went well", || {
        let up = prom_query(listen, "sum_over_time(up[1m]) >= 3")?;
        let cpu = prom_query(listen, "process_cpu_seconds_total")?;
        if up.len() == 1 && cpu.len() == 1 { Ok(()) } else { Err(format!("{up:?} {cpu:?}")) }
    });
    assert_eq!(prometheus.troubles(), Vec::<String>::new());
    // It knows each family's kind: the OpenMetrics page was understood as such.
    let known = get(listen, "/api/v1/metadata?metric=process_cpu_seconds").json();
    assert_eq!(known["data"]["process_cpu_seconds"][0]["type"], "counter", "{known}");
}
