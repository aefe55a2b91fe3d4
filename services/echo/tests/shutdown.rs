//! The server ends in order, in less than the second that `docker-compose stop -t 1` gives.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use provisioning_parts::eventually;
use rustix::process::Signal;
use support::{RECEIVED, Server};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn open_lines_are_answered_and_each_end_is_logged() {
    let mut server = Server::start(&[]);
    let mut idle = server.connect();
    let mut half = server.connect();
    for peer in [&mut idle, &mut half] {
        peer.say("one\n");
        assert_eq!(peer.hear(), format!("{RECEIVED}b'one'\n"));
    }
    half.say("half a line");
    let received = || match server.service.metric("echo_received_bytes_total").unwrap() {
        19.0 => Ok(()),
        other => Err(format!("{other}")),
    };
    eventually(10, "the half line has come", received);
    // A request of HTTP that never ends has no say in it either.
    let mut request = TcpStream::connect(&server.service.address).unwrap();
    request.write_all(b"GET /metrics HTTP/1.1\r\nHost:").unwrap();

    let began = Instant::now();
    let status = server.service.terminate();
    let took = began.elapsed();
    assert!(status.success() && took < SECOND, "{status} after {took:?}");
    assert_eq!(half.hear_all(), format!("{RECEIVED}b'half a line'\n"));
    assert_eq!(idle.hear_all(), "");
    assert!(TcpStream::connect(&server.lines).is_err(), "nobody listens any more");

    let log = server.log();
    let begin = log.iter().position(|line| line == "INFO     SIGTERM received, shutting down").unwrap();
    let closed = |name| format!("INFO     Connection with {name} closed");
    let answered = format!("INFO     Message received from connection {}. Msg: b'half a line'", half.name());
    let order = [
        vec!["INFO     Listener closed".to_owned(), "INFO     Closing 2 connections".to_owned()],
        vec![answered, closed(half.name())],
        vec!["INFO     All connections closed".to_owned()],
        vec!["INFO     Server ended".to_owned()],
    ];
    let rest = &log[begin..];
    let at =
        |line: &String| rest.iter().position(|found| found == line).unwrap_or_else(|| panic!("no {line}: {rest:#?}"));
    let found: Vec<usize> = order.iter().flatten().map(at).collect();
    assert!(found.is_sorted(), "{found:?} {rest:#?}");
    assert!((found[1]..found[4]).contains(&at(&closed(idle.name()))), "{rest:#?}");
    assert_eq!(*found.last().unwrap(), rest.len() - 1);
}

#[test]
fn a_peer_that_takes_nothing_is_cut_off() {
    let mut server = Server::start(&[]);
    let deaf = server.connect();
    deaf.stream().set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let lines = "\n".repeat(1 << 16);
    while deaf.stream().write_all(lines.as_bytes()).is_ok() {}
    let began = Instant::now();
    server.service.process().signal(Signal::TERM);
    let status = server.service.process().await_exit();
    let took = began.elapsed();
    assert!(status.success() && took < SECOND, "{status} after {took:?}");
    let cut = "WARNING  1 connections did not take their answers in 600ms and were cut off";
    let log = server.log();
    assert!(log.iter().rev().take(5).any(|line| line == cut), "{:#?}", log.iter().rev().take(5).collect::<Vec<_>>());
}

#[test]
fn it_ends_at_once_when_nobody_is_there() {
    let mut server = Server::start(&[]);
    let began = Instant::now();
    assert!(server.service.terminate().success());
    assert!(began.elapsed() < SECOND / 2, "{:?}", began.elapsed());
    assert_eq!(server.log().last().unwrap(), "INFO     Server ended");
}
