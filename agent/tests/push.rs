//! Delivery by remote write: to real receivers, and to one that answers as it is told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod receiving;
mod running;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use provisioning_parts::{Process, Prometheus, Start, eventually, form, free_port, get, program, prom_query, send};
use receiving::{Received, ReceiverStub};
use running::{Agent, command, steady_agent, steady_series, value};

const STALE: u64 = 0x7ff0_0000_0000_0002;

fn own(agent: &Agent, series: &str) -> f64 {
    value(agent.get("/metrics").text(), series).unwrap_or(0.0)
}

fn small_agent(url: &str, flags: &[&str]) -> Agent {
    let url = format!("--push.url={url}");
    Agent::start(&[&["--collector.disable-defaults", "--collector.loadavg", &url], flags].concat())
}

#[track_caller]
fn await_received(stub: &ReceiverStub, what: &str, enough: impl Fn(&[Received]) -> bool) -> Vec<Received> {
    eventually(40, what, || {
        let received = stub.received();
        if enough(&received) { Ok(received) } else { Err(format!("{} requests", received.len())) }
    })
}

/// One Prometheus scrapes the agent and is delivered to by it: both ways it has the same.
#[test]
fn prometheus_gets_what_it_would_have_scraped() {
    let dir = tempfile::tempdir().unwrap();
    let targets = dir.path().join("targets.json");
    let config = format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs: [{{job_name: scraped, file_sd_configs: [{{files: ['{}'], refresh_interval: 1s}}]}}]\n",
        targets.display()
    );
    let prometheus = Prometheus::start(&config, &["--web.enable-remote-write-receiver"]);
    let url = format!("--push.url=http://{}/api/v1/write", prometheus.address);
    let mut agent = steady_agent(dir.path(), &[&url, "--push.interval=500ms", "--push.job=pushed"]);
    std::fs::write(&targets, format!("[{{\"targets\": [\"{}\"]}}]", agent.address)).unwrap();
    eventually(60, "both ways give the same", || {
        let (scraped, pushed) =
            (steady_series(&prometheus.address, "scraped")?, steady_series(&prometheus.address, "pushed")?);
        let different =
            scraped.iter().chain(&pushed).find(|(s, v)| scraped.get(*s) != Some(v) || pushed.get(*s) != Some(v));
        match different {
            None if scraped.len() > 100 => Ok(()),
            _ => Err(format!("{} and {} series, first difference {different:?}", scraped.len(), pushed.len())),
        }
    });
    let instance = format!("{}:{}", rustix::system::uname().nodename().to_str().unwrap(), port(&agent.address));
    let pushed =
        |more: &str| prom_query(&prometheus.address, &format!("up{{job=\"pushed\"{more}}} == 1")).unwrap().len();
    assert_eq!(pushed(&format!(",instance=\"{instance}\"")), 1);
    // A series that ends is over at once, not after Prometheus's five minutes; in the end all of them.
    std::fs::remove_file(dir.path().join("textfiles/all.prom")).unwrap();
    let left = |selector: &str| match prom_query(&prometheus.address, selector)?.len() {
        0 => Ok(()),
        some => Err(format!("{some} series are left")),
    };
    eventually(30, "the text file's series end", || left("job_seconds_bucket{job=\"pushed\"}"));
    assert_eq!(pushed(""), 1);
    assert!(agent.process.terminate().success());
    eventually(30, "all series end", || left("{job=\"pushed\"}"));
    assert!(prometheus.troubles().iter().all(|line| !line.contains("write")), "{:?}", prometheus.troubles());
}

fn port(address: &str) -> &str {
    address.rsplit_once(':').unwrap().1
}

fn victoria_metrics(dir: &Path, address: &str) -> Process {
    let process = Start::new(program("victoria-metrics"))
        .args([format!("-httpListenAddr={address}"), format!("-storageDataPath={}", dir.display())])
        .args(["-search.latencyOffset=0s", "-search.disableCache"])
        .spawn();
    eventually(60, "VictoriaMetrics answers", || get(address, "/health"));
    process
}

