//! What a person sees who gives the collector something wrong: one clear line, the right exit or HTTP status, and
//! nothing lost.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output};

use provisioning_parts::{Process, eventually, get, prom_query, request};
use support::{collector, collector_binary};

fn run(config: &str, flags: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("prometheus.yml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(collector_binary());
    for default in [
        format!("--config.file={}", file.display()),
        format!("--storage.tsdb.path={}", dir.path().join("data").display()),
        "--web.listen-address=127.0.0.1:0".to_owned(),
    ] {
        let name = default.split('=').next().unwrap();
        if !flags.iter().any(|flag| flag.starts_with(name)) {
            command.arg(default);
        }
    }
    command.args(flags).output().unwrap()
}

/// The collector must refuse to start, in one line that holds all of `wanted`.
#[track_caller]
fn refused(config: &str, flags: &[&str], wanted: &[&str]) {
    let output = run(config, flags);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it started with {config}");
    let line = said.lines().find(|line| wanted.iter().all(|w| line.contains(w)));
    assert!(line.is_some(), "wanted {wanted:?} in one line of:\n{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_wrong_configuration_is_refused_with_file_line_and_key() {
    refused("global:\n  scrape_intervall: 5s\n", &[], &["prometheus.yml:2", "scrape_intervall"]);
    let of_lines = "global: {a\n\n  b: 1}\n";
    refused(of_lines, &[], &["prometheus.yml:1", "unknown field `a b`", "expected one of `scrape_interval`"]);
    refused("scrape_configs:\n  - job_name: a\n    scrape_interval: 5 s\n", &[], &["prometheus.yml", "5 s"]);
    refused("scrape_configs:\n  - job_name: a\n  - job_name: a\n", &[], &["a"]);
    refused(
        "scrape_configs:\n  - job_name: a\n    scrape_interval: 1s\n    scrape_timeout: 2s\n",
        &[],
        &["timeout", "a"],
    );
    refused("remote_write:\n  - url: not a url\n", &[], &["prometheus.yml", "remote_write: url"]);
    refused("rule_files: [missing.yml]\nglobal: [\n", &[], &["prometheus.yml"]);
    let role = "scrape_configs:\n  - job_name: a\n    dockerswarm_sd_configs: [{ host: 'unix:///s', role: service }]\n";
    refused(role, &[], &["prometheus.yml:2", "service", "is none of services, tasks and nodes"]);
    let both =
        "remote_write:\n  - url: http://x/\n    basic_auth: { username: a }\n    authorization: { credentials: b }\n";
    refused(both, &[], &["at most one"]);
}

#[test]
fn a_wrong_flag_is_refused() {
    refused("", &["--no-such-flag"], &["--no-such-flag"]);
    refused("", &["--storage.tsdb.retention.time=soon"], &["soon"]);
    refused("", &["--web.listen-address=nowhere"], &["nowhere"]);
    refused("", &["--web.route-prefix=/{a"], &["--web.route-prefix", "/{a"]);
    refused("", &["--web.external-url=here", "--web.route-prefix=/"], &["--web.external-url", "here"]);
    let not_text: &OsStr = OsStrExt::from_bytes(b"--config.file=\xff");
    let output = Command::new(collector_binary()).arg(not_text).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && said.contains("is not UTF-8"), "{said}");
}

#[test]
fn a_missing_configuration_and_a_busy_port_are_named() {
    let output = Command::new(collector_binary()).arg("--config.file=/no/such/file.yml").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("/no/such/file.yml"), "{said}");

    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("c.yml"), "").unwrap();
    let output = Command::new(collector_binary())
        .arg(format!("--config.file={}", dir.path().join("c.yml").display()))
        .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains(&address), "{said}");
}

#[test]
fn a_second_collector_over_the_same_folder_is_refused() {
    let collector = collector("", &[]);
    let data = collector.folder().join("data");
    refused("", &[&format!("--storage.tsdb.path={}", data.display())], &[&data.display().to_string()]);
}

#[test]
fn a_reload_applies_a_new_file_or_keeps_the_old_one_and_says_why() {
    let mut collector = collector("global: { external_labels: { version: one } }", &["--web.enable-lifecycle"]);
    let address = collector.address.clone();
    let file = collector.folder().join("prometheus.yml");
    let loaded = |address: &str| get(address, "/api/v1/status/config").unwrap();
    assert!(loaded(&address).contains("one"));

    std::fs::write(&file, "global: { external_labels: { version: two } }\nscrape_confgs: []\n").unwrap();
    let (status, body) = request("POST", &address, "/-/reload", "").unwrap();
    assert_eq!(status, 500, "{body}");
    assert!(body.contains("scrape_confgs") && body.contains("prometheus.yml:2"), "{body}");
    assert!(loaded(&address).contains("one"), "the old configuration stays");
    assert!(get(&address, "/metrics").unwrap().contains("prometheus_config_last_reload_successful 0"));

    // What the file names is checked with it.
    let rules = "groups:\n- name: g\n  rules:\n  - record: a\n    expr: sum(\n";
    std::fs::write(collector.folder().join("bad.rules.yml"), rules).unwrap();
    let naming = "global: { external_labels: { version: two } }\nrule_files: ['*.rules.yml']\n";
    std::fs::write(&file, naming).unwrap();
    let (status, body) = request("POST", &address, "/-/reload", "").unwrap();
    assert!(status == 500 && body.contains("bad.rules.yml:5") && body.contains("expr"), "{body}");
    assert!(loaded(&address).contains("one"), "the old configuration stays");

    std::fs::write(&file, "global: { external_labels: { version: two } }\n").unwrap();
    assert_eq!(request("POST", &address, "/-/reload", "").unwrap().0, 200);
    assert!(loaded(&address).contains("two"));
    assert!(get(&address, "/metrics").unwrap().contains("prometheus_config_last_reload_successful 1"));

    std::fs::write(&file, "global: { external_labels: { version: three } }\n").unwrap();
    let pid = collector.process().pid().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    eventually(10, "SIGHUP reloads", || {
        let text = loaded(&address);
        if text.contains("three") { Ok(()) } else { Err(text) }
    });
}

