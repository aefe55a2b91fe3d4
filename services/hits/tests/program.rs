//! What every service does as a process: settings from all places, the log, the health check, the end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use provisioning_parts::{Process, Service, Start, free_port};
use rustix::process::Signal;

const HITS: &str = env!("CARGO_BIN_EXE_hits");

/// Runs the program to its end; gives its exit code and what it wrote to standard error.
fn run(args: &[&str], env: &[(&str, &str)]) -> (i32, String) {
    let mut process = Start::new(HITS).clean_environment().args(args).envs(env.iter().copied()).spawn();
    let status = process.await_exit();
    (status.code().unwrap(), process.log())
}

fn start(args: &[&str], env: &[(&str, &str)]) -> (Process, String) {
    let start = Start::new(HITS).clean_environment().env("BIND_ADDRESS", "127.0.0.1");
    let mut process = start.args(args).envs(env.iter().copied()).spawn();
    let address = process.await_log("an address", |log| {
        let (_, rest) = log.lines().find(|line| line.contains("listening"))?.rsplit_once("127.0.0.1:")?;
        Some(format!("127.0.0.1:{}", rest.trim_end_matches(['"', '}'])))
    });
    (process, address)
}

#[test]
fn flag_environment_file_and_default_in_this_order() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hits.env");
    let [flag, environment, in_file] = [free_port(), free_port(), free_port()].map(|port| port.to_string());
    std::fs::write(&file, format!("BIND_PORT={in_file}\nLOG_FORMAT=json\n")).unwrap();
    let file = file.to_str().unwrap();
    #[track_caller]
    fn check(args: &[&str], env: &[(&str, &str)], want: &str) {
        let (_process, address) = start(args, env);
        assert_eq!(address, format!("127.0.0.1:{want}"), "{args:?} {env:?}");
    }
    check(&["--bind-port", &flag], &[("CONFIG_FILE", file), ("BIND_PORT", &environment)], &flag);
    check(&["--config-file", file], &[("BIND_PORT", &environment)], &environment);
    check(&["--config-file", file], &[], &in_file);
    // Set to nothing is not set, for a value, a secret, its file, and the file of settings.
    check(&[], &[("CONFIG_FILE", file), ("BIND_PORT", ""), ("REDIS_PASSWORD", "")], &in_file);
    check(&["--bind-port", &flag], &[("CONFIG_FILE", ""), ("REDIS_PASSWORD_FILE", ""), ("LOG_LEVEL", "")], &flag);
}

#[test]
fn what_is_wrong_is_told_in_one_line_with_its_key() {
    #[track_caller]
    fn check(env: &[(&str, &str)], want: &str) {
        assert_eq!(run(&[], env), (2, format!("hits: {want}\n")), "{env:?}");
    }
    check(&[("BIND_PORT", "eighty")], "BIND_PORT (environment): \"eighty\": invalid digit found in string");
    check(&[("LOG_FORMAT", "xml")], "LOG_FORMAT (environment): \"xml\": one of text, json is right");
    check(&[("MAX_CONNECTIONS", "0")], "MAX_CONNECTIONS (environment): \"0\": 0 is not in 1..=4294967295");
    check(&[("CONFIG_FILE", "/no/such")], "cannot read settings file /no/such: No such file or directory (os error 2)");
    let (code, help) = run(&["--bind-prot=1"], &[]);
    assert_eq!(code, 2);
    assert!(help.contains("--bind-prot"), "{help}");
}

#[test]
fn a_port_in_use_is_named_with_the_keys_that_choose_another() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, log) = run(&[], &[("BIND_ADDRESS", "127.0.0.1"), ("BIND_PORT", &port)]);
    assert_eq!(code, 1);
    let want = format!(
        "hits: cannot listen on 127.0.0.1:{port} (BIND_ADDRESS and BIND_PORT choose another): \
         Address already in use (os error 98)\n"
    );
    assert_eq!(log, want);
}

