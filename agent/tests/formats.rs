//! The page in every format: negotiated as a real node_exporter negotiates, read by a real Prometheus.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod running;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use provisioning_parts::{Process, Prometheus, eventually, free_port, get, program, prom_query, send};
use running::{Agent, copy_proc, request};

const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

/// What is asked of both. OpenMetrics is not among it: node_exporter does not serve it.
const ACCEPT: &[&str] = &[
    "",
    "*/*",
    "text/plain",
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "application/*",
    "PROTOBUF",
    "PROTOBUF;q=0.5,*/*",
    "PROTOBUF;q=0.5,text/plain;version=0.0.4",
    "PROTOBUF;q=0.1,text/plain;version=1.0.0",
    "PROTOBUF;q=0.1,text/plain;q=0.1",
    "text/plain;q=0.1,PROTOBUF;q=0.1",
    "PROTOBUF;escaping=allow-utf-8",
    "PROTOBUF;q=0.6,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    "application/vnd.google.protobuf",
    "application/vnd.google.protobuf;proto=another.Message;encoding=delimited,text/plain;q=0.1",
];

#[test]
fn content_types_are_those_of_node_exporter() {
    let agent = Agent::start(&["--collector.disable-defaults", "--collector.loadavg"]);
    let theirs = format!("127.0.0.1:{}", free_port());
    let flags = ["--collector.disable-defaults", "--collector.loadavg", &format!("--web.listen-address={theirs}")];
    let _node_exporter = Process::start(program("prometheus-node-exporter"), &flags);
    eventually(30, "node_exporter answers", || get(&theirs, "/metrics"));
    for accept in ACCEPT {
        let accept = accept.replace("PROTOBUF", PROTOBUF);
        let content_type = |address: &str, coding: &str| {
            let answer = request(address, "GET", "/metrics", &[("Accept", &accept), ("Accept-Encoding", coding)]);
            let header = |name| answer.header(name).map(str::to_owned);
            (header("content-type"), header("content-encoding"))
        };
        for coding in ["", "identity", "gzip", "deflate, gzip, br", "*", "br"] {
            assert_eq!(content_type(&agent.address, coding), content_type(&theirs, coding), "{accept:?} {coding:?}");
        }
    }
}

/// Between a Prometheus and the agent; remembers which types of content went through.
fn relay(agent: String) -> (String, Arc<Mutex<BTreeSet<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let memory = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Prometheus that goes away in the middle ends this connection alone.
            let _ = pass_on(stream, &agent, &memory);
        }
    });
    (address, seen)
}

fn pass_on(mut stream: TcpStream, agent: &str, seen: &Mutex<BTreeSet<String>>) -> std::io::Result<()> {
    let mut accept = String::new();
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("accept")
        {
            value.trim().clone_into(&mut accept);
        }
    }
    let answer = send("GET", agent, "/metrics", &[("Accept", &accept)], b"").expect("the agent answers");
    let content_type = answer.header("content-type").unwrap();
    seen.lock().unwrap().insert(content_type.to_owned());
    let length = answer.body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
    )?;
    stream.write_all(&answer.body)
}

const TEXTFILE: &str = "\
# HELP job_seconds How long \\\\ it took.\n# TYPE job_seconds histogram\n\
job_seconds_bucket{job_name=\"a\",le=\"0.5\"} 3\njob_seconds_bucket{job_name=\"a\",le=\"1\"} 4\n\
job_seconds_bucket{job_name=\"a\",le=\"+Inf\"} 5\njob_seconds_sum{job_name=\"a\"} 7.25\n\
job_seconds_count{job_name=\"a\"} 5\n\
# TYPE lag summary\nlag{quantile=\"0.5\"} 0.25\nlag{quantile=\"0.99\"} NaN\nlag_sum 17\nlag_count 4\n\
# TYPE odd_total counter\nodd_total{path=\"C:\\\\a\",say=\"\\\"hi\\\"\\n\",who=\"é\"} 1e+300\n\
# TYPE low gauge\nlow -Inf\nuntyped_thing{a=\"\"} -0.125\n";

/// Series, without the labels of the target, and the bits of their values; without what differs from scrape to scrape.
fn stored(address: &str) -> Result<BTreeMap<String, u64>, String> {
    let changing = "process_.*|promhttp_.*|scrape_.*|.*_collector_duration_seconds|go_.*";
    let rows = prom_query(address, &format!("{{job=\"agent\",__name__!~\"{changing}\"}}"))?;
    let series = |row: &serde_json::Value| {
        let mut labels: BTreeMap<String, String> = serde_json::from_value(row["metric"].clone()).unwrap();
        labels.remove("instance");
        let value: f64 = row["value"][1].as_str().unwrap().parse().unwrap();
        (format!("{labels:?}"), value.to_bits())
    };
    Ok(rows.iter().map(series).collect())
}

#[test]
fn a_real_prometheus_reads_the_same_in_protobuf_and_in_text() {
    let dir = tempfile::tempdir().unwrap();
    let (proc, textfiles) = (dir.path().join("proc"), dir.path().join("textfiles"));
    // What does not change: the machine's own files, copied.
    copy_proc(&proc, &["meminfo", "loadavg", "stat", "vmstat", "net/dev", "net/netstat", "net/snmp", "diskstats"]);
    std::fs::create_dir(&textfiles).unwrap();
    std::fs::write(textfiles.join("all.prom"), TEXTFILE).unwrap();
    let agent = Agent::start(&[
        "--collector.disable-defaults",
        "--collector.meminfo",
        "--collector.loadavg",
        "--collector.vmstat",
        "--collector.netstat",
        "--collector.textfile",
        &format!("--collector.textfile.directory={}", textfiles.display()),
        &format!("--path.procfs={}", proc.display()),
    ]);
    let scraped = |flags: &[&str], content_type: &str| {
        let (address, seen) = relay(agent.address.clone());
        let config = format!(
            "global: {{scrape_interval: 1s}}\n\
             scrape_configs: [{{job_name: agent, static_configs: [{{targets: ['{address}']}}]}}]\n"
        );
        let prometheus = Prometheus::start(&config, flags);
        let stored = eventually(60, "a scrape", || {
            let stored = stored(&prometheus.address)?;
            if stored.len() > 1 { Ok(stored) } else { Err(format!("{stored:?} {:?}", prometheus.troubles())) }
        });
        assert_eq!(prometheus.troubles(), Vec::<String>::new());
        let seen: Vec<_> = seen.lock().unwrap().iter().cloned().collect();
        assert!(seen.len() == 1 && seen[0].starts_with(content_type), "{seen:?}");
        stored
    };
    let text = scraped(&[], "application/openmetrics-text");
    let protobuf = scraped(&["--enable-feature=native-histograms"], "application/vnd.google.protobuf");
    assert!(text.len() > 100, "{}", text.len());
    assert!(text.keys().any(|series| series.contains("job_seconds_bucket")), "{text:?}");
    assert_eq!(protobuf, text);
}
