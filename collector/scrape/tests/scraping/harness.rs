//! A target that follows a script, a window that writes down what it is given, and a clock that the scrapes drive.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode};
use collector_model::{
    Append, AppendError, Appended, Clock, Labels, RefSample, Rejection, SeriesRef, TimestampMs, is_stale,
};
use collector_scrape::{ActiveTarget, GlobalConfig, Options, ScrapeConfig, ScrapeJob, ScrapeManager};
use futures_util::StreamExt;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

/// Long enough for a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// The interval of jobs that do not name one. The clock leaps from scrape to scrape, so nobody waits for it, except
/// for the first.
pub const INTERVAL_MS: i64 = 2_000;

pub const TEXT: &str = "text/plain; version=0.0.4";
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How the target answers one request.
#[derive(Clone)]
pub enum Answer {
    Page {
        status: StatusCode,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
    /// Never.
    Hang,
    /// The beginning of a page, and then the connection breaks.
    BreakOff(Vec<u8>),
    /// A page that never ends, a piece at a time.
    Endless(&'static str),
}

pub fn page(body: &str) -> Answer {
    typed(TEXT, body)
}

pub fn typed(content_type: &str, body: &str) -> Answer {
    let headers = vec![("content-type", content_type.to_owned())];
    Answer::Page { status: StatusCode::OK, headers, body: body.as_bytes().to_vec() }
}

pub fn gzipped(body: &[u8]) -> Answer {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body).unwrap();
    let headers = vec![("content-type", TEXT.to_owned()), ("content-encoding", "gzip".to_owned())];
    Answer::Page { status: StatusCode::OK, headers, body: encoder.finish().unwrap() }
}

pub fn status(code: u16) -> Answer {
    let headers = vec![("content-type", TEXT.to_owned())];
    Answer::Page { status: StatusCode::from_u16(code).unwrap(), headers, body: b"no_metric 1\n".to_vec() }
}

pub struct Target {
    pub address: SocketAddr,
    pub seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request that the target got.
#[derive(Clone, Debug)]
pub struct Seen {
    pub uri: String,
    pub headers: HeaderMap,
    pub peer: SocketAddr,
}

#[derive(Clone)]
struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// The application that gives one answer after another, and the last one for ever.
pub fn app(answers: Vec<Answer>) -> (Router, Arc<Mutex<Vec<Seen>>>) {
    let script = Script { answers: Arc::new(Mutex::new(answers.into())), seen: Arc::default() };
    let seen = Arc::clone(&script.seen);
    (Router::new().fallback(answer).with_state(script), seen)
}

pub async fn target(answers: Vec<Answer>) -> Target {
    let (app, seen) = app(answers);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    Target { address, seen }
}

async fn answer(State(script): State<Script>, request: Request) -> Response<Body> {
    let peer = request.extensions().get::<axum::extract::ConnectInfo<SocketAddr>>();
    let peer = peer.map_or(SocketAddr::from(([0, 0, 0, 0], 0)), |info| info.0);
    script.seen.lock().push(Seen { uri: request.uri().to_string(), headers: request.headers().clone(), peer });
    let answer = {
        let mut answers = script.answers.lock();
        if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
    };
    let text = |body| Response::builder().header("content-type", TEXT).body(body).unwrap();
    match answer.unwrap_or(Answer::Hang) {
        Answer::Page { status, headers, body } => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Body::from(body)).unwrap()
        }
        Answer::Hang => std::future::pending().await,
        Answer::BreakOff(start) => {
            let pieces = [Ok(Bytes::from(start)), Err(std::io::Error::other("broken on purpose"))];
            text(Body::from_stream(futures_util::stream::iter(pieces).then(|piece| async {
                tokio::task::yield_now().await;
                piece
            })))
        }
        Answer::Endless(line) => {
            text(Body::from_stream(futures_util::stream::repeat_with(move || Ok::<_, Infallible>(Bytes::from(line)))))
        }
    }
}

/// Runs like any clock, but leaps to just before the next scrape once one is stored.
#[derive(Default)]
pub struct LeapingClock(AtomicI64);

/// How long before the next scrape it lands, so that a scrape which began late is not leapt over.
const MARGIN_MS: i64 = 50;

