//! Stand-ins for the engine, the window and the clock.

use std::collections::HashMap;
use std::sync::Arc;

use collector_model::{
    Append, AppendError, Appended, Clock, Labels, RefSample, Rejection, SeriesRef, TimestampMs, is_stale,
};
use collector_promql::{QueryError, Value, VectorSample};
use collector_ruler::{Group, Ports, RuleFile, Settings};
use parking_lot::Mutex;

/// Answers that a test sets, and the questions that were asked.
#[derive(Default)]
pub struct Engine {
    answers: Mutex<HashMap<String, Result<Value, String>>>,
    pub asked: Mutex<Vec<(String, TimestampMs)>>,
}

impl Engine {
    pub fn answer(&self, expr: &str, value: Value) {
        self.answers.lock().insert(expr.to_owned(), Ok(value));
    }

    /// Series in their notation with their values.
    pub fn vector(&self, expr: &str, samples: &[(&str, f64)]) {
        let samples = samples.iter().map(|(text, value)| VectorSample { labels: labels(text), value: *value });
        self.answer(expr, Value::Vector(samples.collect()));
    }

    pub fn fail(&self, expr: &str, reason: &str) {
        self.answers.lock().insert(expr.to_owned(), Err(reason.to_owned()));
    }

    fn query(&self, expr: &str, at_ms: TimestampMs) -> Result<Value, QueryError> {
        self.asked.lock().push((expr.to_owned(), at_ms));
        assert_ne!(expr, "panic", "asked for");
        match self.answers.lock().get(expr) {
            Some(Ok(value)) => Ok(value.clone()),
            Some(Err(reason)) => Err(QueryError::Execution(reason.clone())),
            None => Ok(Value::Vector(Vec::new())),
        }
    }
}

/// Writes down what it is given.
#[derive(Default)]
pub struct Window(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    series: Vec<(Labels, Option<TimestampMs>)>,
    /// Handles that are known no longer.
    forgotten: usize,
    written: Vec<(Labels, TimestampMs, f64)>,
    broken: bool,
    /// How many series it may hold, of those that it has not let go.
    limit: Option<usize>,
}

impl Window {
    /// What was written since the last call, as `series value@time`, sorted by time and series.
    pub fn take(&self) -> Vec<String> {
        let mut written = std::mem::take(&mut self.0.lock().written);
        written.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        let value = |value: f64| if is_stale(value) { "stale".to_owned() } else { value.to_string() };
        written.iter().map(|(labels, at, v)| format!("{labels} {}@{at}", value(*v))).collect()
    }

    /// Lets all series go: their handles are worth nothing any more.
    pub fn forget(&self) {
        let mut inner = self.0.lock();
        inner.forgotten = inner.series.len();
    }

    pub fn limit(&self, limit: Option<usize>) {
        self.0.lock().limit = limit;
    }

    pub fn break_down(&self, broken: bool) {
        self.0.lock().broken = broken;
    }
}

impl Append for Window {
    fn resolve(&self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        assert!(!labels.metric_name().is_empty(), "{labels} has no name");
        let mut inner = self.0.lock();
        let from = inner.forgotten;
        let known = inner.series.iter().skip(from).position(|(known, _)| known == labels).map(|at| at + from);
        if let Some(limit) = inner.limit
            && known.is_none()
            && inner.series.len() - from >= limit
        {
            return Err(AppendError::SeriesLimit { limit, labels: labels.clone() });
        }
        let at = known.unwrap_or_else(|| {
            inner.series.push((labels.clone(), None));
            inner.series.len() - 1
        });
        Ok(SeriesRef(at as u64))
    }

    fn append(&self, batch: &[RefSample]) -> Result<Appended, AppendError> {
        let mut inner = self.0.lock();
        if inner.broken {
            return Err(AppendError::Log(std::io::Error::other("no space left on device")));
        }
        let mut appended = Appended::default();
        for (position, sample) in batch.iter().enumerate() {
            let at = sample.series.0 as usize;
            let refusal = match inner.series[at].1 {
                _ if at < inner.forgotten => Some(Rejection::UnknownSeries),
                Some(last) if last > sample.timestamp_ms => Some(Rejection::OutOfOrder),
                Some(last) if last == sample.timestamp_ms => Some(Rejection::Duplicate),
                _ => None,
            };
            match refusal {
                Some(reason) => appended.rejected.push((position, reason)),
                None => {
                    inner.series[at].1 = Some(sample.timestamp_ms);
                    let labels = inner.series[at].0.clone();
                    inner.written.push((labels, sample.timestamp_ms, sample.value));
                    appended.accepted += 1;
                }
            }
        }
        Ok(appended)
    }
}

/// Follows tokio's clock, which a test pauses.
pub struct TokioClock {
    start_ms: TimestampMs,
    start: tokio::time::Instant,
}

impl Clock for TokioClock {
    fn now_ms(&self) -> TimestampMs {
        self.start_ms + self.start.elapsed().as_millis() as i64
    }
}

/// Stands still.
struct Standing;

impl Clock for Standing {
    fn now_ms(&self) -> TimestampMs {
        0
    }
}

/// Everything that a group needs.
pub struct World {
    pub engine: Arc<Engine>,
    pub window: Arc<Window>,
    pub ports: Ports,
}

impl World {
    pub fn new() -> Self {
        Self::with_clock(Arc::new(Standing))
    }

    /// A world whose clock starts at `start_ms`; only inside a runtime.
    pub fn ticking(start_ms: TimestampMs) -> Self {
        Self::with_clock(Arc::new(TokioClock { start_ms, start: tokio::time::Instant::now() }))
    }

    fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let (engine, window) = (Arc::new(Engine::default()), Arc::new(Window::default()));
        let query = {
            let engine = Arc::clone(&engine);
            move |expr: &str, at_ms| engine.query(expr, at_ms)
        };
        let ports = Ports { query: Arc::new(query), append: window.clone(), clock };
        Self { engine, window, ports }
    }

    /// Evaluates a group; gives what was written and what failed.
    pub fn evaluate(&self, group: &mut Group, at_ms: TimestampMs) -> (Vec<String>, Vec<String>) {
        let outcome = group.evaluate(at_ms, &self.ports, || true);
        (self.window.take(), outcome.failures.iter().map(|(_, error)| error.to_string()).collect())
    }
}

/// `name{label="value"}`
pub fn labels(text: &str) -> Labels {
    collector_promql::series_notation::parse_labels(text).unwrap()
}

pub fn file(text: &str) -> RuleFile {
    RuleFile::parse("r.yml", text).unwrap()
}

/// The first group of a file with these rules, indented as below `rules:`.
pub fn group(head: &str, rules: &str) -> Group {
    let file = file(&format!("groups:\n- name: g\n{head}\n  rules:\n{rules}\n"));
    Group::new("r.yml", file.groups[0].clone(), &Settings::default())
}
