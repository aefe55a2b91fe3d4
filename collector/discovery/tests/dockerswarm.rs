//! Discovery in a Docker Swarm, on engines that are well and on others.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use collector_discovery::DiscoveryConfig;
use serde_json::json;

use self::support::engine::{Answer, Engine};
use self::support::{World, parse, world};

const KEY: &str = "dockerswarm_sd_configs";

fn nodes(addresses: &[&str]) -> String {
    let node = |address: &&str| json!({ "ID": address, "Spec": { "Role": "worker" }, "Status": { "Addr": address } });
    serde_json::Value::from_iter(addresses.iter().map(node)).to_string()
}

/// An entry for an engine on a socket.
fn entry(socket: &Path, keys: &str) -> Vec<DiscoveryConfig> {
    parse(KEY, &format!("[{{host: 'unix://{}', {keys}}}]", socket.display())).unwrap()
}

fn failures(world: &World) -> u64 {
    let page = world.page();
    let mut lines = page.lines();
    let count =
        lines.find_map(|line| line.strip_prefix("prometheus_sd_refresh_failures_total{mechanism=\"dockerswarm\"} "));
    count.map_or(0, |count| count.parse().unwrap())
}

/// Waits for so many failures, or more.
async fn failed(world: &World, count: u64) {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while failures(world) < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "{}", world.page());
}

#[tokio::test]
async fn every_role_asks_for_what_it_needs_and_narrows_only_its_own_list_down() {
    let (engine, socket, _folder) = Engine::on_socket();
    engine.list("/nodes", &nodes(&["192.0.2.1"]));
    engine.list("/networks", r#"[{"Id": "net1", "Name": "backend"}]"#);
    engine.list(
        "/services",
        r#"[{"ID": "s1", "Spec": {"Name": "web"},
          "Endpoint": {"Ports": [{"Protocol": "tcp", "PublishedPort": 8080}],
            "VirtualIPs": [{"NetworkID": "net1", "Addr": "10.0.1.2/24"}]}}]"#,
    );
    engine.list(
        "/tasks",
        r#"[{"ID": "t1", "ServiceID": "s1", "NodeID": "192.0.2.1", "DesiredState": "running",
          "NetworksAttachments": [{"Network": {"ID": "net1"}, "Addresses": ["10.0.1.3/24"]}]}]"#,
    );
    let filters = "filters: [{name: label, values: ['a=1', b c]}, {name: name, values: [x]}]";
    let filtered = Some(json!({ "label": ["a=1", "b c"], "name": ["x"] }));
    for (role, address, paths) in [
        ("services", "10.0.1.2:8080{}", &["/v1.41/services", "/v1.41/networks"][..]),
        ("tasks", "10.0.1.3:8080{}", &["/v1.41/tasks", "/v1.41/services", "/v1.41/nodes", "/v1.41/networks"]),
        ("nodes", "192.0.2.1:80{}", &["/v1.41/nodes"]),
    ] {
        let before = engine.asked().len();
        let mut world = world();
        world.apply(&entry(&socket, &format!("role: {role}, {filters}")));
        world.wait_for(&[address]).await;
        let asked = &engine.asked()[before..][..paths.len()];
        assert_eq!(asked.iter().map(|asked| asked.path.as_str()).collect::<Vec<_>>(), paths);
        assert_eq!(asked[0].filters, filtered, "{role}");
        assert!(asked[1..].iter().all(|asked| asked.filters.is_none()), "{role}: {asked:?}");
        assert_eq!(asked[0].headers["user-agent"], "atalaia/test");
    }
}

#[tokio::test]
async fn the_newest_version_that_both_know_is_spoken() {
    for (told, path) in
        [(Some("1.24"), "/v1.24/nodes"), (Some("1.99"), "/v1.51/nodes"), (Some("?"), "/nodes"), (None, "/nodes")]
    {
        let (engine, socket, _folder) = Engine::on_socket();
        engine.version(told);
        for answered in ["/nodes", "/v1.51/nodes"] {
            engine.list(answered, &nodes(&["n"]));
        }
        let mut world = world();
        world.apply(&entry(&socket, "role: nodes"));
        world.wait_for(&["n:80{}"]).await;
        assert_eq!(engine.paths()[0], path, "{told:?}");
    }
}

