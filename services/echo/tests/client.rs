//! The client beside a server that is there, is away, comes and goes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use provisioning_parts::{Process, Start, free_port, get};
use rustix::process::Signal;
use support::Server;

const CLIENT: &str = env!("CARGO_BIN_EXE_echo-client");

fn start(address: &str, env: &[(&str, &str)]) -> Process {
    let own = [("CLI_ID", "1"), ("CLI_SERVER_ADDRESS", address), ("CLI_LOOP_PERIOD", "100ms")];
    Start::new(CLIENT).clean_environment().envs(own).envs(env.iter().copied()).spawn()
}

/// The log, each line without its time, which is one.
#[track_caller]
fn log(process: &Process) -> Vec<String> {
    let without_time = |line: &str| {
        let (time, rest) = line.split_at(28);
        let digits_gone: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(digits_gone, "time=\"0000-00-00T00:00:00Z\" ", "{line}");
        rest.to_owned()
    };
    process.output().lines().map(without_time).collect()
}

fn received(number: u32) -> String {
    format!(
        "level=info msg=\"[CLIENT 1] Message from server: Your Message has been received: \
         b'[CLIENT 1] Message number {number} sent'\""
    )
}

const FINISHED: &str = "level=info msg=\"[CLIENT 1] Main loop finished\"";

#[test]
fn it_sends_and_logs_until_the_lapse_is_over() {
    let mut server = Server::start(&[]);
    let mut client = start(&server.lines, &[("CLI_LOOP_LAPSE", "0m0.55s")]);
    assert!(client.await_exit().success());
    let log = log(&client);
    let (last, answers) = log.split_last().unwrap();
    assert_eq!(last, FINISHED);
    // Six where nothing is slow: at 0, 100, …, 500 ms.
    assert!((2..=6).contains(&answers.len()), "{log:#?}");
    assert_eq!(answers, (1..).map(received).take(answers.len()).collect::<Vec<_>>());
    assert_eq!(client.log(), "");
    // A connection for each message.
    assert_eq!(server.service.metric("echo_connections_total"), Some(answers.len() as f64));
    server.await_log(". Msg: b'[CLIENT 1] Message number 1 sent'");
}

#[test]
fn it_goes_on_while_the_server_is_away() {
    let port = free_port();
    let lines = format!("localhost:{port}");
    let metrics = free_port().to_string();
    let env = [("CLI_LOOP_LAPSE", "10m"), ("BIND_ADDRESS", "127.0.0.1"), ("BIND_PORT", metrics.as_str())];
    let mut client = start(&lines, &env);
    let failed = format!("level=error msg=\"[CLIENT 1] Message number 1 failed: cannot connect to {lines}: ");
    client.await_output("a failure", |text| text.contains(&failed[..]).then_some(()));

    let mut server = Server::start(&[("SERVER_PORT", &port.to_string())]);
    let answers = |text: &str| text.matches("Message from server").count();
    let before = client.await_output("two answers", |text| Some(answers(text)).filter(|&count| count >= 2));
    server.service.kill();
    let failures = |text: &str| text.matches("level=error").count();
    let seen = failures(&client.output());
    client.await_output("another failure", |text| (failures(text) > seen).then_some(()));

    let _server = Server::start(&[("SERVER_PORT", &port.to_string())]);
    client.await_output("answers again", |text| (answers(text) > before + 1).then_some(()));
    let page = get(&format!("127.0.0.1:{metrics}"), "/metrics").unwrap();
    assert!(page.contains("echo_client_messages_failed_total{reason=\"connect\"} "), "{page}");
    assert!(client.terminate().success());
    assert_eq!(log(&client).last().unwrap(), FINISHED);
}

