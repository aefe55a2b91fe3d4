//! The interactive client with the real agent, a real container and a real registry; and with each of them away.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use provisioning_parts::{Agent, Container, Process, Service, Start, binary, free_port};

const REGISTRY: &str = env!("CARGO_BIN_EXE_registry");
const CLIENT: &str = env!("CARGO_BIN_EXE_registry-client");

fn registry(folder: &tempfile::TempDir) -> Service {
    Service::start(REGISTRY, [("DATA_DIR", folder.path().to_str().unwrap())])
}

fn client(id: &str, registry: &str, agent: &str) -> Process {
    let env = [("REGISTRY_URL", format!("http://{registry}")), ("AGENT_URL", format!("http://{agent}/"))];
    Start::new(CLIENT).clean_environment().envs(env).args([id]).with_input().spawn()
}

/// Says a word and gives the line that comes of it.
fn told(client: &mut Process, word: &str) -> String {
    let before = client.output().lines().count();
    client.say(format!("{word}\n"));
    client.await_output("an answer", |output| output.lines().nth(before).map(str::to_owned))
}

#[test]
fn what_the_agent_tells_of_a_container_is_posted_and_got() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(&folder);
    let agent = Agent::start(binary("atalaia-agent"));
    let container = Container::script("registry-client", "while :; do sleep 1; done");
    let id = container.inspect("{{.Id}}");
    let mut client = client(&id, &registry.address, &agent.containers);

    assert_eq!(told(&mut client, "get"), "[]");
    let posted = told(&mut client, "post");
    let info: serde_json::Value = serde_json::from_str(&posted).unwrap_or_else(|e| panic!("{e}: {posted}"));
    assert_eq!((info["id"].as_str(), info["name"].as_str()), (Some(id.as_str()), Some(container.name.as_str())));
    assert!(info["memory_usage"].as_f64().unwrap() > 0.0, "{info}");
    for field in ["image", "timestamp", "cpu_usage"] {
        assert!(info.get(field).is_some(), "{field} in {info}");
    }
    assert_eq!(told(&mut client, "get"), format!("[{posted}]"));
    assert_eq!(registry.get(&format!("/service/{id}")).json(), info);

    // Nothing is posted of what the agent does not know.
    client.say("exit\n");
    assert!(client.await_exit().success());
    let mut client = self::client("no-such-container", &registry.address, &agent.containers);
    let unknown = told(&mut client, "post");
    assert!(unknown.starts_with("agent: 404 Not Found: "), "{unknown}");
    assert!(unknown.contains("no-such-container"), "{unknown}");
    assert_eq!(registry.metric("registry_records"), Some(1.0));
}

#[test]
fn anything_else_is_helped_and_the_end_of_input_ends_it() {
    let mut client = client("a", "127.0.0.1:1", "127.0.0.1:1");
    for word in ["help", "", "GET", "post it", "\u{fffd}"] {
        assert_eq!(told(&mut client, word), "Options are get, post and exit");
    }
    client.close_input();
    assert!(client.await_exit().success());
    // No prompt where nobody sits.
    assert_eq!(client.output(), "Options are get, post and exit\n".repeat(5));
    assert_eq!(client.log(), "");
}

#[test]
fn who_is_away_is_told_in_a_line_and_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut registry = registry(&folder);
    let nobody = format!("127.0.0.1:{}", free_port());
    let mut client = client("a/b", &registry.address, &nobody);
    assert_eq!(
        told(&mut client, "post"),
        format!("agent: cannot reach http://{nobody}/info/a%2Fb: Connection refused (os error 111)")
    );
    assert_eq!(told(&mut client, "get"), "[]");
    registry.kill();
    let away = told(&mut client, "get");
    assert!(away.starts_with(&format!("registry: cannot reach http://{}/service: ", registry.address)), "{away}");
    registry.restart();
    assert_eq!(told(&mut client, "get"), "[]");
    client.say("exit\n");
    assert!(client.await_exit().success());
}

#[test]
fn what_the_registry_refuses_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(&folder);
    let agent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = client("a", &registry.address, &agent.local_addr().unwrap().to_string());
    let answering = std::thread::spawn(move || {
        let (mut peer, _) = agent.accept().unwrap();
        assert!(peer.read(&mut [0; 1024]).unwrap() > 0);
        peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]").unwrap();
    });
    assert_eq!(told(&mut client, "post"), "[]");
    let refused = client.await_output("a refusal", |output| output.lines().nth(1).map(str::to_owned));
    let want = "registry: 400 Bad Request: the body is an array; a JSON object is wanted, such as {\"id\": \"…\"}";
    assert_eq!(refused, want);
    answering.join().unwrap();
}

#[test]
fn wrong_addresses_are_named() {
    let mut process = Start::new(CLIENT).clean_environment().env("REGISTRY_URL", "https://registry").spawn();
    assert_eq!(process.await_exit().code(), Some(2));
    let want = "registry-client: REGISTRY_URL (environment): \"https://registry\": \
                not of the form http://HOST[:PORT][/PATH]\n";
    assert_eq!(process.log(), want);
}
