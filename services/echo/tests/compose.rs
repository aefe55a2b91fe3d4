//! The two scripts: a compose file with N clients, and the test by netcat inside a network.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::path::Path;
use std::process::{Command, Output};

use provisioning_parts::{Network, docker, program, root};
use support::Server;

fn script(name: &str, arguments: &[&str]) -> Output {
    let path = root().join("services/echo").join(name);
    Command::new(path).args(arguments).output().unwrap()
}

/// What compose makes of a file.
#[track_caller]
fn config(file: &Path) -> String {
    let mut command = Command::new(program("docker-compose"));
    let command = command.args(["-p", "echo", "-f"]).arg(file).arg("config");
    for name in ["ATALAIA_TAG", "ECHO_NAMES", "ECHO_SERVER_NAME", "ECHO_CLIENT_NAME", "TESTING_NET"] {
        command.env_remove(name);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn generated(clients: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("echo.yml");
    let output = script("generate-compose.sh", &[clients]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::write(&file, output.stdout).unwrap();
    config(&file)
}

#[test]
fn one_client_is_what_the_file_of_the_pair_is() {
    assert_eq!(generated("1"), config(&root().join("provisioning/compose/echo.yml")));
}

#[test]
fn many_clients_have_ids_and_names_of_their_own() {
    let config = generated("12");
    for id in 1..=12 {
        for line in
            [format!("  client{id}:"), format!("    container_name: client{id}"), format!("      CLI_ID: '{id}'")]
        {
            assert_eq!(config.lines().filter(|found| **found == line).count(), 1, "{line}");
        }
    }
    assert_eq!(config.matches("CLI_ID").count(), 12);
    let most = script("generate-compose.sh", &["252"]);
    assert!(most.status.success());
    assert_eq!(String::from_utf8(most.stdout).unwrap().matches("CLI_ID").count(), 252);
}

#[test]
fn what_is_no_number_of_clients_is_refused() {
    for wrong in
        [&["0"][..], &["253"], &["-1"], &["1.5"], &["x"], &[""], &["07"], &["1", "2"], &[], &["99999999999999999999"]]
    {
        let output = script("generate-compose.sh", wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(output.stdout.is_empty(), "{wrong:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.starts_with("usage: generate-compose.sh N > FILE"), "{told}");
    }
}

#[test]
fn netcat_in_the_network_finds_the_server_right_or_wrong() {
    let network = Network::create("netcat");
    let gateway = docker(&["network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", &network.name]);
    // The server is reached at the network's own end on this machine: no port is published.
    let server = Server::start(&[("BIND_ADDRESS", gateway.as_str())]);
    let (host, port) = server.lines.rsplit_once(':').unwrap();
    let check = |arguments: &[&str], code: i32, begin: &str| {
        let output = script("test-netcat.sh", arguments);
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(told.starts_with(begin), "{told}");
        assert_eq!(output.status.code(), Some(code), "{told}");
    };
    check(&[&network.name, host, port], 0, "echo test: success: sent it's \"");
    assert_eq!(server.service.metric("echo_lines_total"), Some(1.0));
    // Nobody listens; somebody listens who is no echo server; there is no such container.
    check(&[&network.name, host, "1"], 1, "echo test: fail: ");
    let (_, pages) = server.service.address.rsplit_once(':').unwrap();
    check(&[&network.name, host, pages], 1, "echo test: fail: sent it's \"");
    check(&["", "atalaia-test-no-such-container"], 1, "echo test: fail: no container is called");
}
