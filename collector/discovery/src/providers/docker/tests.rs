//! Answers as engines give them, and the targets that they mean.

use super::PREFIX;
use super::containers::{self, Rules};
use crate::engine::Networks;
use crate::meta;

const NETWORKS: &str = r#"[
  {"Name": "front", "Id": "f", "Scope": "local", "Internal": false, "Ingress": false, "Labels": {"a.b": "c"}},
  {"Name": "back", "Id": "b", "Scope": "local", "Internal": true, "Ingress": false, "Labels": {}}
]"#;

const FRONT: &str = r#"network_id="f", network_ingress="false", network_internal="false", network_ip="10.1.0.2",
  network_label_a_b="c", network_name="front", network_scope="local""#;
const BACK: &str = r#"network_id="b", network_ingress="false", network_internal="true", network_ip="10.2.0.2",
  network_name="back", network_scope="local""#;

const DB: &str = r#"{"Id": "db1", "Names": ["/db", "/app/db"], "Image": "postgres:15", "ImageID": "sha256:aa",
  "Labels": {"com.docker.compose.service": "db"}, "State": "running", "HostConfig": {"NetworkMode": "front"},
  "Ports": [{"PrivatePort": 5432, "Type": "tcp"},
    {"IP": "0.0.0.0", "PrivatePort": 9187, "PublicPort": 19187, "Type": "tcp"},
    {"PrivatePort": 53, "Type": "udp"}],
  "NetworkSettings": {"Networks": {
    "front": {"NetworkID": "f", "IPAddress": "10.1.0.2", "GlobalIPv6Address": "fd00::2"},
    "back": {"NetworkID": "b", "IPAddress": "10.2.0.2"}, "odd": null}}}"#;

const DB_LABELS: &str = r#"container_id="db1", container_name="/db", container_network_mode="front",
  container_image="postgres:15", container_image_id="sha256:aa", container_label_com_docker_compose_service="db""#;

#[track_caller]
fn check(answer: &str, match_first_network: bool, want: &[String]) {
    let containers: Vec<_> = serde_json::from_str(answer).unwrap();
    let rules = Rules { port: 80, host_networking_host: "localhost".to_owned(), match_first_network };
    let targets = containers::targets(&containers, &Networks::of_json(NETWORKS, PREFIX), &rules);
    meta::check(&targets, PREFIX, want);
}

fn target(address: &str, labels: &[&str]) -> String {
    format!("{address}{{{}}}", labels.join(","))
}

#[test]
fn the_first_network_by_name_counts_and_each_tcp_port_in_it() {
    let all = format!("[{DB}]");
    let of_9187 = [DB_LABELS, BACK, r#"port_private="9187",port_public="19187",port_public_ip="0.0.0.0""#];
    check(
        &all,
        true,
        &[target("10.2.0.2:5432", &[DB_LABELS, BACK, r#"port_private="5432""#]), target("10.2.0.2:9187", &of_9187)],
    );
    let mut in_front = of_9187;
    in_front[1] = FRONT;
    check(
        &all,
        false,
        &[
            target("10.2.0.2:5432", &[DB_LABELS, BACK, r#"port_private="5432""#]),
            target("10.2.0.2:9187", &of_9187),
            target("10.1.0.2:5432", &[DB_LABELS, FRONT, r#"port_private="5432""#]),
            target("10.1.0.2:9187", &in_front),
        ],
    );
}

#[test]
fn containers_without_a_port_have_the_configured_one_and_those_on_the_machine_the_configured_host() {
    let silent = r#"{"Id": "i", "Names": ["/s"], "HostConfig": {"NetworkMode": "back"}, "Ports": [], "Labels": null,
      "NetworkSettings": {"Networks": {"back": {"NetworkID": "b", "IPAddress": "10.2.0.2"}}}}"#;
    let only_ipv6 = r#"{"Id": "i", "Names": ["/s"], "HostConfig": {"NetworkMode": "x"}, "Ports": null,
      "NetworkSettings": {"Networks": {"x": {"NetworkID": "x", "IPAddress": "", "GlobalIPv6Address": "fd00::2"}}}}"#;
    let on_machine = r#"{"Id": "i", "Names": ["/s"], "HostConfig": {"NetworkMode": "host"},
      "NetworkSettings": {"Networks": {"host": {"NetworkID": "h", "IPAddress": ""}}}}"#;
    let named = |mode: &str| format!(r#"container_id="i",container_name="/s",container_network_mode="{mode}""#);
    check(&format!("[{silent}]"), true, &[target("10.2.0.2:80", &[&named("back"), BACK])]);
    check(&format!("[{only_ipv6}]"), true, &[target("[fd00::2]:80", &[&named("x"), r#"network_ip="fd00::2""#])]);
    check(&format!("[{on_machine}]"), true, &[target("localhost", &[&named("host")])]);
}

#[test]
fn a_container_in_the_network_of_another_is_there() {
    let sharing = |id: &str, of: &str| {
        format!(
            r#"{{"Id": "{id}", "Names": ["/{id}"], "HostConfig": {{"NetworkMode": "container:{of}"}},
              "Ports": [{{"PrivatePort": 9104, "Type": "tcp"}}], "NetworkSettings": {{"Networks": {{}}}}}}"#
        )
    };
    let want = |id: &str, of: &str| {
        let labels = format!(r#"container_id="{id}",container_name="/{id}",container_network_mode="container:{of}""#);
        target("10.2.0.2:9104", &[&labels, BACK, r#"port_private="9104""#])
    };
    let no_ports = DB.replace(r#""Type": "tcp""#, r#""Type": "sctp""#);
    let of_db = target("10.2.0.2:80", &[DB_LABELS, BACK]);
    check(
        &format!("[{}, {}, {no_ports}]", sharing("one", "two"), sharing("two", "db1")),
        true,
        &[want("one", "two"), want("two", "db1"), of_db],
    );
    // One that is not on the list, and an engine that lies.
    check(&format!("[{}]", sharing("one", "gone")), true, &[]);
    check(&format!("[{}, {}]", sharing("one", "two"), sharing("two", "one")), true, &[]);
    check(&format!("[{}]", sharing("one", "one")), true, &[]);
}

#[test]
fn what_is_no_container_yet_is_no_target() {
    check(r#"[{"Id": "i", "Names": null}, {"Id": "i", "Names": []}, {"Id": "i", "Names": ["/i"]}, {}]"#, true, &[]);
}