impl Clock for LeapingClock {
    fn now_ms(&self) -> TimestampMs {
        SystemClock.now_ms() + self.0.load(Ordering::SeqCst)
    }
}

impl LeapingClock {
    fn leap(&self, stored_ms: TimestampMs) {
        self.0.store(stored_ms + INTERVAL_MS - MARGIN_MS - SystemClock.now_ms(), Ordering::SeqCst);
    }
}

pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> TimestampMs {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        since.as_millis() as i64
    }
}

/// A sample as it was stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    pub series: String,
    pub timestamp_ms: TimestampMs,
    pub value: f64,
}

/// Writes down every batch, and refuses what a window would refuse.
#[derive(Default)]
pub struct Recorder {
    state: Mutex<Record>,
    batches: watch::Sender<usize>,
    leap: Option<Arc<LeapingClock>>,
    /// How many batches to refuse as a whole.
    pub failing: AtomicUsize,
    /// How many series it may hold; 0 for any number.
    pub series_limit: AtomicUsize,
}

#[derive(Default)]
struct Record {
    known: HashMap<Labels, SeriesRef>,
    labels: HashMap<SeriesRef, Labels>,
    newest: HashMap<SeriesRef, (TimestampMs, u64)>,
    next: u64,
    batches: Vec<Vec<Stored>>,
}

impl Recorder {
    pub fn batches(&self) -> Vec<Vec<Stored>> {
        self.state.lock().batches.clone()
    }

    /// Lets go of all series, as a window does with those that were silent for long.
    pub fn forget_all(&self) {
        let mut state = self.state.lock();
        state.known.clear();
        state.labels.clear();
    }
}

impl Append for Recorder {
    fn resolve(&self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        let mut state = self.state.lock();
        if let Some(series) = state.known.get(labels) {
            return Ok(*series);
        }
        let limit = self.series_limit.load(Ordering::SeqCst);
        if limit > 0 && state.known.len() >= limit {
            return Err(AppendError::SeriesLimit { limit, labels: labels.clone() });
        }
        state.next += 1;
        let series = SeriesRef(state.next);
        state.known.insert(labels.clone(), series);
        state.labels.insert(series, labels.clone());
        Ok(series)
    }

    fn append(&self, batch: &[RefSample]) -> Result<Appended, AppendError> {
        let mut state = self.state.lock();
        if let Some(clock) = &self.leap {
            // The report comes last, with the time of the scrape.
            clock.leap(batch.last().map_or(0, |sample| sample.timestamp_ms));
        }
        if self.failing.load(Ordering::SeqCst) > 0 {
            self.failing.fetch_sub(1, Ordering::SeqCst);
            return Err(AppendError::Closed);
        }
        let (mut rejected, mut stored) = (Vec::new(), Vec::new());
        for (position, sample) in batch.iter().enumerate() {
            let Some(labels) = state.labels.get(&sample.series).cloned() else {
                rejected.push((position, Rejection::UnknownSeries));
                continue;
            };
            let bits = sample.value.to_bits();
            match state.newest.get(&sample.series) {
                Some((newest, _)) if *newest > sample.timestamp_ms => rejected.push((position, Rejection::OutOfOrder)),
                Some((newest, old)) if *newest == sample.timestamp_ms => {
                    if *old != bits {
                        rejected.push((position, Rejection::Duplicate));
                    }
                }
                _ => {
                    state.newest.insert(sample.series, (sample.timestamp_ms, bits));
                    let (timestamp_ms, value) = (sample.timestamp_ms, sample.value);
                    stored.push(Stored { series: labels.to_string(), timestamp_ms, value });
                }
            }
        }
        let accepted = batch.len() - rejected.len();
        state.batches.push(stored);
        self.batches.send_replace(state.batches.len());
        Ok(Appended { accepted, rejected })
    }
}

/// A manager with a recorder behind it.
pub struct World {
    pub manager: ScrapeManager,
    pub recorder: Arc<Recorder>,
    pub registry: Registry,
}

impl World {
    /// One whose clock leaps; for jobs of one target.
    pub fn new() -> Self {
        let clock = Arc::new(LeapingClock::default());
        let recorder = Recorder { leap: Some(Arc::clone(&clock)), ..Recorder::default() };
        Self::with(clock, recorder)
    }

    /// One in real time.
    pub fn in_real_time() -> Self {
        Self::with(Arc::new(SystemClock), Recorder::default())
    }

