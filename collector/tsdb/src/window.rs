//! The window itself: the one type that the binary holds.

use std::sync::Arc;

use collector_model::{
    Append, AppendError, Appended, Budget, Clock, Forward, Labels, RefSample, Select, SelectError, Selection,
    SeriesRef, SeriesSamples,
};
use prometheus_client::registry::Registry;

use crate::{OpenError, Options, Status};

/// The last hours of every series, in memory and in a directory.
pub struct Window {}

impl Window {
    /// Opens the directory, takes its lock, and brings back what an earlier process left there.
    ///
    /// `registry` must be the root registry, without a prefix: the metrics carry Prometheus's own names.
    ///
    /// # Errors
    /// When another process has the directory or it cannot be used at all. Damaged files are set aside, logged
    /// and counted.
    pub fn open(
        _options: Options,
        _clock: Arc<dyn Clock>,
        _forward: Arc<dyn Forward>,
        _registry: &mut Registry,
    ) -> Result<Arc<Self>, OpenError> {
        Ok(Arc::new(Self {}))
    }

    /// Does what is due: fsync, checkpoint, retention, letting go of series, retrying what the disk refused. Call
    /// it about every second from a thread that may block; each part keeps its own interval. Logs what fails.
    pub fn maintain(&self) {}

    /// Refuses further samples, writes everything down so that the next start is quick, and syncs. Reading still
    /// works. A window that is merely dropped loses nothing either, its next start takes longer.
    pub fn close(&self) {}

    /// The state at this moment, each ranking with at most `limit` rows.
    pub fn status(&self, _limit: usize) -> Status {
        Status::default()
    }

    /// The labels of a series, while the window holds it.
    pub fn labels(&self, _series: SeriesRef) -> Option<Labels> {
        None
    }
}

impl Append for Window {
    fn resolve(&self, _labels: &Labels) -> Result<SeriesRef, AppendError> {
        Err(AppendError::Closed)
    }

    fn append(&self, _batch: &[RefSample]) -> Result<Appended, AppendError> {
        Err(AppendError::Closed)
    }
}

impl Select for Window {
    fn select(&self, _selection: &Selection, _budget: &dyn Budget) -> Result<Vec<SeriesSamples>, SelectError> {
        Ok(Vec::new())
    }

    fn series(&self, _selections: &[Selection]) -> Result<Vec<Labels>, SelectError> {
        Ok(Vec::new())
    }
}