#[test]
fn the_health_check_knows_well_away_and_hung() {
    let mut hits = Service::start(HITS, [("REDIS_PORT", "1")]);
    let port = hits.address.rsplit(':').next().unwrap().to_owned();
    let health = || run(&["health"], &[("BIND_PORT", &port)]);
    assert_eq!(health(), (0, String::new()));

    hits.process().stop();
    let asked = Instant::now();
    let (code, log) = health();
    assert_eq!((code, log), (1, format!("hits: 127.0.0.1:{port} gave no answer in 4 s\n")));
    // Docker's own deadline is 5 s.
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    hits.process().cont();
    assert_eq!(health().0, 0);

    hits.kill();
    let (code, log) = health();
    assert_eq!(code, 1);
    assert!(log.contains("refused"), "{log}");
}

#[test]
fn a_server_that_answers_something_else_is_not_well() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let answering = std::thread::spawn(move || {
        let (mut peer, _) = other.accept().unwrap();
        assert!(peer.read(&mut [0; 1024]).unwrap() > 0);
        peer.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    let (code, log) = run(&["health"], &[("BIND_PORT", &port)]);
    assert_eq!((code, log), (1, format!("hits: 127.0.0.1:{port} answered \"HTTP/1.1 404 Not Found\"\n")));
    answering.join().unwrap();
}

#[test]
fn the_log_is_text_or_json_down_to_the_level() {
    let (mut process, address) = start(&[], &[("LOG_FORMAT", "json"), ("BIND_PORT", "0"), ("REDIS_PORT", "1")]);
    assert_eq!(provisioning_parts::request("GET", &address, "/", "").unwrap().0, 503);
    let refused = process.await_log("the refusal", |log| Some(log.lines().find(|l| l.contains("refused"))?.to_owned()));
    for part in [r#""level":"WARN""#, r#""status":503"#, r#""reason":"redis at 127.0.0.1:1 is away: "#] {
        assert!(refused.contains(part), "{refused}");
    }
    process.terminate();
    let log = process.log();
    assert!(log.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "{log}");

    let (mut process, _) = start(&[], &[("BIND_PORT", "0")]);
    process.terminate();
    let log = process.log();
    assert!(log.contains(" INFO listening address=127.0.0.1:"), "{log}");
    assert!(log.contains(" INFO SIGTERM received, shutting down"), "{log}");

    let port = free_port().to_string();
    let start = Start::new(HITS).clean_environment().envs([("LOG_LEVEL", "ERROR"), ("BIND_PORT", &port)]);
    let mut process = start.spawn();
    let address = format!("127.0.0.1:{port}");
    provisioning_parts::eventually(10, "it listens", || provisioning_parts::get(&address, "/healthz"));
    process.terminate();
    assert_eq!(process.log(), "");
}

#[test]
fn both_signals_end_it_well_and_idle_connections_do_not_hold_it() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut hits = Service::start(HITS, [("REDIS_PORT", "1")]);
        let mut idle = TcpStream::connect(&hits.address).unwrap();
        idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert!(idle.read(&mut [0; 1024]).unwrap() > 0);
        let _silent = TcpStream::connect(&hits.address).unwrap();
        let told = Instant::now();
        hits.process().signal(signal);
        assert!(hits.process().await_exit().success());
        assert!(told.elapsed() < Duration::from_secs(2), "{:?}", told.elapsed());
    }
}

#[test]
fn a_closed_standard_error_does_no_harm() {
    let port = free_port().to_string();
    let script = format!("BIND_PORT={port} REDIS_PORT=1 exec {HITS} 2>&1 | true; sleep 60");
    let _shell = Start::new("sh").args(["-c", &script]).spawn();
    let address = format!("127.0.0.1:{port}");
    provisioning_parts::eventually(10, "it listens", || provisioning_parts::get(&address, "/healthz"));
    for _ in 0..3 {
        assert_eq!(provisioning_parts::request("GET", &address, "/", "").unwrap().0, 503);
    }
}