    fn with(clock: Arc<dyn Clock>, recorder: Recorder) -> Self {
        let recorder = Arc::new(recorder);
        let mut registry = Registry::default();
        let options = Options { user_agent: "Atalaia/test".to_owned(), host_name: "watchtower".to_owned() };
        let append: Arc<dyn Append> = Arc::<Recorder>::clone(&recorder);
        let manager = ScrapeManager::new(append, clock, options, &mut registry);
        Self { manager, recorder, registry }
    }

    /// A world that scrapes one scripted target as job `j`.
    pub async fn scraping(keys: &str, answers: Vec<Answer>) -> (Self, Target) {
        let target = target(answers).await;
        let world = Self::new();
        world.apply(&[&job(keys, target.address)]);
        (world, target)
    }

    pub fn apply(&self, jobs: &[&str]) {
        self.manager.apply(jobs.iter().map(|yaml| parse(yaml)).collect(), &Labels::empty()).unwrap();
    }

    /// The batch of that number, counted from 0, once it is there.
    pub async fn batch(&self, number: usize) -> Vec<Stored> {
        let mut batches = self.recorder.batches.subscribe();
        let waited = tokio::time::timeout(PATIENCE, batches.wait_for(|count| *count > number)).await;
        assert!(waited.is_ok(), "batch {number} never came; got {:?}", self.recorder.batches());
        self.recorder.batches()[number].clone()
    }

    /// Waits until the targets look as asked.
    pub async fn wait_for(&self, what: &str, mut look: impl FnMut(&[ActiveTarget]) -> bool) -> Vec<ActiveTarget> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let active = self.manager.targets().active;
            if look(&active) {
                return active;
            }
            assert!(tokio::time::Instant::now() < deadline, "{what} never came true; got {active:#?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// What is wrong with the only target, once the scrape of that batch has been noted.
    pub async fn last_error(&self) -> String {
        let targets = self.wait_for("an error", |targets| targets.iter().any(|t| t.last_error.is_some())).await;
        targets[0].last_error.clone().unwrap()
    }

    /// The reasons for which scrapes have failed so far, by `atalaia_target_scrapes_failed_total`.
    pub fn failures(&self) -> Vec<String> {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry).unwrap();
        let counts = page.lines().filter_map(|line| line.strip_prefix("atalaia_target_scrapes_failed_total{"));
        let failed = counts.filter(|line| !line.ends_with(" 0"));
        failed.map(|line| line.split("reason=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()).collect()
    }

    /// A line of the process's own metrics.
    pub fn metric(&self, line: &str) -> bool {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry).unwrap();
        page.lines().any(|l| l == line)
    }
}

/// The configuration of a job of one target.
pub fn job(keys: &str, address: SocketAddr) -> String {
    let comma = if keys.is_empty() { "" } else { ", " };
    format!(
        "{{job_name: j, static_configs: [{{targets: ['{address}']}}], relabel_configs: [{{target_label: instance, replacement: i}}]{comma}{keys}}}"
    )
}

pub fn parse(yaml: &str) -> ScrapeJob {
    let config: ScrapeConfig = serde_yaml_ng::from_str(yaml).unwrap();
    let interval = serde_yaml_ng::from_str::<GlobalConfig>(&format!("scrape_interval: {INTERVAL_MS}ms")).unwrap();
    config.resolve(&interval, Path::new("/")).unwrap()
}

const REPORT: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

/// A batch without its report series, as `series value` or `series stale`, in order.
pub fn samples(batch: &[Stored]) -> Vec<String> {
    batch.iter().filter(|s| !REPORT.iter().any(|name| s.series.starts_with(&format!("{name}{{")))).map(show).collect()
}

fn show(sample: &Stored) -> String {
    if is_stale(sample.value) {
        format!("{} stale", sample.series)
    } else {
        format!("{} {}", sample.series, sample.value)
    }
}

/// up, scraped, post relabelling, added.
pub fn report(batch: &[Stored]) -> [f64; 4] {
    ["up", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling", "scrape_series_added"].map(|name| {
        let prefix = format!("{name}{{");
        batch.iter().find(|s| s.series.starts_with(&prefix)).map_or(f64::NAN, |s| s.value)
    })
}
