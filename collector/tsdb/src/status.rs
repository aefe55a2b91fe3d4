//! What the window tells about itself, for `/api/v1/status/tsdb` and the page.

use collector_model::TimestampMs;

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
