//! What the server answers and logs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::process::Command;

use provisioning_parts::{Start, eventually, free_port, program};
use support::{Peer, RECEIVED, Server, piped};

/// Lines of all kinds of bytes, without their ends.
fn lines() -> Vec<Vec<u8>> {
    let bytes = || (0..=u8::MAX).filter(|&byte| byte != b'\n');
    let alone = bytes().map(|byte| vec![byte]);
    let within = bytes().map(|byte| vec![b'x', byte, b'y']);
    let last = bytes().map(|byte| vec![b'x', byte, byte]);
    let quotes = ["", "'", "\"", "'\"", "\"'", "it's", "\\'", "say \"it's\" \\n", " a b \t", "ñandú 🦀"];
    let quotes = quotes.iter().map(|text| text.as_bytes().to_vec());
    // A small generator with a fixed beginning: the same lines each time.
    let mut state = 1_u32;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    let mixed = std::iter::repeat_with(move || {
        let length = random();
        (0..length).map(|_| random()).filter(|&byte| byte != b'\n').collect()
    });
    alone.chain(within).chain(last).chain(quotes).chain(mixed.take(200)).collect()
}

#[test]
fn answers_are_python_s_own_for_all_bytes() {
    let lines = lines();
    let script = "import sys\nfor line in sys.stdin:\n\
                  \x20   print('Your Message has been received: {}'.format(bytes.fromhex(line).rstrip()))";
    let hex = |line: &Vec<u8>| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    let input: String = lines.iter().map(hex).collect();
    let oracle = piped(Command::new(program("python3")).args(["-c", script]), input.as_bytes());
    let oracle = String::from_utf8(oracle).unwrap();

    let server = Server::start(&[]);
    let mut peer = server.connect();
    peer.say(lines.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect::<Vec<u8>>());
    peer.end();
    let answers = peer.hear_all();
    for ((line, got), want) in lines.iter().zip(answers.lines()).zip(oracle.lines()) {
        assert_eq!(got, want, "{line:?}");
    }
    assert_eq!(answers.lines().count(), lines.len());
    assert_eq!(answers, oracle);
    assert_eq!(server.service.metric("echo_lines_total"), Some(lines.len() as f64));
}

#[test]
fn the_log_has_its_form() {
    let mut server = Server::start(&[]);
    let mut peers = [server.connect(), server.connect()];
    for (number, peer) in (1..).zip(&mut peers) {
        peer.say(format!("[CLIENT 1] Message number {number} sent\n"));
        assert_eq!(peer.hear(), format!("{RECEIVED}b'[CLIENT 1] Message number {number} sent'\n"));
    }
    let names = peers.each_ref().map(Peer::name);
    server.await_log("Message number 2 sent'");
    let begin = server.log().iter().position(|line| line.contains("Serving lines on")).unwrap() + 1;
    let mut log = server.log().split_off(begin);
    assert_eq!(log[0], "INFO     Proceed to accept new connections");
    assert_eq!(log[1], format!("INFO     Got connection from {}", names[0]));
    let mut want = vec!["INFO     Proceed to accept new connections".to_owned(); 3];
    for (number, name) in (1..).zip(names) {
        want.push(format!("INFO     Got connection from {name}"));
        want.push(format!(
            "INFO     Message received from connection {name}. Msg: b'[CLIENT 1] Message number {number} sent'"
        ));
    }
    // The next is accepted while the first is answered: the order of these is not set.
    log.sort();
    want.sort();
    assert_eq!(log, want);
}