/// What VictoriaMetrics has of a series, time by time, without stale markers. A request that was taken but not answered
/// is sent again: its samples are there twice then.
fn stored(address: &str, series: &str) -> BTreeMap<i64, f64> {
    let encoded = form(&[("match[]", series)]);
    let answer = send("GET", address, &format!("/api/v1/export?{encoded}"), &[], b"").unwrap();
    let mut samples = BTreeMap::new();
    for line in answer.text().lines() {
        let series: serde_json::Value = serde_json::from_str(line).unwrap();
        let times = series["timestamps"].as_array().unwrap().iter().map(|time| time.as_i64().unwrap());
        let values = series["values"].as_array().unwrap().iter().map(serde_json::Value::as_f64);
        samples.extend(times.zip(values).filter_map(|(time, value)| Some((time, value?))));
    }
    samples
}

#[test]
fn victoria_metrics_goes_away_and_gets_all_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let address = format!("127.0.0.1:{}", free_port());
    let mut receiver = victoria_metrics(&data, &address);
    let url = format!("--push.url=http://{address}/api/v1/write");
    let mut agent = steady_agent(dir.path(), &[&url, "--push.interval=250ms", "--push.external-label=site=lab"]);
    let delivered = || own(&agent, "atalaia_push_requests_total{code=\"204\"}");
    eventually(40, "some are delivered", || if delivered() >= 5.0 { Ok(()) } else { Err(delivered().to_string()) });
    assert!(receiver.terminate().success());
    let waiting = || own(&agent, "atalaia_push_pending_samples");
    let one_page = own(&agent, "atalaia_push_samples_sent_total") / delivered();
    eventually(40, "some wait", || if waiting() > 8.0 * one_page { Ok(()) } else { Err(waiting().to_string()) });
    assert!(own(&agent, "atalaia_push_requests_total{code=\"none\"}") >= 1.0);
    assert!(own(&agent, "atalaia_push_oldest_pending_seconds") > 0.5);
    let before = delivered();
    let _receiver = victoria_metrics(&data, &address);
    eventually(60, "all are delivered", || match (delivered(), waiting()) {
        (delivered, waiting) if delivered >= before + 8.0 && waiting <= one_page => Ok(()),
        (delivered, waiting) => Err(format!("{delivered} requests are delivered, {waiting} samples wait")),
    });
    for reason in ["queue_full", "rejected", "shutdown"] {
        assert_eq!(own(&agent, &format!("atalaia_push_samples_dropped_total{{reason=\"{reason}\"}}")), 0.0, "{reason}");
    }
    let rows = prom_query(&address, "job_seconds_bucket{site=\"lab\",le=\"1.0\"}").unwrap();
    assert_eq!(rows[0]["value"][1], "4");
    // The last scrape told how many requests had been delivered, one a scrape, and was delivered itself.
    assert!(agent.process.terminate().success());
    eventually(30, "all scrapes are stored that were delivered", || {
        let scrapes = stored(&address, "up{job=\"agent\",site=\"lab\"}").len() as f64;
        let told = stored(&address, "atalaia_push_requests_total{code=\"204\"}");
        let told = told.into_values().fold(0.0, f64::max);
        if scrapes > told { Ok(()) } else { Err(format!("{scrapes} scrapes, {told} were delivered before the last")) }
    });
}