#[test]
fn an_answer_that_does_not_come_is_a_failure_and_no_answer_breaks_the_log() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut client = start(&address, &[("CLI_LOOP_LAPSE", "10m")]);
    let next = || {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        (stream, line)
    };
    let (stream, line) = next();
    assert_eq!(line, "[CLIENT 1] Message number 1 sent\n");
    drop(stream);
    let (stream, _) = next();
    stream.get_ref().write_all(b"\x1b[31m\"\\\xff\r\nmore\n").unwrap();
    let (stream, line) = next();
    assert_eq!(line, "[CLIENT 1] Message number 3 sent\n");
    // In the middle of the third.
    let began = Instant::now();
    client.signal(Signal::TERM);
    assert!(client.await_exit().success());
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    drop(stream);
    let want = [
        format!(
            "level=error msg=\"[CLIENT 1] Message number 1 failed: {address} closed the connection without an answer\""
        ),
        "level=info msg=\"[CLIENT 1] Message from server: \\x1b[31m\\\"\\\\\u{fffd}\"".to_owned(),
        "level=info msg=\"SIGTERM received, shutting down\"".to_owned(),
        "level=info msg=\"[CLIENT 1] Closing connection\"".to_owned(),
        FINISHED.to_owned(),
    ];
    assert_eq!(log(&client), want);
}

#[test]
fn its_settings_come_from_a_file_of_either_form_and_the_environment_wins() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!(
        "id: 7\nserver:\n  address: \"{}\"\nloop:\n  lapse: 1ms\n  period: 1ms\nlog:\n  level: info\n",
        server.lines
    );
    let lines = format!(
        "[DEFAULT]\nCLI_ID = 7\nCLI_SERVER_ADDRESS = {}\nCLI_LOOP_LAPSE = 1ms\nCLI_LOOP_PERIOD = 1ms\n",
        server.lines
    );
    for (name, text) in [("config.yaml", yaml), ("config.conf", lines)] {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let mut client = Start::new(CLIENT).clean_environment().env("CONFIG_FILE", &file).spawn();
        assert!(client.await_exit().success(), "{name}: {}", client.log());
        assert!(client.output().contains("[CLIENT 7] Message number 1 sent"), "{name}: {}", client.output());
        let over = [("CONFIG_FILE", file.to_str().unwrap()), ("CLI_ID", "8")];
        let mut client = Start::new(CLIENT).clean_environment().envs(over).spawn();
        assert!(client.await_exit().success(), "{name}: {}", client.log());
        assert!(client.output().contains("[CLIENT 8] Message number 1 sent"), "{name}: {}", client.output());
    }
}

#[test]
fn what_is_wrong_is_named_by_its_key() {
    let unit = "a unit (ns, us, ms, s, m or h) is missing: a duration is written as 1m2s, 1.5h or 300ms";
    let check = |env: &[(&str, &str)], want: &str| {
        let output = Command::new(CLIENT).env_clear().envs(env.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(want), "{told}");
    };
    check(&[], "CLI_ID");
    check(&[("CLI_ID", "1"), ("CLI_LOOP_LAPSE", "62")], &format!("CLI_LOOP_LAPSE (environment): \"62\": {unit}"));
    check(&[("CLI_ID", "1"), ("CLI_LOOP_PERIOD", "ten")], "\"ten\": not a duration such as 1m2s, 1.5h or 300ms");
    check(&[("CLI_ID", "1"), ("CLI_SERVER_ADDRESS", "server")], "not of the form HOST:PORT");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yml");
    std::fs::write(&file, "id: 1\nloop:\n  period: 10\n").unwrap();
    let place = format!("{}: loop.period: \"10\": {unit} at line 3 column 11", file.display());
    check(&[("CONFIG_FILE", file.to_str().unwrap())], &place);
}

#[test]
fn its_metrics_are_off_unless_there_is_a_port_for_them() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let client = start(&address, &[("CLI_LOOP_LAPSE", "10m")]);
    let _held: TcpStream = listener.accept().unwrap().0;
    let sockets = std::fs::read_dir(format!("/proc/{}/fd", client.pid())).unwrap().flatten();
    let targets = sockets.filter_map(|fd| std::fs::read_link(fd.path()).ok());
    let inodes: Vec<String> = targets
        .filter_map(|to| Some(to.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').to_owned()))
        .collect();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap() + &std::fs::read_to_string("/proc/net/tcp6").unwrap();
    // 0A: it listens.
    let listening = table.lines().filter(|line| line.split_whitespace().nth(3) == Some("0A"));
    let ours = listening.filter(|line| line.split_whitespace().nth(9).is_some_and(|i| inodes.contains(&i.to_owned())));
    assert_eq!(ours.collect::<Vec<_>>(), Vec::<&str>::new());
    assert!(!inodes.is_empty());
}
