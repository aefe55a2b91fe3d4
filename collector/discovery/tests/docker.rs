//! Discovery of the containers of one engine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use serde_json::json;

use self::support::engine::Engine;
use self::support::{parse, world};

const KEY: &str = "docker_sd_configs";

#[tokio::test]
async fn containers_of_an_engine_are_found_by_the_rules_of_the_configuration() {
    let (engine, socket, _folder) = Engine::on_socket();
    engine.list("/networks", r#"[{"Id": "b", "Name": "back"}]"#);
    engine.list(
        "/containers/json",
        r#"[{"Id": "1", "Names": ["/web"], "HostConfig": {"NetworkMode": "front"},
            "NetworkSettings": {"Networks": {"front": {"NetworkID": "f", "IPAddress": "10.1.0.2"},
              "back": {"NetworkID": "b", "IPAddress": "10.2.0.2"}}}},
          {"Id": "2", "Names": ["/agent"], "HostConfig": {"NetworkMode": "host"},
            "NetworkSettings": {"Networks": {"host": {"NetworkID": "h"}}}}]"#,
    );
    let host = format!("host: 'unix://{}'", socket.display());
    let mut world = world();
    world.apply(&parse(KEY, &format!("[{{{host}}}]")).unwrap());
    world.wait_for(&["10.2.0.2:80{}", "localhost{}"]).await;
    let web = world.labels().remove(0);
    assert_eq!(web.get("__meta_docker_container_name"), Some("/web"));
    assert_eq!(web.get("__meta_docker_network_name"), Some("back"));

    let keys = "port: 9100, match_first_network: false, host_networking_host: 'machine:9100', \
                filters: [{name: status, values: [running]}]";
    world.apply(&parse(KEY, &format!("[{{{host}, {keys}}}]")).unwrap());
    world.wait_for(&["10.1.0.2:9100{}", "10.2.0.2:9100{}", "machine:9100{}"]).await;
    let asked = engine.asked();
    let (containers, networks) = (&asked[asked.len() - 2], &asked[asked.len() - 1]);
    assert_eq!(containers.path, "/v1.41/containers/json");
    assert_eq!(containers.filters, Some(json!({ "status": ["running"] })));
    assert_eq!((networks.path.as_str(), &networks.filters), ("/v1.41/networks", &None));
    assert!(world.metric("prometheus_sd_refresh_failures_total{mechanism=\"docker\"} 0"));
}

#[test]
fn refusals_say_what_is_wrong() {
    for (keys, said) in [
        ("port: 80", "host is missing"),
        ("host: 'docker.sock'", "host \"docker.sock\" is none of"),
        ("host: 'unix:///s', role: tasks", "unknown field `role`"),
        ("host: 'unix:///s', match_first_network: 1", "expected a boolean"),
        ("host: 'unix:///s', refresh_interval: 0s", "refresh_interval must be greater than zero"),
    ] {
        let error = parse(KEY, &format!("[{{{keys}}}]")).expect_err(keys);
        assert!(error.contains(said) && error.lines().count() == 1, "{keys}: {error:?} lacks {said:?}");
    }
}
