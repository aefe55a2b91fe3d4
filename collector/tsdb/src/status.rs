//! What the window tells about itself, for `/api/v1/status/tsdb` and the page.

use collector_model::{METRIC_NAME, TimestampMs};

use crate::head::Head;
use crate::store::Span;
use crate::window::Window;

/// A name and how often, or how many bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranked {
    /// A metric name, a label name, or `name=value`.
    pub name: String,
    /// The count, or bytes where the list says so.
    pub value: u64,
}

/// The window's state at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Series held.
    pub series: u64,
    /// Chunks held, open and closed.
    pub chunks: u64,
    /// Distinct label pairs.
    pub label_pairs: u64,
    /// Oldest sample held; `None` while there is none.
    pub min_ms: Option<TimestampMs>,
    /// Newest sample held; `None` while there is none.
    pub max_ms: Option<TimestampMs>,
    /// Bytes of the write-ahead log on disk.
    pub wal_bytes: u64,
    /// Bytes of the chunk files on disk.
    pub chunk_file_bytes: u64,
    /// Bytes of memory that the series take, reckoned from the sizes of their parts.
    pub memory_bytes: u64,
    /// The metric names with the most series.
    pub series_count_by_metric_name: Vec<Ranked>,
    /// The label names with the most values.
    pub label_value_count_by_label_name: Vec<Ranked>,
    /// The label names whose values take the most bytes.
    pub memory_in_bytes_by_label_name: Vec<Ranked>,
    /// The label pairs with the most series, as `name=value`.
    pub series_count_by_label_value_pair: Vec<Ranked>,
    /// Why the log cannot be written at present; `None` while all is well.
    pub log_failure: Option<String>,
}

impl Window {
    /// The state at this moment, each ranking with at most `limit` rows.
    pub fn status(&self, limit: usize) -> Status {
        let mut status = self.counts();
        let index = self.index.read();
        status.series = index.len() as u64;
        status.memory_bytes += index.memory_bytes() as u64;
        let mut by_name = Vec::new();
        let mut values_of = Vec::new();
        let mut bytes_of = Vec::new();
        let mut by_pair = Vec::new();
        for name in index.label_names() {
            let (mut values, mut bytes) = (0, 0);
            for (value, series) in index.label_values(name) {
                let series = series as u64;
                values += 1;
                bytes += series * (name.len() + value.len()) as u64;
                if name == METRIC_NAME {
                    by_name.push(Ranked { name: value.to_owned(), value: series });
                }
                by_pair.push((series, name, value));
            }
            status.label_pairs += values;
            values_of.push(Ranked { name: name.to_owned(), value: values });
            bytes_of.push(Ranked { name: name.to_owned(), value: bytes });
        }
        // There may be a great many pairs: they become strings only once they are on the list.
        by_pair.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2))));
        let pairs = by_pair.into_iter().take(limit);
        status.series_count_by_label_value_pair =
            pairs.map(|(series, name, value)| Ranked { name: format!("{name}={value}"), value: series }).collect();
        status.series_count_by_metric_name = highest(by_name, limit);
        status.label_value_count_by_label_name = highest(values_of, limit);
        status.memory_in_bytes_by_label_name = highest(bytes_of, limit);
        status
    }

    /// What has to be counted over the series and files.
    fn counts(&self) -> Status {
        let mut status = Status::default();
        let mut span = Span { oldest_ms: self.store.oldest_ms(), newest_ms: TimestampMs::MIN };
        let slots = self.index.read().slots();
        for page in Head::pages(slots) {
            self.head.visit(page, |_, series| {
                let Some(series) = series else { return };
                status.memory_bytes += series.memory_bytes() as u64;
                status.chunks += series.closed.len() as u64;
                span.newest_ms = span.newest_ms.max(series.chunk.newest_ms());
                if !series.chunk.is_empty() {
                    status.chunks += 1;
                    span.oldest_ms = span.oldest_ms.min(series.chunk.first_ms());
                }
            });
        }
        if !span.is_empty() {
            status.min_ms = Some(span.oldest_ms);
            status.max_ms = Some(span.newest_ms);
        }
        status.chunk_file_bytes = self.store.bytes();
        let log = self.log.lock();
        status.wal_bytes = log.bytes();
        status.log_failure = log.failure().map(str::to_owned);
        status
    }
}

fn highest(mut ranked: Vec<Ranked>, limit: usize) -> Vec<Ranked> {
    ranked.sort_unstable_by(|a, b| b.value.cmp(&a.value).then_with(|| a.name.cmp(&b.name)));
    ranked.truncate(limit);
    ranked
}
