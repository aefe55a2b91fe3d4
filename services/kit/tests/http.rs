//! What the kit makes of a router: limits, figures, pages and an orderly end, seen over real connections.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::routing::{get, post};
use futures_util::stream;
use prometheus_client::registry::Registry;
use provisioning_parts::{Answer, eventually, send};
use services_kit::{Readiness, Shutdown, http};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

const LIMITS: http::Settings = http::Settings {
    bind_address: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
    bind_port: 0,
    max_connections: 100,
    idle_timeout_seconds: 1,
    grace_seconds: 1,
};

/// A served router, and what lets its slow handlers go on.
struct Site {
    address: String,
    shutdown: Shutdown,
    go: Arc<Notify>,
    served: tokio::task::JoinHandle<()>,
    runtime: Runtime,
}

impl Site {
    fn start(limits: http::Settings, readiness: Readiness) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (shutdown, go) = (Shutdown::by_hand(), Arc::new(Notify::new()));
        let (waits, streams) = (go.clone(), go.clone());
        let router = Router::new()
            .route("/hello/{name}", get(|Path(name): Path<String>| async move { format!("hello {name}") }))
            .route("/length", post(|body: Bytes| async move { body.len().to_string() }))
            .route("/wait", get(async move || waits.notified().await))
            .route("/panic", get(async || -> &str { panic!("on purpose") }))
            .route(
                "/stream",
                get(async move || {
                    let pieces = stream::unfold(0, move |piece| {
                        let go = streams.clone();
                        async move {
                            if piece == 1 {
                                go.notified().await;
                            }
                            (piece < 2).then(|| (Ok::<_, std::io::Error>("piece "), piece + 1))
                        }
                    });
                    Body::from_stream(pieces)
                }),
            );
        let listener = runtime.block_on(http::listen(&limits)).unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let told = shutdown.clone();
        let served = runtime.spawn(async move {
            http::serve(listener, router, readiness, Registry::default(), &limits, &told).await;
        });
        Self { address: address.to_string(), shutdown, go, served, runtime }
    }

    fn get(&self, path: &str) -> Answer {
        send("GET", &self.address, path, &[], b"").unwrap()
    }

    /// A connection over which this has been sent.
    fn peer(&self, sent: &str) -> TcpStream {
        let mut peer = TcpStream::connect(&self.address).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        peer.write_all(sent.as_bytes()).unwrap();
        peer
    }

    /// The value of a series, written as on the page of metrics.
    fn metric(&self, series: &str) -> Option<f64> {
        let page = self.get("/metrics");
        page.text().lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    #[track_caller]
    fn await_metric(&self, series: &str, want: f64) {
        eventually(5, series, || match self.metric(series) {
            Some(value) if value == want => Ok(()),
            other => Err(format!("{other:?}, not {want}")),
        });
    }
}

