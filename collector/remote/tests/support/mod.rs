//! What the tests share: a clock, a stand-in for the window, and a receiver that misbehaves on order.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::Response;
use collector_model::{Clock, Forward, Labels, RefSample, SeriesRef};
use collector_remote::{DestinationConfig, DestinationStatus, Destinations, Options, decode_write_request};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The time of the first sample.
pub const START_MS: i64 = 1_700_000_000_000;

pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
    }
}

/// A configuration from YAML.
pub fn remote_write(yaml: &str) -> DestinationConfig {
    serde_yaml_ng::from_str::<collector_remote::RemoteWriteConfig>(yaml).unwrap().into()
}

pub fn influxdb(yaml: &str) -> DestinationConfig {
    serde_yaml_ng::from_str::<collector_remote::InfluxWriteConfig>(yaml).unwrap().into()
}

/// `queue_config` that does not wait long.
pub const FAST: &str = "queue_config: {batch_send_deadline: 20ms, min_backoff: 5ms, max_backoff: 50ms}";

pub fn open(directory: &Path, configs: &[DestinationConfig]) -> Destinations {
    open_with(directory, &Labels::empty(), configs).0
}

pub fn open_with(directory: &Path, external: &Labels, configs: &[DestinationConfig]) -> (Destinations, Registry) {
    let mut registry = Registry::default();
    let options = Options {
        directory: directory.to_owned(),
        user_agent: "atalaia/test".to_owned(),
        clock: Arc::new(SystemClock),
    };
    let destinations = Destinations::open(options, external, configs, &mut registry).unwrap();
    (destinations, registry)
}

pub fn series(name: &str, number: usize) -> Labels {
    Labels::from_pairs([("__name__", name), ("instance", &format!("h{number}:9100")), ("job", "node")])
}

/// Forwards one sample for each of `count` series `name`, at step `step`, all with the value `step`.
pub fn forward(destinations: &Destinations, name: &str, count: usize, step: i64) {
    let batch: Vec<RefSample> = (0..count)
        .map(|number| RefSample {
            series: SeriesRef(number as u64),
            timestamp_ms: START_MS + step * 1_000,
            value: step as f64,
        })
        .collect();
    forward_batch(destinations, name, &batch);
}

pub fn forward_batch(destinations: &Destinations, name: &str, batch: &[RefSample]) {
    destinations.forward(batch, &|series_ref| Some(series(name, usize::try_from(series_ref.0).unwrap())));
}

/// What a receiver does with one request.
#[derive(Clone, Debug)]
pub enum Reply {
    Status(u16, &'static str),
    RetryAfter(u16, &'static str),
    /// Never answers.
    Hang,
    /// Answers after a while.
    Slow(Duration),
    /// Closes the connection in the middle of an error's text.
    BreakOff,
    /// 413 for bodies with more points than this.
    AtMost(usize),
    /// 400 when a point's labels contain this text.
    RefuseText(&'static str),
}

/// One point that a receiver took: labels as text, time stamp, value.
pub type Taken = (String, i64, f64);

#[derive(Default)]
struct Script {
    replies: VecDeque<Reply>,
    then: Option<Reply>,
    taken: Vec<Taken>,
    requests: Vec<HeaderMap>,
    paths: Vec<String>,
}

/// A receiver of remote write and line protocol.
#[derive(Clone)]
pub struct Receiver {
    pub address: SocketAddr,
    script: Arc<Mutex<Script>>,
    changed: Arc<watch::Sender<usize>>,
}

impl Receiver {
    /// Takes everything, after it did what is in `replies`.
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::serve(listener, replies)
    }

    /// As [`start`](Self::start), at an address that was used before.
    pub async fn start_at(address: SocketAddr) -> Self {
        Self::serve(TcpListener::bind(address).await.unwrap(), [])
    }

    fn serve(listener: TcpListener, replies: impl IntoIterator<Item = Reply>) -> Self {
        let script = Script { replies: replies.into_iter().collect(), ..Script::default() };
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            script: Arc::new(Mutex::new(script)),
            changed: Arc::new(watch::channel(0).0),
        };
        let app = Router::new().fallback(answer).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        receiver
    }

    /// Does this for ever, once `replies` are used up.
    pub fn then(self, reply: Reply) -> Self {
        self.script.lock().unwrap().then = Some(reply);
        self
    }

    /// Takes everything from now on.
    pub fn recover(&self) {
        let mut script = self.script.lock().unwrap();
        script.then = None;
        script.replies.clear();
    }

    pub fn url(&self) -> String {
        format!("http://{}/api/v1/write", self.address)
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.script.lock().unwrap().taken.clone()
    }

    pub fn requests(&self) -> Vec<HeaderMap> {
        self.script.lock().unwrap().requests.clone()
    }

    pub fn paths(&self) -> Vec<String> {
        self.script.lock().unwrap().paths.clone()
    }

    /// Waits until a condition on the receiver holds; it is looked at again after each request.
    pub async fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let mut changed = self.changed.subscribe();
        let wait = async {
            while !holds(self) {
                changed.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| {
            panic!("{what}: took {} points in {} requests", self.taken().len(), self.requests().len())
        });
    }

    pub async fn until_taken(&self, count: usize) {
        self.until(&format!("{count} points"), |receiver| receiver.taken().len() >= count).await;
    }

    pub async fn until_requests(&self, count: usize) {
        self.until(&format!("{count} requests"), |receiver| receiver.requests().len() >= count).await;
    }
}

fn points(headers: &HeaderMap, body: &[u8]) -> Vec<Taken> {
    if headers.get("content-encoding").is_some_and(|e| e == "snappy") {
        let request = decode_write_request(body, 64 << 20).unwrap();
        let labels = |series: &collector_remote::prompb::TimeSeries| {
            Labels::from_pairs(series.labels.iter().map(|l| (l.name.clone(), l.value.clone()))).to_string()
        };
        return request
            .timeseries
            .iter()
            .flat_map(|series| series.samples.iter().map(|s| (labels(series), s.timestamp, s.value)))
            .collect();
    }
    let mut text = String::new();
    if headers.get("content-encoding").is_some_and(|e| e == "gzip") {
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(body), &mut text).unwrap();
    } else {
        text = String::from_utf8(body.to_vec()).unwrap();
    }
    let point = |line: &str| {
        let mut fields = line.rsplitn(3, ' ');
        let timestamp = fields.next().unwrap().parse().unwrap();
        let value = fields.next().unwrap().strip_prefix("value=").unwrap().parse().unwrap();
        (fields.next().unwrap().to_owned(), timestamp, value)
    };
    text.lines().map(point).collect()
}

