//! The log's two forms and its levels.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod running;

use provisioning_parts::Process;
use running::{Agent, BINARY, command};

#[test]
fn json_is_an_object_per_line() {
    let flags = [
        "--web.listen-address=127.0.0.1:0",
        "--docker=",
        "--podman=",
        "--containerd=",
        "--crio=",
        "--log.format=json",
        "--v=4",
    ];
    let mut process = Process::start(BINARY, &flags);
    let mut find = |message: &str| -> serde_json::Value {
        process.await_log(message, |log| {
            let mut objects = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect(line));
            objects.find(|object| object["msg"] == message)
        })
    };
    let ignored = find("these flags have no effect here");
    assert_eq!((ignored["level"].as_str(), ignored["flags"].as_str()), (Some("warn"), Some("--v")));
    let listening = find("listening");
    assert_eq!((listening["level"].as_str(), listening["role"].as_str()), (Some("info"), Some("node")));
    assert!(listening["address"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert!(listening["time"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn flags_without_effect_are_named_once() {
    let mut agent = Agent::start(&["--collector.supervisord", "--housekeeping_interval=10s", "--no-collector.runit"]);
    agent.process.terminate();
    let log = agent.process.log();
    assert_eq!(log.lines().filter(|line| line.contains("no effect")).count(), 1, "{log}");
    let output = command(&["--web.listen-address=nonsense", "--collector.supervisord", "--v=2"]).output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("no effect")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(warnings[0].contains("flags=\"--collector.supervisord --v\""), "{log}");
}

#[test]
fn levels_hide_what_is_below_them() {
    let output = command(&["--web.listen-address=nonsense", "--v=2", "--log.level=error"]).output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.lines().count() == 1 && log.contains("level=error msg=\"cannot start\""), "{log}");
}