#[test]
fn lifecycle_is_closed_unless_it_is_opened() {
    let collector = collector("", &[]);
    assert_eq!(request("POST", &collector.address, "/-/reload", "").unwrap().0, 403);
    assert_eq!(request("POST", &collector.address, "/-/quit", "").unwrap().0, 403);
    assert_eq!(request("POST", &collector.address, "/api/v1/write", "").unwrap().0, 404);
}

#[test]
fn wrong_requests_get_the_right_status_and_a_reason() {
    let collector = collector("", &["--web.enable-remote-write-receiver"]);
    let cases = [
        ("/api/v1/query", 400, "query"),
        ("/api/v1/query?query=sum(", 400, "parse error"),
        ("/api/v1/query?query=up&time=noon", 400, "noon"),
        ("/api/v1/query_range?query=up&start=1&end=0&step=1", 400, "end"),
        ("/api/v1/query_range?query=up&start=0&end=100000&step=1", 400, "11,000"),
        ("/api/v1/query_range?query=up&start=0&end=1&step=0", 400, "step"),
        ("/api/v1/series", 400, "match[]"),
        ("/api/v1/series?match[]=up{", 400, "match[]"),
        ("/api/v1/rules?type=both", 400, "type"),
        ("/api/v1/nothing", 404, ""),
    ];
    for (path, status, reason) in cases {
        let (got, body) = request("GET", &collector.address, path, "").unwrap();
        assert_eq!(got, status, "{path}: {body}");
        assert!(body.contains(reason), "{path}: {body}");
    }
    for body in ["", "not snappy", "\u{3}abc", "\u{0}"] {
        let (status, said) = request("POST", &collector.address, "/api/v1/write", body).unwrap();
        assert!(status == 400 || (status == 204 && body == "\u{0}"), "{body:?}: {status} {said}");
    }
    // Deep nesting and long queries end in an error, not in a stack overflow.
    for query in ["(".repeat(100_000), format!("{}1", "-".repeat(100_000)), "1+".repeat(100_000)] {
        let form = provisioning_parts::form(&[("query", &query)]);
        let (status, _) = request("POST", &collector.address, "/api/v1/query", &form).unwrap();
        assert_eq!(status, 400);
    }
    assert_eq!(prom_query(&collector.address, "1 + 1").map(|_| ()), Ok(()));
}

#[test]
fn half_a_request_and_a_silent_client_cost_nothing() {
    let collector = collector("", &[]);
    let mut silent: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(&collector.address).unwrap()).collect();
    for stream in &mut silent {
        stream.write_all(b"POST /api/v1/query HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nquery=").unwrap();
    }
    let mut garbage = TcpStream::connect(&collector.address).unwrap();
    garbage.write_all(b"\x00\x01\x02\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = garbage.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(get(&collector.address, "/-/healthy").is_ok());
}

/// The queue's folder on a file system that is full: scraping and rules go on, the loss is counted by reason and
/// shown, and delivery goes on once there is room.
#[test]
fn a_full_disk_costs_only_what_it_must() {
    let disk = SmallDisk::mount("1m");
    let target = exporter();
    let dead = provisioning_parts::free_port();
    let config = format!(
        "global: {{ scrape_interval: 100ms, scrape_timeout: 100ms }}\nscrape_configs:\n  - job_name: many\n    static_configs: [{{ targets: ['{target}'] }}]\nremote_write: [{{ url: 'http://127.0.0.1:{dead}/' }}]\n"
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("prometheus.yml");
    std::fs::write(&file, config).unwrap();
    let mut process = Process::start(
        collector_binary(),
        &[
            &format!("--config.file={}", file.display()),
            &format!("--storage.tsdb.path={}", disk.path()),
            "--web.listen-address=127.0.0.1:0",
        ],
    );
    let address = process.await_addresses(1).remove(0);
    eventually(60, "drops are counted", || {
        let metrics = get(&address, "/metrics")?;
        let dropped = metrics
            .lines()
            .filter(|line| line.starts_with("prometheus_remote_storage_samples_dropped_total"))
            .any(|line| !line.ends_with(" 0"));
        if dropped { Ok(()) } else { Err("nothing dropped yet".to_owned()) }
    });
    // Scrapes still work, and their newest samples can be asked for.
    let up = prom_query(&address, "up{job=\"many\"}").unwrap();
    assert_eq!(up[0]["value"][1], "1", "{up:?}");
    let log = process.log();
    assert!(!log.contains("panicked"), "{log}");
}

/// A tiny file system of its own.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(dir.path())
            .status()
            .unwrap();
        assert!(status.success(), "this test mounts a small tmpfs, for which it needs root");
        Self(dir)
    }

    fn path(&self) -> String {
        self.0.path().display().to_string()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// A target with two thousand series whose values change with every scrape.
fn exporter() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut round = 0_u64;
        for mut stream in listener.incoming().flatten() {
            let mut request = [0_u8; 4096];
            let _ = stream.read(&mut request);
            round += 1;
            let mut body = String::new();
            for series in 0..2_000_u64 {
                let value = (series * 7_919 + round * 104_729) % 1_000_003;
                body.push_str(&format!("load_value{{series=\"{series}\"}} {value}.{round}\n"));
            }
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
        }
    });
    address
}
