//! The page in every format: negotiated as a real node_exporter negotiates, read by a real Prometheus.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod running;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use provisioning_parts::{Process, Prometheus, Start, eventually, free_port, get, program, send};
use running::{Agent, request, steady_agent, steady_series, value};

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

/// By Debian's own decoder.
#[test]
fn zstd_is_given_to_who_prefers_it() {
    let agent = Agent::start(&["--collector.disable-defaults", "--collector.loadavg"]);
    let coded = |accepted| agent.get_with("/metrics", &[("Accept-Encoding", accepted)]);
    assert_eq!(coded("deflate, gzip, br, zstd").header("content-encoding"), Some("gzip"));
    let answer = coded("zstd, gzip;q=0.5");
    assert_eq!(answer.header("content-encoding"), Some("zstd"));
    let mut decoder = Start::new(program("zstd")).args(["-d", "-c"]).with_input().spawn();
    decoder.say(&answer.body);
    decoder.close_input();
    assert!(decoder.await_exit().success(), "{}", decoder.log());
    assert!(value(&decoder.output(), "node_load1").is_some(), "{}", decoder.output());
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

#[test]
fn a_real_prometheus_reads_the_same_in_protobuf_and_in_text() {
    let dir = tempfile::tempdir().unwrap();
    let agent = steady_agent(dir.path(), &[]);
    let scraped = |flags: &[&str], content_type: &str| {
        let (address, seen) = relay(agent.address.clone());
        let config = format!(
            "global: {{scrape_interval: 1s}}\n\
             scrape_configs: [{{job_name: agent, static_configs: [{{targets: ['{address}']}}]}}]\n"
        );
        let prometheus = Prometheus::start(&config, flags);
        let stored = eventually(60, "a scrape", || {
            let stored = steady_series(&prometheus.address, "agent")?;
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
