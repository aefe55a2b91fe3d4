//! Peers that are slow, silent, loud or gone do not take the server from the others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use provisioning_parts::{eventually, free_port, get};
use rustix::process::{Pid, Signal, kill_process};
use support::{Peer, RECEIVED, Server};

#[track_caller]
fn await_ended(server: &Server, reason: &str, count: f64) {
    eventually(20, &format!("{count} ended with {reason}"), || match server.ended(reason) {
        found if found >= count => Ok(()),
        found => Err(format!("{found}")),
    });
}

#[track_caller]
fn assert_serves(server: &Server) {
    let (mut peer, began) = (server.connect(), Instant::now());
    peer.say("good\n");
    assert_eq!(peer.hear(), format!("{RECEIVED}b'good'\n"));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_line_of_the_limit_is_answered_and_a_longer_one_refused() {
    let server = Server::start(&[]);
    let longest = "x".repeat(8192);
    let mut peer = server.connect();
    peer.say(format!("{longest}\n{longest}\n"));
    for _ in 0..2 {
        assert_eq!(peer.hear(), format!("{RECEIVED}b'{longest}'\n"));
    }
    peer.say(format!("before\n{longest}x\nafter\n"));
    let refused = "Your Message has been refused: longer than 8192 bytes\n";
    assert_eq!(peer.hear_all(), format!("{RECEIVED}b'before'\n{refused}"));
    drop(peer);
    await_ended(&server, "line_too_long", 1.0);
}

#[test]
fn a_line_without_end_costs_no_memory() {
    let server = Server::start(&[]);
    let mut peers: Vec<Peer> = (0..20).map(|_| server.connect()).collect();
    let block = vec![b'x'; 1 << 20];
    for peer in &mut peers {
        // Up to 32 MiB, until the server has had enough.
        let _ = (0..32).try_for_each(|_| peer.stream().write_all(&block));
    }
    await_ended(&server, "line_too_long", 20.0);
    assert_serves(&server);
    let received = server.service.metric("echo_received_bytes_total").unwrap();
    assert!(received <= 20.0 * 8193.0 + 5.0, "{received}");
}

#[test]
fn who_keeps_silent_or_drips_is_let_go() {
    let mut server = Server::start(&[("SERVER_LINE_TIMEOUT", "700ms")]);
    let (mut silent, mut half, mut drip) = (server.connect(), server.connect(), server.connect());
    half.say("one\nhal");
    let began = Instant::now();
    // A byte now and then is no line. It goes on until the server has closed.
    let mut sent = 0;
    drip.stream().set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut byte = [0];
    while drip.stream().read(&mut byte).is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "a drip keeps its place");
        drip.say("d");
        sent += 1;
    }
    assert!(sent > 2, "{sent}");
    assert!(began.elapsed() > Duration::from_millis(600), "{:?}", began.elapsed());
    assert_eq!(half.hear_all(), format!("{RECEIVED}b'one'\n{RECEIVED}b'hal'\n"));
    assert_eq!(silent.hear_all(), "");
    await_ended(&server, "no_line", 3.0);
    server.await_log(&format!("WARNING  Connection with {} closed: no whole line in 700ms", silent.name()));
    assert_serves(&server);
}

#[test]
fn who_does_not_take_the_answers_is_let_go() {
    let server = Server::start(&[("SERVER_WRITE_TIMEOUT", "400ms")]);
    let deaf = server.connect();
    deaf.stream().set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    let lines = "\n".repeat(1 << 16);
    // Until all buffers are full and the server lets go.
    while deaf.stream().write_all(lines.as_bytes()).is_ok() {}
    await_ended(&server, "slow_reader", 1.0);
    assert_serves(&server);
}

#[test]
fn no_connection_lasts_for_ever() {
    let server = Server::start(&[("SERVER_CONNECTION_TIMEOUT", "600ms")]);
    let (mut peer, began) = (server.connect(), Instant::now());
    loop {
        // It talks all the time.
        if peer.stream().write_all(b"again\n").is_err() || peer.hear().is_empty() {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "it lasts too long");
    }
    assert!(began.elapsed() > Duration::from_millis(500), "{:?}", began.elapsed());
    await_ended(&server, "too_old", 1.0);
}

#[test]
fn the_silent_make_room_for_those_who_speak() {
    let server = Server::start(&[("SERVER_MAX_CONNECTIONS", "8")]);
    // Far more than there are places, and they stay.
    let mut silent: Vec<Peer> = (0..40).map(|_| server.connect()).collect();
    silent[7].say("half a li");
    for _ in 0..3 {
        assert_serves(&server);
        silent.push(server.connect());
    }
    assert!(server.service.metric("echo_connections_open").unwrap() <= 8.0);
    assert!(server.ended("made_room") >= 30.0, "{}", server.ended("made_room"));
    assert_eq!(server.ended("no_line"), 0.0);
    // Who speaks keeps its place against those who only connect. They come one by one, so that it is not this test's
    // own silence, when it is held up, that makes the speaker the longest silent.
    let mut speaks = server.connect();
    speaks.say("first\n");
    assert_eq!(speaks.hear(), format!("{RECEIVED}b'first'\n"));
    for number in 0..20 {
        let made_room = server.ended("made_room");
        silent.push(server.connect());
        await_ended(&server, "made_room", made_room + 1.0);
        speaks.say(format!("{number}\n"));
        assert_eq!(speaks.hear(), format!("{RECEIVED}b'{number}'\n"));
    }
}

#[test]
fn a_reader_of_the_log_that_hangs_holds_up_nobody() {
    let (lines, pages) = (free_port(), free_port());
    let mut process = Command::new(env!("CARGO_BIN_EXE_echo-server"))
        .env_clear()
        .envs([("BIND_ADDRESS", "127.0.0.1"), ("SERVER_PORT", &lines.to_string()), ("BIND_PORT", &pages.to_string())])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pages = format!("127.0.0.1:{pages}");
    eventually(20, "the server is healthy", || get(&pages, "/healthz"));
    let mut peer = Peer::connect(&format!("127.0.0.1:{lines}"));
    // About 20 MiB of log, into a pipe that nobody empties.
    let block = format!("{}\n", "x".repeat(1000)).repeat(20);
    for _ in 0..1000 {
        peer.say(&block);
        for _ in 0..20 {
            assert_eq!(peer.hear().len(), RECEIVED.len() + 1004);
        }
    }
    let page = get(&pages, "/metrics").unwrap();
    let dropped = page.lines().find_map(|line| line.strip_prefix("echo_log_lines_dropped_total ")).unwrap();
    assert!(dropped.parse::<f64>().unwrap() > 5000.0, "{dropped}");

    let began = Instant::now();
    kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
    assert!(process.wait().unwrap().success());
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}
