//! Processes: what they get, what they write, how they end.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::path::Path;

use provisioning_parts::{Process, Start, eventually, free_port, program};

fn lives(pid: &str) -> bool {
    // One that has ended but is not reaped yet has no command line.
    std::fs::read(Path::new("/proc").join(pid).join("cmdline")).is_ok_and(|line| !line.is_empty())
}

#[test]
fn environment_folder_input_and_both_outputs() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Start::new("sh")
        .args(["-c", "read line; echo \"$line $KEY ${HOME:-none}\" $(pwd); echo wrong >&2; exit 3"])
        .clean_environment()
        .env("KEY", "value")
        .folder(folder.path())
        .with_input()
        .spawn();
    process.say("hello\n");
    assert_eq!(process.await_exit().code(), Some(3));
    assert_eq!(process.output(), format!("hello value none {}\n", folder.path().display()));
    assert_eq!(process.log(), "wrong\n");
}

#[test]
fn the_end_of_input_reaches_it() {
    let mut process = Start::new("cat").with_input().spawn();
    process.say("one\n");
    process.await_output("one", |text| text.contains("one").then_some(()));
    process.close_input();
    assert!(process.await_exit().success());
}

#[test]
fn addresses_are_read_from_the_log() {
    let script =
        "echo 'INFO listening address=127.0.0.1:1 role=a' >&2; echo 'x listening address=\"[::1]:2\"'; sleep 60";
    let mut process = Process::start("sh", &["-c", script]);
    let mut addresses = process.await_addresses(2);
    addresses.sort();
    assert_eq!(addresses, ["127.0.0.1:1", "[::1]:2"]);
}

#[test]
#[should_panic(expected = "before a line:\nlast words")]
fn an_early_end_is_told_with_the_last_words() {
    Process::start("sh", &["-c", "echo last words >&2; exit 1"]).await_log("a line", |_| None::<()>);
}

#[test]
fn it_dies_with_all_that_it_started() {
    let mut process = Process::start("sh", &["-c", "sleep 600 & echo $!; sh -c 'sleep 600 & echo $!; wait' & wait"]);
    let pids = process.await_output("two pids", |text| {
        // A line that has no end yet may be half a pid.
        let pids: Vec<String> =
            text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect();
        // Between two programs a process has no command line for a moment.
        (pids.len() == 2 && pids.iter().all(|pid| lives(pid))).then_some(pids)
    });
    let own = process.pid().to_string();
    drop(process);
    assert!(!lives(&own) && !pids.iter().any(|pid| lives(pid)));
}

#[test]
fn terminate_lets_it_say_goodbye() {
    let mut process =
        Process::start("sh", &["-c", "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done"]);
    process.await_output("ready", |text| text.contains("ready").then_some(()));
    assert_eq!(process.terminate().code(), Some(7));
    assert_eq!(process.output(), "ready\nbye\n");
}

#[test]
fn a_stopped_process_stands_still() {
    let process = Process::start("sh", &["-c", "while :; do echo tick; sleep 0.01; done"]);
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap().contains(") T ");
    process.stop();
    eventually(5, "it stops", || state().then_some(()).ok_or_else(String::new));
    process.cont();
    eventually(5, "it goes on", || (!state()).then_some(()).ok_or_else(String::new));
}

#[test]
fn free_ports_differ_and_are_free() {
    let ports: Vec<u16> = (0..20).map(|_| free_port()).collect();
    let all: Vec<TcpListener> = ports.iter().map(|port| TcpListener::bind(("127.0.0.1", *port)).unwrap()).collect();
    assert_eq!(all.len(), 20);
}

#[test]
#[should_panic(expected = "no-such-program is not installed: make setup-test")]
fn what_is_missing_names_the_command_that_brings_it() {
    program("no-such-program");
}
