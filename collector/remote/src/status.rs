//! What a page or an API shows of a destination.

use std::collections::BTreeMap;

use collector_model::TimestampMs;

/// A destination as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct DestinationStatus {
    /// Its name: the configured one, or one made of the URL.
    pub name: String,
    /// Where to, without secrets.
    pub url: String,
    /// Its sink: `remote_write` or `influxdb`.
    pub kind: &'static str,
    /// Samples that wait or are on their way.
    pub pending_samples: u64,
    /// What the queue takes on disk.
    pub disk_bytes: u64,
    /// The time of the oldest sample that is not acknowledged yet; none when all are.
    pub oldest_unsent_ms: Option<TimestampMs>,
    /// The time of the newest sample that was acknowledged.
    pub highest_sent_ms: Option<TimestampMs>,
    /// What went wrong last, if it went wrong since the last success.
    pub last_error: Option<LastError>,
    /// When a request last succeeded.
    pub last_success_ms: Option<TimestampMs>,
    /// Samples acknowledged since the process began.
    pub samples_sent: u64,
    /// Samples sent again after a failure.
    pub samples_retried: u64,
    /// Samples that the receiver refused for good.
    pub samples_failed: u64,
    /// Samples dropped on this side, by reason.
    pub samples_dropped: BTreeMap<&'static str, u64>,
    /// Bytes of request bodies acknowledged.
    pub bytes_sent: u64,
    /// Requests in flight at most.
    pub shards: usize,
    /// Shards that wait after a failure before they try again.
    pub shards_waiting: usize,
}

/// What went wrong with a destination, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// When, in milliseconds since the epoch.
    pub at_ms: TimestampMs,
    /// What: the receiver's answer or why there was none.
    pub message: String,
}