#[tokio::test]
async fn http_takes_the_keys_of_the_client() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("password"), "hunter2\n").unwrap();
    let (engine, port) = Engine::on_port().await;
    for path in ["/nodes", "/engines/1/v1.41/nodes"] {
        engine.list(path, &nodes(&["n"]));
    }
    for host in [format!("http://127.0.0.1:{port}/engines/1/"), format!("tcp://127.0.0.1:{port}")] {
        let keys = "role: nodes, port: 9100, basic_auth: {username: me, password_file: password}, \
                    http_headers: {X-Scope: {values: [a]}}";
        let mut configs = parse(KEY, &format!("[{{host: '{host}', {keys}}}]")).unwrap();
        configs[0].resolve_paths(folder.path());
        let mut world = world();
        world.apply(&configs);
        world.wait_for(&["n:9100{}"]).await;
        let asked = engine.asked().pop().unwrap();
        assert_eq!(asked.headers["authorization"], "Basic bWU6aHVudGVyMg==");
        assert_eq!(asked.headers["x-scope"], "a");
    }
    assert_eq!(engine.paths(), ["/engines/1/v1.41/nodes", "/v1.41/nodes"]);
}

#[tokio::test]
async fn https_needs_a_certificate_that_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, port, certificate) = Engine::behind_tls().await;
    engine.list("/nodes", &nodes(&["n"]));
    let host = format!("host: 'https://localhost:{port}', role: nodes");
    let mut distrustful = world();
    distrustful.apply(&parse(KEY, &format!("[{{{host}}}]")).unwrap());
    std::fs::write(folder.path().join("ca.pem"), certificate).unwrap();
    let mut trusting = parse(KEY, &format!("[{{{host}, tls_config: {{ca_file: ca.pem}}}}]")).unwrap();
    trusting[0].resolve_paths(folder.path());
    let mut world = world();
    world.apply(&trusting);
    world.wait_for(&["n:80{}"]).await;
    failed(&distrustful, 1).await;
    assert!(distrustful.targets().is_empty());
}

#[tokio::test]
async fn a_swarm_without_anything_is_reported_too() {
    let (engine, socket, _folder) = Engine::on_socket();
    // An engine without lists says null.
    engine.list("/nodes", "null");
    let mut world = world();
    world.apply(&entry(&socket, "role: nodes"));
    world.wait_for_metric("prometheus_sd_received_updates_total 1").await;
    assert!(world.metric("prometheus_sd_refresh_failures_total{mechanism=\"dockerswarm\"} 0"));
    assert!(world.metric("prometheus_sd_refresh_duration_seconds_count{mechanism=\"dockerswarm\"} 1"));
}

const NO_MANAGER: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to \
                          connect this node to swarm and try again.";

/// The lines of the log of this program that name a socket. There is one log for all tests, since what is not wanted
/// in one thread is left out in all.
fn log(socket: &Path) -> Vec<String> {
    #[derive(Clone)]
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    static LOG: OnceLock<Shared> = OnceLock::new();
    let log = LOG.get_or_init(|| {
        let log = Shared(Arc::default());
        let writer = log.clone();
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
        log
    });
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    text.lines().filter(|line| line.contains(socket.to_str().unwrap())).map(str::to_owned).collect()
}

#[tokio::test]
async fn an_engine_that_is_no_manager_keeps_its_targets_and_says_so_once() {
    let (engine, socket, _folder) = Engine::on_socket();
    assert!(log(&socket).is_empty());
    engine.list("/nodes", &nodes(&["n1"]));
    let mut world = world();
    world.apply(&entry(&socket, "role: nodes, refresh_interval: 10ms"));
    world.wait_for(&["n1:80{}"]).await;
    engine.answer("/nodes", Answer::Refusal(503, NO_MANAGER));
    failed(&world, 3).await;
    assert_eq!(world.targets(), ["n1:80{}"]);
    engine.list("/nodes", &nodes(&["n1", "n2"]));
    world.wait_for(&["n1:80{}", "n2:80{}"]).await;

    let log = log(&socket);
    let host = format!("unix://{}", socket.display());
    let failed = format!(
        "WARN collector_discovery::refresh: cannot discover targets; the last good ones stay mechanism=\"dockerswarm\" \
         error=the engine at {host} refuses /nodes with 503 Service Unavailable: {NO_MANAGER}"
    );
    let over = format!(
        "INFO collector_discovery::refresh: targets are discovered again mechanism=\"dockerswarm\" peer=\"{host}\""
    );
    assert!(matches!(&log[..], [first, last] if first.ends_with(&failed) && last.ends_with(&over)), "{log:#?}");
}