fn rest(mut peer: TcpStream) -> String {
    let mut text = String::new();
    peer.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn requests_are_counted_by_route_and_not_by_path() {
    let site = Site::start(LIMITS, Readiness::default());
    for name in ["a", "b", "c"] {
        assert_eq!(site.get(&format!("/hello/{name}")).text(), format!("hello {name}"));
    }
    for path in ["/x", "/y", "/../../z"] {
        assert_eq!(site.get(path).status, 404);
    }
    assert_eq!(send("POST", &site.address, "/hello/a", &[], b"").unwrap().status, 405);
    assert_eq!(send("BREW", &site.address, "/x", &[], b"").unwrap().status, 404);
    let count = |series| site.metric(&format!("http_requests_total{{{series}}}"));
    assert_eq!(count(r#"method="GET",route="/hello/{name}",code="200""#), Some(3.0));
    assert_eq!(count(r#"method="GET",route="other",code="404""#), Some(3.0));
    assert_eq!(count(r#"method="POST",route="/hello/{name}",code="405""#), Some(1.0));
    assert_eq!(count(r#"method="other",route="other",code="404""#), Some(1.0));
    let counted = r#"http_request_duration_seconds_count{method="GET",route="/hello/{name}"}"#;
    assert_eq!(site.metric(counted), Some(3.0));
    // This one alone is under way.
    assert_eq!(site.metric("http_requests_in_flight"), Some(1.0));
    let page = site.get("/metrics");
    assert_eq!(page.header("Content-Type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(page.text().ends_with("# EOF\n"));
}

#[test]
fn a_request_lasts_until_the_end_of_its_answer() {
    let site = Site::start(LIMITS, Readiness::default());
    let mut peer = site.peer("GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut first = [0; 256];
    assert!(peer.read(&mut first).unwrap() > 0);
    assert_eq!(site.metric("http_requests_in_flight"), Some(2.0));
    let counted = r#"http_requests_total{method="GET",route="/stream",code="200"}"#;
    assert_eq!(site.metric(counted), None);
    std::thread::sleep(Duration::from_millis(300));
    site.go.notify_one();
    assert!(rest(peer).ends_with("piece \r\n0\r\n\r\n"));
    site.await_metric(counted, 1.0);
    let seconds = site.metric(r#"http_request_duration_seconds_sum{method="GET",route="/stream"}"#).unwrap();
    assert!(seconds >= 0.3, "{seconds}");
}

#[test]
fn a_peer_that_goes_before_its_answer_counts_as_499() {
    let site = Site::start(LIMITS, Readiness::default());
    let peer = site.peer("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    site.await_metric("http_requests_in_flight", 2.0);
    drop(peer);
    site.await_metric(r#"http_requests_total{method="GET",route="/wait",code="499"}"#, 1.0);
    site.await_metric("http_requests_in_flight", 1.0);
}

#[test]
fn a_panic_is_answered_and_costs_nobody_else() {
    let site = Site::start(LIMITS, Readiness::default());
    let mut peer = site.peer("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut answer = [0; 1024];
    let length = peer.read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(answer.ends_with("the service failed at this request\n"), "{answer}");
    // The connection goes on too.
    peer.write_all(b"GET /hello/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    assert!(rest(peer).ends_with("hello a"));
    assert_eq!(site.metric(r#"http_requests_total{method="GET",route="/panic",code="500"}"#), Some(1.0));
    assert_eq!(site.metric("http_requests_in_flight"), Some(1.0));
}

#[test]
fn more_connections_than_may_be_wait_for_their_turn() {
    let site =
        Site::start(http::Settings { max_connections: 2, idle_timeout_seconds: 30, ..LIMITS }, Readiness::default());
    let request = "GET /hello/a HTTP/1.1\r\nHost: a\r\n\r\n";
    let (mut first, mut second) = (site.peer(request), site.peer(request));
    for peer in [&mut first, &mut second] {
        assert!(peer.read(&mut [0; 1024]).unwrap() > 0);
    }
    let mut third = site.peer(request);
    third.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let kind = third.read(&mut [0; 1024]).unwrap_err().kind();
    assert_eq!(kind, std::io::ErrorKind::WouldBlock);
    drop(first);
    third.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert!(third.read(&mut [0; 1024]).unwrap() > 0);
}

#[test]
fn silence_ends_a_connection_wherever_it_begins() {
    let site = Site::start(LIMITS, Readiness::default());
    #[track_caller]
    fn check(site: &Site, sent: &str) -> String {
        let since = Instant::now();
        let answer = rest(site.peer(sent));
        let lasted = since.elapsed();
        assert!((Duration::from_millis(900)..Duration::from_secs(4)).contains(&lasted), "{sent:?}: {lasted:?}");
        answer
    }
    check(&site, "");
    check(&site, "GET /hello/a HT");
    check(&site, "GET /hello/a HTTP/1.1\r\nHost: a\r\n");
    assert!(check(&site, "GET /hello/a HTTP/1.1\r\nHost: a\r\n\r\n").ends_with("hello a"));
    let stalled = check(&site, "POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345");
    assert!(stalled.starts_with("HTTP/1.1 400 "), "{stalled}");
    assert!(stalled.contains("the request's body stopped for 1 s"), "{stalled}");
}

#[test]
fn a_slow_body_is_no_silent_one() {
    let site = Site::start(LIMITS, Readiness::default());
    let mut peer = site.peer("POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nConnection: close\r\n\r\n");
    for _ in 0..6 {
        std::thread::sleep(Duration::from_millis(300));
        peer.write_all(b"x").unwrap();
    }
    assert!(rest(peer).ends_with("\r\n\r\n6"));
}

#[test]
fn bodies_and_heads_have_a_limit() {
    let site = Site::start(LIMITS, Readiness::default());
    let length = |body: &[u8]| send("POST", &site.address, "/length", &[], body).unwrap();
    assert_eq!(length(&[b'x'; 64 << 10]).text(), "65536");
    assert_eq!(length(&[b'x'; (64 << 10) + 1]).status, 413);
    assert_eq!(length(&vec![b'x'; 4 << 20]).status, 413);
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let head = "POST /length HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(rest(site.peer(&format!("{head}{chunk}{chunk}0\r\n\r\n"))).starts_with("HTTP/1.1 413 "));
    let long = "x".repeat(1 << 20);
    let mut peer = TcpStream::connect(&site.address).unwrap();
    // It may not read all of it.
    let _ = peer.write_all(format!("GET /hello/a HTTP/1.1\r\nA: {long}\r\n\r\n").as_bytes());
    let mut answer = [0; 12];
    assert!(peer.read_exact(&mut answer).is_err() || &answer == b"HTTP/1.1 431");
    assert_eq!(site.get("/hello/a").status, 200);
}

#[test]
fn readiness_tells_what_is_away() {
    let well = Site::start(LIMITS, Readiness::default().with("folder", async || Ok(())));
    assert_eq!((well.get("/readyz").status, well.get("/readyz").text()), (200, "ready\n"));
    assert_eq!((well.get("/healthz").status, well.get("/healthz").text()), (200, "ok\n"));
    let readiness = Readiness::default()
        .with("folder", async || Ok(()))
        .with("redis", async || Err("connection refused".to_owned()))
        .with("postgres", std::future::pending);
    let away = Site::start(LIMITS, readiness);
    let answer = away.get("/readyz");
    assert_eq!((answer.status, answer.text()), (503, "redis: connection refused\npostgres: no answer in 2 s\n"));
    assert_eq!(away.get("/healthz").status, 200);
}

#[test]
fn an_open_request_ends_within_the_grace() {
    let site = Site::start(http::Settings { grace_seconds: 20, ..LIMITS }, Readiness::default());
    let open = site.peer("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    let waits = site.peer("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    site.await_metric("http_requests_in_flight", 3.0);
    site.shutdown.begin();
    eventually(5, "nobody listens", || match TcpStream::connect(&site.address) {
        Err(_) => Ok(()),
        Ok(_) => Err("somebody does".to_owned()),
    });
    assert!(!site.served.is_finished());
    site.go.notify_waiters();
    assert!(rest(open).ends_with("0\r\n\r\n"));
    assert!(rest(waits).starts_with("HTTP/1.1 200 "));
    let since = Instant::now();
    site.runtime.block_on(site.served).unwrap();
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
}

#[test]
fn the_grace_cuts_off_what_does_not_end() {
    let site = Site::start(LIMITS, Readiness::default());
    let _waits = site.peer("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    site.await_metric("http_requests_in_flight", 2.0);
    let since = Instant::now();
    site.shutdown.begin();
    site.runtime.block_on(site.served).unwrap();
    assert!((Duration::from_millis(900)..Duration::from_secs(4)).contains(&since.elapsed()), "{:?}", since.elapsed());
}