async fn answer(State(receiver): State<Receiver>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, 64 << 20).await.unwrap();
    if parts.uri.path().ends_with("/ping") {
        return Response::builder().status(204).header("X-Influxdb-Version", "v2.7.1").body(Body::empty()).unwrap();
    }
    let points = points(&parts.headers, &body);
    let reply = {
        let mut script = receiver.script.lock().unwrap();
        script.requests.push(parts.headers);
        script.paths.push(parts.uri.to_string());
        let then = script.then.clone();
        script.replies.pop_front().or(then)
    };
    let response = act(&receiver, reply, points).await;
    receiver.changed.send_modify(|count| *count += 1);
    response
}

async fn act(receiver: &Receiver, reply: Option<Reply>, points: Vec<Taken>) -> Response {
    let status = |code: u16, text: &str| Response::builder().status(code).body(Body::from(text.to_owned())).unwrap();
    match reply {
        Some(Reply::Status(code, text)) => return status(code, text),
        Some(Reply::RetryAfter(code, wait)) => {
            return Response::builder().status(code).header("Retry-After", wait).body(Body::empty()).unwrap();
        }
        Some(Reply::Hang) => std::future::pending::<()>().await,
        Some(Reply::Slow(wait)) => tokio::time::sleep(wait).await,
        Some(Reply::BreakOff) => {
            return Response::builder()
                .status(StatusCode::INTERNAL_SERVER_ERROR)
                .header("content-length", "1000")
                .body(Body::from_stream(futures_util::stream::iter([
                    Ok(Bytes::from_static(b"half an ")),
                    Err(std::io::Error::other("closed")),
                ])))
                .unwrap();
        }
        Some(Reply::AtMost(most)) if points.len() > most => return status(413, "too large"),
        Some(Reply::RefuseText(text)) if points.iter().any(|(labels, _, _)| labels.contains(text)) => {
            return status(400, "unable to parse a line");
        }
        Some(Reply::AtMost(_) | Reply::RefuseText(_)) | None => {}
    }
    receiver.script.lock().unwrap().taken.extend(points);
    status(204, "")
}

/// Asks for the status of the only destination until it is as wanted.
pub async fn until_status(
    destinations: &Destinations,
    holds: impl Fn(&DestinationStatus) -> bool,
) -> DestinationStatus {
    let begun = std::time::Instant::now();
    loop {
        let status = destinations.snapshot().remove(0);
        if holds(&status) {
            return status;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{status:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
