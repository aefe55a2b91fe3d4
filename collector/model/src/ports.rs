//! The ports between the collector's parts: what a scrape writes to, what a query reads from, and what
//! delivery hears. Each is implemented in one crate and used from others that never see that crate.

use crate::{Labels, Matcher, Sample, TimestampMs};

/// A handle on a series inside one [`Append`], never reused while the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesRef(pub u64);

/// A sample of a series that was resolved before.
#[derive(Clone, Copy, Debug)]
pub struct RefSample {
    /// Which series.
    pub series: SeriesRef,
    /// When, in milliseconds since the epoch.
    pub timestamp_ms: TimestampMs,
    /// The value; [`STALE_NAN`](crate::STALE_NAN) ends the series.
    pub value: f64,
}

/// Why one sample of a batch was not taken. The rest of the batch was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rejection {
    /// Older than the newest sample of its series.
    OutOfOrder,
    /// Another value for a time stamp that the series already has.
    Duplicate,
    /// Before the window begins, or too far in the future.
    OutOfBounds,
    /// The series was let go since it was resolved: resolve its labels again and retry the sample.
    UnknownSeries,
    /// The series would have been new, and the window holds as many as it may.
    SeriesLimit,
}

impl Rejection {
    /// The reason as a label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OutOfOrder => "out_of_order",
            Self::Duplicate => "duplicate",
            Self::OutOfBounds => "out_of_bounds",
            Self::UnknownSeries => "unknown_series",
            Self::SeriesLimit => "series_limit",
        }
    }
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// How many samples were taken. A sample that repeats the newest one bit for bit counts as taken.
    pub accepted: usize,
    /// The positions in the batch that were refused, ascending, each with its reason.
    pub rejected: Vec<(usize, Rejection)>,
}

/// A batch could not be taken at all; nothing of it was kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The write-ahead log could not be written.
    #[error("cannot write the write-ahead log")]
    Log(#[source] std::io::Error),
    /// The bound on series was reached.
    #[error("the window holds {limit} series, its limit; refused {labels}")]
    SeriesLimit {
        /// The bound.
        limit: usize,
        /// The series that would have been one too many.
        labels: Labels,
    },
    /// The window is shutting down.
    #[error("the window is closed")]
    Closed,
}

/// Takes samples. Scrapes, rules and the remote-write receiver all write through this one door.
///
/// Implementations are called from many threads at once; neither call waits for the network.
pub trait Append: Send + Sync {
    /// The handle of the series with these labels, made when it is new. The labels must hold a metric name.
    fn resolve(&self, labels: &Labels) -> Result<SeriesRef, AppendError>;

    /// Takes a batch, as one unit in the log: after a crash either all of its accepted samples are there again
    /// or none. When this returns, what was accepted survives the death of the process. The one exception is a
    /// log that cannot be written, as on a full disk: then the window counts and logs that, goes on taking and
    /// forwarding in memory, and writes down what it can once the disk takes it.
    ///
    /// Samples of one series must be in the order of their time stamps.
    fn append(&self, batch: &[RefSample]) -> Result<Appended, AppendError>;
}

/// Hears every accepted sample *before* [`Append::append`] makes it durable, so that a sample which survives a
/// crash in the window was in every queue first. It may therefore hear a sample twice (after a crash), never
/// miss one.
pub trait Forward: Send + Sync {
    /// Takes accepted samples. Must not block on the network; what it cannot take it counts as dropped, by
    /// reason. `labels` gives the labels of a series in this batch; call it once per new series and remember.
    fn forward(&self, batch: &[RefSample], labels: &dyn Fn(SeriesRef) -> Option<Labels>);

    /// These series are gone from the window; their handles will not be heard of again.
    fn forget(&self, series: &[SeriesRef]);
}

/// A listener that hears nothing, for a window without destinations.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoForward;

impl Forward for NoForward {
    fn forward(&self, _batch: &[RefSample], _labels: &dyn Fn(SeriesRef) -> Option<Labels>) {}

    fn forget(&self, _series: &[SeriesRef]) {}
}

/// What a query wants to read.
#[derive(Clone, Debug)]
pub struct Selection {
    /// First time stamp of interest, inclusive, in milliseconds since the epoch.
    pub min_ms: TimestampMs,
    /// Last time stamp of interest, inclusive, in milliseconds since the epoch.
    pub max_ms: TimestampMs,
    /// All must match. At least one must not match the empty string.
    pub matchers: Vec<Matcher>,
}

/// A series and its samples in time order, stale markers included.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesSamples {
    /// The labels, the metric name among them.
    pub labels: Labels,
    /// The samples inside the selection's bounds, ascending.
    pub samples: Vec<Sample>,
}

/// A selection could not be answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// More samples than the query may load.
    #[error("query processing would load too many samples into memory (limit {limit})")]
    TooManySamples {
        /// The bound.
        limit: usize,
    },
    /// A chunk on disk could not be read.
    #[error("cannot read samples from disk")]
    Read(#[source] std::io::Error),
    /// The caller gave up.
    #[error("query was canceled")]
    Canceled,
}

/// Bounds of one selection.
pub trait Budget: Sync {
    /// Asks for room for `samples` more; an error ends the selection.
    fn take(&self, samples: usize) -> Result<(), SelectError>;
}

/// A budget without bounds, for tests and tools.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unbounded;

impl Budget for Unbounded {
    fn take(&self, _samples: usize) -> Result<(), SelectError> {
        Ok(())
    }
}

/// Gives samples back.
pub trait Select: Send + Sync {
    /// The series that match, each with its samples in the bounds, sorted by labels. A series without a sample
    /// in the bounds is left out.
    fn select(&self, selection: &Selection, budget: &dyn Budget) -> Result<Vec<SeriesSamples>, SelectError>;

    /// The label sets that match and have a sample in the bounds, sorted. Several matcher lists are a union.
    fn series(&self, selections: &[Selection]) -> Result<Vec<Labels>, SelectError>;

    /// All label names of the series in the bounds that match one of the selections (all series when empty),
    /// sorted.
    fn label_names(&self, selections: &[Selection]) -> Result<Vec<String>, SelectError> {
        let names: std::collections::BTreeSet<String> = self
            .series(selections)?
            .iter()
            .flat_map(|l| l.iter().map(|(n, _)| n.to_owned()).collect::<Vec<_>>())
            .collect();
        Ok(names.into_iter().collect())
    }

    /// All values of one label of the series in the bounds that match one of the selections, sorted.
    fn label_values(&self, name: &str, selections: &[Selection]) -> Result<Vec<String>, SelectError> {
        let values: std::collections::BTreeSet<String> =
            self.series(selections)?.iter().filter_map(|l| l.get(name).map(str::to_owned)).collect();
        Ok(values.into_iter().collect())
    }
}

/// Tells the time, so that tests can set it.
pub trait Clock: Send + Sync {
    /// Now, in milliseconds since the epoch.
    fn now_ms(&self) -> TimestampMs;
}

/// What a family of series is said to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Metadata {
    /// `counter`, `gauge`, `histogram`, `gaugehistogram`, `summary`, `info`, `stateset` or `unknown`.
    pub kind: &'static str,
    /// The help text, unescaped.
    pub help: String,
    /// The unit, often empty.
    pub unit: String,
}
