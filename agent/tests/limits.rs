//! The library with bounds small enough to reach.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::{Duration, Instant};

use atalaia_agent::{Agent, Limits, Settings, listen, serve};
use axum::Router;
use axum::routing::post;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

/// An agent without collectors: its address, what stops it, and its end.
fn start(limits: Limits) -> (String, oneshot::Sender<()>, JoinHandle<()>) {
    let listen = vec!["127.0.0.1:0".to_owned()];
    let settings = Settings { listen, collectors: [].into(), containers: None, limits, ..Settings::default() };
    let agent = Agent::new(settings).unwrap();
    let address = agent.addresses().next().unwrap().to_string();
    let (stop, stopped) = oneshot::channel();
    let run = tokio::spawn(agent.run(async { drop(stopped.await) }));
    (address, stop, run)
}

async fn health(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let (address, _stop, _run) = start(Limits { idle: Duration::from_millis(200), ..Limits::default() });
    for begun in ["", "GET /metrics HTTP/1.1\r\nHo"] {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        // Closed or reset, either is an end.
        let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.expect("it is still open");
    }
    let mut stream = TcpStream::connect(&address).await.unwrap();
    assert!(health(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_head_without_end_is_not_kept() {
    let (address, _stop, _run) = start(Limits::default());
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let head = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX: {}", "x".repeat(200 << 10));
    // It may be refused before all of it is sent.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut answer)).await.expect("it is kept");
    let mut stream = TcpStream::connect(&address).await.unwrap();
    assert!(health(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let router = Router::new().route("/", post(|body: String| async move { body }));
    let listener = TcpListener::from_std(listen("127.0.0.1:0").unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (_stop, stopped) = watch::channel(false);
    let limits = Limits { idle: Duration::from_millis(300), ..Limits::default() };
    tokio::spawn(serve(listener, router, limits, stopped));
    let answer = |body: &'static str| async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\n";
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(SOON, stream.read_to_string(&mut answer)).await.expect("it is still open").unwrap();
        answer
    };
    assert!(answer("whole").await.ends_with("whole"));
    assert!(answer("par").await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn more_connections_than_allowed_wait_for_a_place() {
    let (address, _stop, _run) = start(Limits { connections: 1, ..Limits::default() });
    let mut first = TcpStream::connect(&address).await.unwrap();
    first.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut byte = [0];
    first.read_exact(&mut byte).await.unwrap();
    let mut second = TcpStream::connect(&address).await.unwrap();
    let waits = timeout(Duration::from_millis(300), health(&mut second)).await;
    assert!(waits.is_err(), "{waits:?}");
    drop(first);
    let mut answer = String::new();
    timeout(SOON, second.read_to_string(&mut answer)).await.expect("it gets no place").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn the_end_does_not_wait_for_ever() {
    let (address, stop, run) = start(Limits { grace: Duration::from_millis(200), ..Limits::default() });
    let mut half = TcpStream::connect(&address).await.unwrap();
    half.write_all(b"GET /metrics HTTP/1.1\r\nHo").await.unwrap();
    // Its connection is taken before this one is answered.
    assert!(health(&mut TcpStream::connect(&address).await.unwrap()).await.starts_with("HTTP/1.1 200"));
    let started = Instant::now();
    stop.send(()).unwrap();
    timeout(SOON, run).await.expect("it does not end").unwrap();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(TcpStream::connect(&address).await.is_err());
}
