//! How a window is set up.

use std::path::PathBuf;

/// How a [`Window`](crate::Window) is set up. [`Options::new`] gives the defaults; change single fields from there.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory that holds the window's files. Made when it is missing.
    pub dir: PathBuf,
    /// How long samples are kept, in milliseconds. Default 6 hours.
    pub retention_ms: i64,
    /// Bound on the bytes of the chunk files and the log together; the oldest chunk files go first. Default none.
    pub retention_bytes: Option<u64>,
    /// Bound on the number of series; `resolve` of one more fails. Default 2,000,000.
    pub max_series: usize,
    /// Samples in a full chunk. Default 120, as in Prometheus. One that is small by then takes up to four times as
    /// many: see `chunk_bytes`.
    pub chunk_samples: u16,
    /// Bytes from which a chunk with enough samples is full. What hardly changes needs fewer chunks like this, and
    /// each closed one costs memory. Default 160.
    pub chunk_bytes: usize,
    /// How far in the future a sample may lie, in milliseconds. Default 10 minutes, as in Prometheus.
    pub future_limit_ms: i64,
    /// How far back an instant query looks, in milliseconds: a series that ended with a stale marker twice this
    /// long ago gives its open chunk back. Default 5 minutes.
    pub lookback_ms: i64,
    /// Size at which a segment of the write-ahead log is followed by the next, in bytes. Default 32 MiB.
    pub wal_segment_bytes: u64,
    /// How long an append may go without fsync, in milliseconds, provided that `maintain` is called that often.
    /// It bounds what a power cut can take; the death of the process takes nothing. Default 1 second.
    pub sync_interval_ms: i64,
    /// How often the open chunks are written down so that the log behind them can go, in milliseconds.
    /// Default 5 minutes.
    pub checkpoint_interval_ms: i64,
    /// Bytes of log that call for a checkpoint before its time. Default 128 MiB.
    pub checkpoint_wal_bytes: u64,
    /// Bytes of log, and as many of chunks, kept in memory while the disk refuses them. Default 32 MiB.
    pub unwritten_bytes: usize,
}

impl Options {
    /// The defaults over a directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            retention_ms: 6 * 3_600_000,
            retention_bytes: None,
            max_series: 2_000_000,
            chunk_samples: 120,
            chunk_bytes: 160,
            future_limit_ms: 600_000,
            lookback_ms: 300_000,
            wal_segment_bytes: 32 << 20,
            sync_interval_ms: 1_000,
            checkpoint_interval_ms: 300_000,
            checkpoint_wal_bytes: 128 << 20,
            unwritten_bytes: 32 << 20,
        }
    }
}