#[tokio::test]
async fn an_engine_that_lies_keeps_its_targets() {
    let (engine, socket, _folder) = Engine::on_socket();
    assert!(log(&socket).is_empty());
    engine.list("/nodes", &nodes(&["n1"]));
    let mut world = world();
    world.apply(&entry(&socket, "role: nodes, refresh_interval: 10ms"));
    world.wait_for(&["n1:80{}"]).await;
    let deep = "[".repeat(100_000);
    for (lie, said) in [
        (Answer::Text("[{\"ID\": \"n2\"".to_owned()), "something else than such a list: EOF while parsing"),
        (Answer::Text("<html>".to_owned()), "something else than such a list: expected value at line 1"),
        (Answer::Text("{\"nodes\": []}".to_owned()), "something else than such a list: invalid type: map"),
        (Answer::Text("[{\"ID\": 7}]".to_owned()), "something else than such a list: invalid type: integer"),
        (Answer::Text(deep), "something else than such a list: "),
        (Answer::Text(String::new()), "something else than such a list: EOF while parsing"),
        (Answer::BreaksOff, "cannot read /nodes of the engine at unix://"),
        (Answer::Endless, "answers /nodes with more than 67108864 bytes"),
        (Answer::Refusal(204, ""), "refuses /nodes with 204 No Content: "),
        (Answer::Refusal(500, "two\nlines"), "refuses /nodes with 500 Internal Server Error: two lines"),
    ] {
        let before = failures(&world);
        engine.answer("/nodes", lie);
        failed(&world, before + 1).await;
        assert_eq!(world.targets(), ["n1:80{}"], "{said}");
        engine.list("/nodes", &nodes(&["n1", "n2"]));
        world.wait_for(&["n1:80{}", "n2:80{}"]).await;
        engine.list("/nodes", &nodes(&["n1"]));
        world.wait_for(&["n1:80{}"]).await;
        assert!(
            log(&socket).iter().any(|line| line.contains("WARN") && line.contains(said)),
            "{said}: {:#?}",
            log(&socket)
        );
    }
}

#[tokio::test]
async fn an_engine_that_is_away_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("docker.sock");
    let mut world = world();
    world.apply(&entry(&missing, "role: nodes, refresh_interval: 10ms"));
    failed(&world, 2).await;
    assert!(world.metric("prometheus_sd_received_updates_total 0"), "nothing is known, so nothing is said");
    let (engine, socket, _keeper) = Engine::on_socket();
    engine.list("/nodes", &nodes(&["n1"]));
    std::fs::rename(socket, &missing).unwrap();
    world.wait_for(&["n1:80{}"]).await;
}

/// The clock stands still while anything moves, and goes to the next deadline when nothing does.
#[tokio::test]
async fn an_engine_that_hangs_is_given_up() {
    let (engine, socket, _folder) = Engine::on_socket();
    engine.list("/nodes", &nodes(&["n1"]));
    let mut world = world();
    world.apply(&entry(&socket, "role: nodes, refresh_interval: 10ms"));
    world.wait_for(&["n1:80{}"]).await;
    engine.answer("/nodes", Answer::Silence);
    // The next question hangs already, or will.
    let asked = engine.asked().len();
    while engine.asked().len() < asked + 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::pause();
    failed(&world, 1).await;
    tokio::time::resume();
    assert_eq!(world.targets(), ["n1:80{}"]);
    engine.list("/nodes", &nodes(&["n2"]));
    world.wait_for(&["n2:80{}"]).await;
}