#[test]
fn the_log_may_be_json() {
    let port = free_port().to_string();
    let env = [("SERVER_PORT", port.as_str()), ("BIND_PORT", "0"), ("LOG_FORMAT", "json")];
    let mut process = Start::new(env!("CARGO_BIN_EXE_echo-server")).clean_environment().envs(env).spawn();
    process.await_output("the first line", |log| log.contains("Proceed to accept").then_some(()));
    let mut peer = Peer::connect(&format!("127.0.0.1:{port}"));
    peer.say("a\"\x1b[0m\n");
    peer.hear();
    let find = |log: &str| log.lines().find(|line| line.contains("Message received")).map(str::to_owned);
    let line = process.await_output("the message", find);
    assert!(line.starts_with('{') && line.contains(r#"Msg: b'a\"\\x1b[0m'""#), "{line}");
}

#[test]
fn netcat_gets_its_answer_and_ends() {
    let server = Server::start(&[]);
    let (host, port) = server.lines.rsplit_once(':').unwrap();
    let nc = program("nc");
    let ask = |input: &[u8]| {
        let answer = piped(Command::new(&nc).args(["-N", "-w", "15", host, port]), input);
        String::from_utf8(answer).unwrap()
    };
    assert_eq!(ask(b"hi\n"), format!("{RECEIVED}b'hi'\n"));
    assert_eq!(ask(b"hi"), format!("{RECEIVED}b'hi'\n"), "a last line without its end");
    assert_eq!(ask(b"one\r\ntwo \nthree"), format!("{RECEIVED}b'one'\n{RECEIVED}b'two'\n{RECEIVED}b'three'\n"));
    assert_eq!(ask(b""), "");
}

#[test]
fn one_line_a_connection_if_so_set() {
    let server = Server::start(&[("SERVER_LINES_PER_CONNECTION", "1")]);
    let mut peer = server.connect();
    peer.say("one\ntwo\n");
    assert_eq!(peer.hear_all(), format!("{RECEIVED}b'one'\n"));
    drop(peer);
    // Without -N, netcat waits until the server closes.
    let (host, port) = server.lines.rsplit_once(':').unwrap();
    let answer = piped(Command::new(program("nc")).args(["-w", "15", host, port]), b"hi\n");
    assert_eq!(String::from_utf8(answer).unwrap(), format!("{RECEIVED}b'hi'\n"));
    eventually(10, "both have ended", || match server.ended("last_line") {
        2.0 => Ok(()),
        other => Err(format!("{other}")),
    });
}

#[test]
fn two_hundred_talk_at_once() {
    let server = Server::start(&[]);
    let mut peers: Vec<Peer> = (0..200).map(|_| server.connect()).collect();
    for round in 0..20 {
        // Half of a line from each, then the other half, so that all are in the middle of one at the same time.
        for (number, peer) in peers.iter_mut().enumerate() {
            peer.say(format!("peer {number} "));
        }
        for peer in &mut peers {
            peer.say(format!("round {round}\n"));
        }
        for (number, peer) in peers.iter_mut().enumerate() {
            assert_eq!(peer.hear(), format!("{RECEIVED}b'peer {number} round {round}'\n"));
        }
    }
    assert_eq!(server.service.metric("echo_connections_open"), Some(200.0));
    assert_eq!(server.service.metric("echo_connections_total"), Some(200.0));
    // A line counts when its answer has been sent, which the other end may hear before.
    for metric in ["echo_lines_total", "echo_line_duration_seconds_count"] {
        eventually(10, "all lines are counted", || match server.service.metric(metric) {
            Some(4000.0) => Ok(()),
            other => Err(format!("{metric}: {other:?}")),
        });
    }
}

#[test]
fn its_settings_come_from_a_file_and_the_environment_wins() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.ini");
    let text = "[DEFAULT]\nSERVER_PORT = 1\nSERVER_LISTEN_BACKLOG = 5\nSERVER_MAX_LINE_BYTES = 4\n";
    std::fs::write(&file, text).unwrap();
    let mut server = Server::start(&[("CONFIG_FILE", file.to_str().unwrap())]);
    assert!(server.log().iter().any(|line| line.ends_with(", backlog 5")), "{:?}", server.log());
    let mut peer = server.connect();
    peer.say("12345\n");
    assert_eq!(peer.hear(), "Your Message has been refused: longer than 4 bytes\n");
}

#[test]
fn what_is_wrong_is_named_by_its_key() {
    for (key, value, reason) in [
        ("SERVER_PORT", "many", "invalid digit found in string"),
        ("SERVER_LISTEN_BACKLOG", "0", "0 is not in 1..=65535"),
        ("SERVER_LINE_TIMEOUT", "30", "a unit (ns, us, ms, s, m or h) is missing"),
        ("SERVER_WRITE_TIMEOUT", "0s", "must be longer than 0, such as 10s"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_echo-server")).env_clear().env(key, value).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.starts_with(&format!("echo-server: {key} (environment): \"{value}\": {reason}")), "{told}");
    }
}
