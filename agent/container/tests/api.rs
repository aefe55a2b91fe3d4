//! cAdvisor's API over trees of kernel files. `UPDATE_GOLDEN=1` writes the answers anew; read the difference.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agent_container::api::{ApiError, Reply, Request};
use agent_container::history::EventKind;
use agent_container::{Compat, Config, Containers, Set, Sets};
use serde_json::Value;
use support::engine::Engine;
use support::{Machine, eventually};

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// The file systems of a fixture are those of the machine it lies on, so that set is off. No reading but the test's
/// own is ever needed.
fn config(machine: &Machine) -> Config {
    let sets = Sets::default().without(Set::Disk).without(Set::CpuLoad);
    Config { sets, housekeeping_interval: Duration::from_secs(3600), ..machine.config() }
}

fn ask(containers: &Containers, path: &str, query: &[(&str, &str)], body: &str) -> Result<String, ApiError> {
    let parameters: Vec<_> = query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    match containers.api(Request { path, parameters: &parameters, body: body.as_bytes() })? {
        Reply::Json(json) => Ok(json),
        other => panic!("{path}: {other:?}"),
    }
}

#[track_caller]
fn json(containers: &Containers, path: &str, query: &[(&str, &str)]) -> Value {
    let text = ask(containers, path, query, "").unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error} in {text}"))
}

#[track_caller]
fn refused(containers: &Containers, path: &str, query: &[(&str, &str)], not_found: bool, want: &str) {
    let error = ask(containers, path, query, "").unwrap_err();
    let text = error.to_string();
    assert!(text.contains(want), "{text}");
    assert_eq!((error.is_not_found(), text.lines().count()), (not_found, 1), "{text}");
}

/// One answer a section.
#[track_caller]
fn check(name: &str, containers: &Containers, questions: &[(&str, &[(&str, &str)])]) {
    let mut got = String::new();
    for (path, query) in questions {
        let query_text: Vec<_> = query.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let answer = json(containers, path, query);
        got += &format!("# {path}?{}\n{}\n", query_text.join("&"), serde_json::to_string_pretty(&answer).unwrap());
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.json.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &got).unwrap();
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    if let Some((number, (got, want))) = got.lines().zip(want.lines()).enumerate().find(|(_, (got, want))| got != want)
    {
        panic!("{} differs in line {}:\n got {got}\nwant {want}", path.display(), number + 1);
    }
    assert_eq!(got.lines().count(), want.lines().count(), "{}", path.display());
}

const QUESTIONS: &[(&str, &[(&str, &str)])] = &[
    ("v1.3/containers/", &[("num_stats", "1")]),
    ("v1.3/subcontainers/", &[("num_stats", "0")]),
    ("v1.3/docker", &[("num_stats", "1")]),
    ("v1.3/machine", &[]),
    ("v2.1/stats/", &[("recursive", "true"), ("count", "1")]),
    ("v2.1/machinestats", &[]),
    ("v2.0/stats/", &[("count", "1")]),
    ("v2.1/spec/", &[]),
    ("v2.1/summary/", &[]),
    ("v2.1/attributes", &[]),
    ("v2.1/version", &[]),
    ("v1.3/events/", &[("subcontainers", "true"), ("max_events", "-1"), ("creation_events", "true")]),
];

#[test]
fn version_1() {
    let machine = Machine::from_fixture("v1", at(1_700_000_500));
    let containers = Containers::new(config(&machine)).unwrap();
    containers.read_at(at(1_700_001_000));
    containers.read_at(at(1_700_001_002));
    check("v1", &containers, QUESTIONS);
}

#[test]
fn version_2() {
    let machine = Machine::from_fixture("v2", at(1_700_000_500));
    let containers = Containers::new(config(&machine)).unwrap();
    containers.read_at(at(1_700_001_000));
    machine.write("sys/fs/cgroup/cpu.stat", "usage_usec 903000000\nuser_usec 602000000\nsystem_usec 301000000\n");
    containers.read_at(at(1_700_001_002));
    check("v2", &containers, QUESTIONS);
    let rate = &json(&containers, "v2.1/machinestats", &[])[1]["cpu_inst"]["usage"];
    assert_eq!((&rate["total"], &rate["user"]), (&1_500_000_000.into(), &1_000_000_000.into()));
}