#[test]
fn requests_are_as_the_protocol_wants_them() {
    let stub = ReceiverStub::start(|_| "204 No Content");
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "very-secret\n").unwrap();
    let file = format!("--push.bearer-token-file={}", token.display());
    let mut agent = small_agent(&stub.url, &["--push.interval=200ms", "--push.instance=here", &file]);
    let received = await_received(&stub, "three requests", |received| received.len() >= 3);
    for wanted in [
        "POST /api/v1/write?token=not-to-be-shown HTTP/1.1",
        "content-encoding: snappy",
        "content-type: application/x-protobuf",
        "x-prometheus-remote-write-version: 0.1.0",
        "authorization: Bearer very-secret",
        "user-agent: atalaia-agent/",
    ] {
        assert!(received[0].head.contains(wanted), "{wanted}: {}", received[0].head);
    }
    let times: Vec<_> = received.iter().map(|request| request.sample("up").unwrap()).collect();
    assert!(times.iter().all(|(up, _)| *up == 1.0) && times.windows(2).all(|w| w[0].1 < w[1].1), "{times:?}");
    for series in &received[0].series {
        let names: Vec<_> = series.labels.iter().map(|label| label.name.as_str()).collect();
        assert!(names.is_sorted() && names.contains(&"__name__") && names.contains(&"job"), "{names:?}");
        assert!(series.labels.iter().any(|label| label.name == "instance" && label.value == "here"));
        assert_eq!(series.samples[0].timestamp, times[0].1);
    }
    assert!(received[0].metadata.iter().any(|m| m.family == "node_load1" && m.kind == 2 && !m.help.is_empty()));
    assert!(received[1].metadata.is_empty());
    assert!(agent.process.terminate().success());
    let last = stub.received().pop().unwrap();
    assert_eq!(last.sample("up").unwrap().0.to_bits(), STALE);
    assert_eq!(last.sample("node_load1").unwrap().0.to_bits(), STALE);
    let log = agent.process.log();
    assert!(log.contains("delivering") && !log.contains("secret") && !log.contains("not-to-be-shown"), "{log}");
}

#[test]
fn what_is_refused_is_dropped_and_what_is_put_off_is_sent_again() {
    let stub = ReceiverStub::start(|number| match number {
        0 | 1 => "400 Bad Request",
        2 => "503 Service Unavailable\r\nRetry-After: 2",
        3 => "429 Too Many Requests",
        4 => "500 Internal Server Error",
        _ => "200 OK",
    });
    let agent = small_agent(&stub.url, &["--push.interval=300ms"]);
    let received = await_received(&stub, "all answers", |received| received.len() >= 8);
    let times: Vec<_> = received.iter().map(|request| (request.status, request.sample("up").unwrap().1)).collect();
    assert!(times[0].1 < times[1].1 && times[1].1 < times[2].1, "refused ones are not sent again: {times:?}");
    assert!(times[2..6].iter().all(|(_, time)| *time == times[2].1), "the others are: {times:?}");
    assert!(times[5..].windows(2).all(|pair| pair[0].1 < pair[1].1), "in order: {times:?}");
    let waited = received[3].at - received[2].at;
    assert!(waited >= Duration::from_secs(2), "Retry-After is honoured: {waited:?}");
    let dropped = own(&agent, "atalaia_push_samples_dropped_total{reason=\"rejected\"}");
    assert_eq!(dropped, (received[0].series.len() + received[1].series.len()) as f64);
    for (code, count) in [("400", 2.0), ("429", 1.0), ("500", 1.0), ("503", 1.0)] {
        assert_eq!(own(&agent, &format!("atalaia_push_requests_total{{code=\"{code}\"}}")), count, "{code}");
    }
    let log = agent.process.log();
    let lines = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!((lines("refuses samples"), lines("cannot deliver"), lines("delivering again")), (1, 1, 1), "{log}");
    assert!(log.contains("why it is so"), "{log}");
}

#[test]
fn a_full_queue_drops_the_oldest_and_the_end_has_a_deadline() {
    let away = format!("http://127.0.0.1:{}/", free_port());
    let dir = tempfile::tempdir().unwrap();
    let url = format!("--push.url={away}");
    let mut agent = steady_agent(dir.path(), &[&url, "--push.interval=100ms", "--push.queue-size=64KB"]);
    let dropped = || own(&agent, "atalaia_push_samples_dropped_total{reason=\"queue_full\"}");
    eventually(60, "samples are dropped", || if dropped() > 0.0 { Ok(()) } else { Err("none".to_owned()) });
    assert!(own(&agent, "atalaia_push_pending_bytes") <= 65_536.0);
    agent.log_line("cannot deliver");
    assert!(agent.process.terminate().success());
    assert!(agent.process.log().contains("did not take all samples before the end"), "{}", agent.process.log());
}

