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

/// What a command line writes to a terminal of its own, as bsdutils' `script` makes one.
fn in_a_terminal(flags: &str, no_color: &str) -> String {
    let line = format!("NO_COLOR={no_color} {BINARY} {flags}");
    let output = std::process::Command::new("script").args(["-qec", &line, "/dev/null"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let wrong = "--web.listen-address=nonsense";
    let coloured = in_a_terminal(wrong, "");
    assert!(coloured.contains("level=\u{1b}[31merror\u{1b}[0m "), "{coloured:?}");
    assert!(in_a_terminal("--help", "").contains("\u{1b}["));
    let plain = String::from_utf8(command(&[wrong]).output().unwrap().stderr).unwrap();
    let help = String::from_utf8(command(&["--help"]).output().unwrap().stdout).unwrap();
    let json = in_a_terminal(&format!("--log.format=json {wrong}"), "");
    for text in [plain, help, json, in_a_terminal(wrong, "1"), in_a_terminal("--help", "1")] {
        assert!(text.contains("nonsense") || text.contains("--web.config.file"), "{text:?}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}
