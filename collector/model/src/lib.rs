//! The collector's common words: labels, samples, matchers, relabelling, and the ports [`Append`], [`Forward`]
//! and [`Select`] through which its parts meet.
//!
//! Nothing here does I/O, waits, or reads a clock: [`Clock`] is a port too.

mod chain;
mod duration;
mod labels;
mod matcher;
mod ports;
mod re2;
pub mod relabel;
mod sample;

pub use chain::chain;
pub use duration::{DurationError, PromDuration};
pub use labels::{Iter as LabelsIter, Labels, LabelsBuilder, METRIC_NAME};
pub use matcher::{AnchoredRegex, MatchOp, Matcher};
pub use ports::{
    Append, AppendError, Appended, Budget, Clock, Forward, Metadata, NoForward, RefSample, Rejection, Select,
    SelectError, Selection, SeriesRef, SeriesSamples, Unbounded,
};
pub use re2::anchored_pattern;
pub use relabel::{RelabelAction, RelabelConfig, RelabelError};
pub use sample::{NORMAL_NAN, STALE_NAN, Sample, TimestampMs, is_stale};