/// Password `secret`, as bcrypt has it.
const USERS: &str = "basic_auth_users: {agent: $2b$05$CCCCCCCCCCCCCCCCCCCCC.pIKrLVkBX9/OvQMSygY1pWEVn72t6na}\n";

#[test]
fn a_receiver_with_tls_and_users_is_believed_and_believes() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let write = |name: &str, text: &str| std::fs::write(path(name), text).unwrap();
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let stranger = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    write("cert.pem", &certified.cert.pem());
    write("key.pem", &certified.signing_key.serialize_pem());
    write("stranger.pem", &stranger.cert.pem());
    write("web.yml", &format!("tls_server_config: {{cert_file: cert.pem, key_file: key.pem}}\n{USERS}"));
    write("prometheus.yml", "{}\n");
    write("password", "secret\n");
    write("wrong", "wrong\n");
    let mut prometheus = Start::new(program("prometheus"))
        .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.enable-remote-write-receiver"])
        .args(["--web.config.file=web.yml", "--web.listen-address=127.0.0.1:0", "--log.format=logfmt"])
        .folder(dir.path())
        .spawn();
    let address = prometheus.await_log("address", |log| {
        let line = log.lines().find(|line| line.contains("msg=\"Listening on\""))?;
        Some(line.split("address=").nth(1)?.split(' ').next()?.to_owned())
    });
    prometheus.await_log("readiness", |log| log.contains("ready to receive web requests").then_some(()));
    let url = format!("https://localhost:{}/api/v1/write", port(&address));
    let agent = |ca: &str, password: &str| {
        let (ca, password) =
            (format!("--push.ca-file={}", path(ca)), format!("--push.password-file={}", path(password)));
        small_agent(&url, &["--push.interval=200ms", "--push.username=agent", &ca, &password])
    };
    let code = |agent: &Agent, code: &str| own(agent, &format!("atalaia_push_requests_total{{code=\"{code}\"}}"));
    let (welcome, wrong, astray) =
        (agent("cert.pem", "password"), agent("cert.pem", "wrong"), agent("stranger.pem", "password"));
    eventually(40, "all have tried", || {
        let codes = (code(&welcome, "204"), code(&wrong, "401"), code(&astray, "none"));
        if codes.0 >= 2.0 && codes.1 >= 2.0 && codes.2 >= 1.0 { Ok(()) } else { Err(format!("{codes:?}")) }
    });
    assert_eq!(code(&astray, "204") + code(&wrong, "204"), 0.0);
    assert!(astray.process.log().contains("certificate"), "{}", astray.process.log());
    for log in [welcome.process.log(), wrong.process.log()] {
        assert!(!log.contains("c2Vj") && !log.contains("=secret") && !log.contains("YWdlbn"), "{log}");
    }
}

#[test]
fn mistakes_are_told_at_the_start() {
    for (flags, want) in [
        (&["--push.url=prometheus:9090"][..], "does not begin with http:// or https://"),
        (&["--push.url=http://me:secret@host/"], "--push.password-file"),
        (&["--push.url=http://h/", "--push.bearer-token-file=/no/such"], "cannot read /no/such"),
        (&["--push.url=https://h/", "--push.ca-file=/dev/null"], "/dev/null holds no certificate"),
    ] {
        let output = command(&[&["--web.listen-address=127.0.0.1:0", "--docker="], flags].concat()).output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && log.contains(want) && !log.contains("me:secret"), "{flags:?}: {log}");
    }
}
