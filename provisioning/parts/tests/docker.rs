//! Containers and networks come, can be asked, and go.
#![allow(clippy::unwrap_used)]

use provisioning_parts::{Container, Network, demo_image, docker, docker_available, eventually};

#[test]
fn a_container_and_its_network_come_and_go() {
    docker_available();
    let network = Network::create("parts");
    let options = ["--network", &network.name, "--network-alias", "here"];
    let script = "echo hello; exec /bin/busybox sleep 600";
    let container = Container::run("parts", &options, demo_image(), &[script]);
    eventually(10, "it writes", || match container.logs().as_str() {
        "hello\n" => Ok(()),
        other => Err(other.to_owned()),
    });
    assert_eq!(container.inspect("{{.State.Running}}"), "true");
    let names = (container.name.clone(), network.name.clone());
    drop(container);
    drop(network);
    assert_eq!(docker(&["ps", "-aq", "--filter", &format!("name={}", names.0)]), "");
    assert_eq!(docker(&["network", "ls", "-q", "--filter", &format!("name={}", names.1)]), "");
}

#[test]
#[should_panic(expected = "failed (no engine? provisioning/local/docker-engine.sh start)")]
fn a_failure_names_the_command_and_what_docker_said() {
    docker(&["inspect", "no-such-container-anywhere"]);
}