#[tokio::test]
async fn events_are_heard_between_two_intervals() {
    let (engine, socket, _folder) = Engine::on_socket();
    engine.list("/nodes", &nodes(&["n1"]));
    let mut world = world();
    world.apply(&entry(&socket, "role: nodes, refresh_interval: 1h"));
    world.wait_for(&["n1:80{}"]).await;
    while engine.listeners() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    engine.list("/nodes", &nodes(&["n2"]));
    engine.event();
    world.wait_for(&["n2:80{}"]).await;
    // However many come, the engine has its rest.
    let (begun, before) = (Instant::now(), engine.asked().len());
    while begun.elapsed() < Duration::from_secs(3) {
        engine.event();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (asked, seconds) = (engine.asked().len() - before, begun.elapsed().as_secs());
    assert!(asked > 0 && asked as u64 <= seconds / 2 + 2, "{asked} questions in {seconds} s");
}

#[tokio::test]
async fn no_password_is_shown() {
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = unused.local_addr().unwrap().to_string();
    drop(unused);
    assert!(log(Path::new(&address)).is_empty());
    let config = parse(KEY, &format!("[{{host: 'http://me:hunter2@{address}', role: nodes}}]")).unwrap();
    let mut world = world();
    world.apply(&config);
    failed(&world, 1).await;
    let shown = log(Path::new(&address)).concat() + &format!("{config:?}");
    assert!(shown.contains("cannot read /_ping of the engine at http://127.0.0.1"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn a_reload_leaves_an_entry_alone_that_says_the_same() {
    let (engine, socket, _folder) = Engine::on_socket();
    engine.list("/nodes", &nodes(&["n1"]));
    engine.answer("/events", Answer::Refusal(403, "not for you"));
    let mut world = world();
    world.apply(&entry(&socket, "role: nodes, refresh_interval: 1h"));
    world.wait_for(&["n1:80{}"]).await;
    // Written otherwise, and the same; with one more, to know when the reload is over.
    let same = entry(&socket, "refresh_interval: 60m, role: nodes, port: 80, filters: []");
    world.apply(&[same, entry(&socket, "role: nodes, refresh_interval: 1h, port: 82")].concat());
    world.wait_for(&["n1:80{}", "n1:82{}"]).await;
    assert_eq!(engine.paths(), ["/v1.41/nodes"; 2], "one question for each of the two that differ");
    world.apply(&entry(&socket, "role: nodes, refresh_interval: 1h, port: 81"));
    assert_eq!(world.targets(), ["n1:80{}", "n1:82{}"], "until their successor has reported");
    world.wait_for(&["n1:81{}"]).await;
}

#[test]
fn refusals_say_what_is_wrong() {
    let host = "host: 'unix:///var/run/docker.sock'";
    for (keys, said) in [
        ("role: nodes", "host is missing"),
        (host, "role (services, tasks or nodes) is missing"),
        (&format!("{host}, role: service"), "role \"service\" is none of services, tasks and nodes"),
        (
            "role: nodes, host: 'npipe:////./pipe/docker'",
            "host \"npipe:////./pipe/docker\" is none of unix:///PATH, tcp",
        ),
        (&format!("{host}, role: nodes, port: 70000"), "expected u16"),
        (&format!("{host}, role: nodes, refresh_interval: 0s"), "refresh_interval must be greater than zero"),
        (&format!("{host}, role: nodes, refresh_interval: 5"), "not a valid duration string"),
        (&format!("{host}, role: nodes, filter: []"), "unknown field `filter`"),
        (&format!("{host}, role: nodes, filters: [{{value: x}}]"), "unknown field `value`"),
        (&format!("{host}, role: nodes, match_first_network: true"), "unknown field `match_first_network`"),
        (&format!("{host}, role: nodes, oauth2: {{}}"), "unknown field `oauth2`"),
        (
            &format!("{host}, role: nodes, basic_auth: {{username: u}}, authorization: {{credentials: c}}"),
            "at most one of basic_auth and authorization may be set",
        ),
    ] {
        let error = parse(KEY, &format!("[{{{keys}}}]")).expect_err(keys);
        assert!(error.contains(said) && error.lines().count() == 1, "{keys}: {error:?} lacks {said:?}");
    }
    let unusable = "[{host: 'https://h', role: nodes, tls_config: {ca_file: /no/such/file}}]";
    let config = parse(KEY, unusable).unwrap().remove(0);
    let context = collector_discovery::Context { metrics: Default::default(), user_agent: String::new() };
    let error = config.build(&context).err().unwrap();
    assert_eq!(error.to_string(), "cannot read /no/such/file");
}