#[test]
fn compatibility_and_bounds_are_the_pages_alone() {
    for name in ["v1", "v2"] {
        let machine = Machine::from_fixture(name, at(1_700_000_500));
        let answers = |config: Config| {
            let containers = Containers::new(config).unwrap();
            containers.read_at(at(1_700_001_000));
            QUESTIONS.iter().map(|(path, query)| json(&containers, path, query)).collect::<Vec<_>>()
        };
        let right = answers(config(&machine));
        let odd = Config { compat: Compat::cadvisor(), series_limit: 1, ..config(&machine) };
        // Without the last question: its events bear the time of their finding.
        for ((path, _), (right, odd)) in QUESTIONS.iter().zip(right.iter().zip(answers(odd))).take(QUESTIONS.len() - 1)
        {
            assert_eq!(*right, odd, "{name}: {path}");
        }
    }
}

#[test]
fn readings_are_chosen() {
    let machine = Machine::new();
    machine.add_container(A);
    let containers = Containers::new(config(&machine)).unwrap();
    for second in 0..80 {
        containers.read_at(at(1_700_001_000 + second));
    }
    let count = |query: &[(&str, &str)], body: &str| {
        let text = ask(&containers, &format!("v1.3/containers/docker/{A}"), query, body).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["stats"].as_array().unwrap().len()
    };
    assert_eq!(count(&[], ""), 60);
    assert_eq!(count(&[("num_stats", "-1")], ""), 80);
    assert_eq!(count(&[], r#"{"num_stats":7}"#), 7);
    assert_eq!(count(&[("start", "2023-11-14T22:30:10Z"), ("end", "2023-11-14T22:30:12+00:00")], ""), 3);
    let of_v2 = json(&containers, &format!("v2.0/stats/docker/{A}"), &[]);
    assert_eq!(of_v2[format!("/docker/{A}")].as_array().unwrap().len(), 64);
}

#[test]
fn what_is_wrong_is_named() {
    let machine = Machine::new();
    machine.add_container(A);
    let containers = Containers::new(config(&machine)).unwrap();
    containers.read_at(at(1_700_001_000));
    refused(&containers, "v1.3/containers/nowhere", &[], true, "no container \"nowhere\"");
    refused(&containers, "v1.3/docker/nobody", &[], true, "no container \"nobody\"");
    refused(&containers, "v2.1/stats/nobody", &[("type", "docker")], true, "no container \"nobody\"");
    refused(&containers, "v2.1/stats/", &[("type", "rkt")], false, "parameter type=rkt: expected name or docker");
    refused(&containers, "v2.1/stats/", &[("count", "x")], false, "parameter count=x: expected a whole number");
    refused(&containers, "v2.1/stats/", &[("recursive", "x")], false, "parameter recursive=x: expected true or false");
    refused(&containers, "v2.1/stats/", &[("max_age", "5")], false, "parameter max_age=5: expected a duration");
    refused(&containers, "v1.3/events/", &[("start_time", "now")], false, "parameter start_time=now: expected a time");
    refused(&containers, "v2.1/appmetrics/", &[], true, "appmetrics: metrics that applications give");
    refused(&containers, "v2.1/storage", &[("label", "docker-images")], true, "no file system with label");
    refused(&containers, "v2.1/storage", &[("uuid", "../../etc")], true, "no file system with uuid");
    // What a version does not have yet.
    for path in ["", "v1.0/docker", "v1.1/events/", "v1.3", "v1.9/machine", "v2.0/machinestats", "v2.1/nonsense", "v3"]
    {
        refused(&containers, path, &[], true, "no endpoint /api/");
    }
    json(&containers, "v1.0/machine", &[]);
    json(&containers, "v1.2/docker/aaaa", &[]);
}

#[test]
fn containers_come_and_go_and_are_killed() {
    let machine = Machine::new();
    machine.add_container(A);
    let containers = Containers::new(config(&machine)).unwrap();
    let path = format!("/docker/{A}");
    let events = |kind: EventKind| {
        containers.read_at(SystemTime::now());
        let all = json(&containers, "v1.3/events/", &[("subcontainers", "true"), ("max_events", "-1")]);
        let of_kind = |event: &&Value| event["event_type"] == kind.name() && event["container_name"] == path.as_str();
        all.as_array().unwrap().iter().filter(of_kind).count()
    };
    let memory_events = format!("sys/fs/cgroup{path}/memory.events");
    machine.write(&memory_events, "oom 4\noom_kill 4\n");
    assert_eq!((events(EventKind::Creation), events(EventKind::Deletion)), (1, 0));
    assert_eq!(events(EventKind::OomKill), 0, "when the first four happened nobody knows");
    machine.write(&memory_events, "oom 6\noom_kill 6\n");
    assert_eq!((events(EventKind::OomKill), events(EventKind::Oom)), (2, 2));
    std::fs::remove_dir_all(machine.path(&format!("sys/fs/cgroup{path}"))).unwrap();
    assert_eq!(events(EventKind::Deletion), 1);
    refused(&containers, &format!("v1.3/containers{path}"), &[], true, "no container");
    machine.add_container(A);
    assert_eq!((events(EventKind::Creation), events(EventKind::Deletion)), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_streamed() {
    let machine = Machine::new();
    machine.add_container(A);
    let quick = Duration::from_millis(100);
    let containers = Containers::new(Config { housekeeping_interval: quick, ..config(&machine) }).unwrap();
    containers.start().unwrap();
    containers.read_at(SystemTime::now());
    let parameters: Vec<_> = ["stream", "subcontainers"].map(|key| (key.to_owned(), "true".to_owned())).into();
    let request = Request { path: "v1.3/events/docker", parameters: &parameters, body: b"" };
    let Ok(Reply::Events(mut stream)) = containers.api(request) else { panic!("no stream") };
    std::fs::remove_dir_all(machine.path(&format!("sys/fs/cgroup/docker/{A}"))).unwrap();
    let line = tokio::time::timeout(Duration::from_secs(20), stream.next()).await.unwrap().unwrap();
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&event["event_type"], line.ends_with('\n')), (&"containerDeletion".into(), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_images_and_labels_come_from_the_engine() {
    let machine = Machine::new();
    machine.add_container(A);
    let engine = Engine::start(&machine.path(""));
    engine.containers(&[(A, "<script>alert(1)</script>")]);
    let docker = Some(engine.address());
    let quick = Duration::from_millis(100);
    let containers = Containers::new(Config { docker, housekeeping_interval: quick, ..config(&machine) }).unwrap();
    containers.start().unwrap();
    let name = "v1.2/docker/<script>alert(1)</script>";
    let text = eventually("the container's name", || ask(&containers, name, &[], "").ok());
    assert!(!text.contains('<'), "{text}");
    let of_v1: Value = serde_json::from_str(&text).unwrap();
    let of_v1 = &of_v1[format!("/docker/{A}")];
    assert_eq!((&of_v1["id"], &of_v1["aliases"][0]), (&A.into(), &"<script>alert(1)</script>".into()));
    assert_eq!((&of_v1["namespace"], &of_v1["stats"][0]["memory"]["usage"]), (&"docker".into(), &16384.into()));
    let by_id = json(&containers, "v2.1/stats/aaaa", &[("type", "docker"), ("max_age", "0")]);
    assert_eq!(by_id[format!("/docker/{A}")]["spec"]["aliases"][1], A);
    let more = eventually("more readings while someone asks", || {
        let stats = json(&containers, "v2.1/stats/aaaa", &[("type", "docker")]);
        let stats = stats[format!("/docker/{A}")]["stats"].as_array()?.clone();
        (stats.len() > 3).then_some(stats)
    });
    assert_eq!(more[1]["cpu_inst"]["usage"]["total"], 0);
}

/// A process's file that does not answer, as those of one whose memory map is held may not for long.
#[test]
fn a_list_of_processes_that_takes_long_holds_up_no_scrape() {
    let machine = Machine::new();
    machine.add_container(A);
    machine.write(&format!("sys/fs/cgroup/docker/{A}/cgroup.procs"), "7\n");
    machine.write("proc/7/comm", "");
    let stuck = machine.path("proc/7/stat");
    support::run(std::process::Command::new("mkfifo").arg(&stuck));
    let containers = Containers::new(config(&machine)).unwrap();
    let asked = containers.clone();
    let asking = std::thread::spawn(move || ask(&asked, &format!("v2.1/ps/docker/{A}"), &[], ""));
    let mut to_write = std::fs::File::options();
    std::os::unix::fs::OpenOptionsExt::custom_flags(to_write.write(true), 0o4000);
    // Only when somebody reads it can it be opened so.
    let writer = eventually("a reader", || to_write.open(&stuck).ok());
    let (done, scraped) = std::sync::mpsc::channel();
    let scraping = std::thread::spawn(move || done.send(support::scrape(&containers)));
    let page = scraped.recv_timeout(Duration::from_secs(20));
    drop(writer);
    scraping.join().unwrap().unwrap();
    asking.join().unwrap().unwrap();
    assert!(page.expect("the scrape waited for it").contains("container_memory_usage_bytes"));
}
