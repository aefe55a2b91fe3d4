//! The series that tell how a scrape went: `up` and its like.

use collector_model::{Append, AppendError, Labels, METRIC_NAME, RefSample, STALE_NAN, SeriesRef, TimestampMs};

/// What a scrape reports. The order is [`NAMES`]'s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Report {
    pub(crate) up: f64,
    pub(crate) duration_seconds: f64,
    pub(crate) scraped: f64,
    pub(crate) kept: f64,
    pub(crate) added: f64,
    /// With `extra_scrape_metrics`.
    pub(crate) extra: Option<Extra>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Extra {
    pub(crate) timeout_seconds: f64,
    pub(crate) sample_limit: f64,
    /// -1 when the limit was exceeded, 0 after another failure.
    pub(crate) body_bytes: f64,
}

const NAMES: [&str; 8] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
    "scrape_timeout_seconds",
    "scrape_sample_limit",
    "scrape_body_size_bytes",
];

impl Report {
    fn values(&self) -> impl Iterator<Item = f64> {
        let extra = self.extra.map(|e| [e.timeout_seconds, e.sample_limit, e.body_bytes]);
        let plain = [self.up, self.duration_seconds, self.scraped, self.kept, self.added];
        plain.into_iter().chain(extra.into_iter().flatten())
    }
}

/// The report series of one target.
#[derive(Debug, Default)]
pub(crate) struct ReportSeries {
    target: Labels,
    /// By the position of the name; `None` while the window has no room for it.
    series: Vec<Option<SeriesRef>>,
    /// The names' positions in the last batch.
    pushed: Vec<usize>,
}

impl ReportSeries {
    /// They carry the target's labels and nothing else.
    pub(crate) fn new(target: Labels) -> Self {
        Self { target, series: Vec::new(), pushed: Vec::new() }
    }

    /// Adds a report to a batch. Gives how many of its samples the window has no room for.
    pub(crate) fn push(
        &mut self,
        append: &dyn Append,
        report: &Report,
        timestamp_ms: TimestampMs,
        batch: &mut Vec<RefSample>,
    ) -> Result<u64, AppendError> {
        let mut refused = 0;
        self.pushed.clear();
        for (position, value) in report.values().enumerate() {
            if self.series.len() <= position {
                self.series.push(None);
            }
            let known = self.series.get(position).copied().flatten();
            match known.map_or_else(|| self.renew_at(append, position), |series| Ok(Some(series)))? {
                Some(series) => {
                    self.pushed.push(position);
                    batch.push(RefSample { series, timestamp_ms, value });
                }
                None => refused += 1,
            }
        }
        Ok(refused)
    }

    /// Adds the end of every series that was reported so far.
    pub(crate) fn push_stale(&self, timestamp_ms: TimestampMs, batch: &mut Vec<RefSample>) {
        batch.extend(self.series.iter().flatten().map(|series| RefSample {
            series: *series,
            timestamp_ms,
            value: STALE_NAN,
        }));
    }

    /// Resolves the series of a report's sample again, because the window let go of it: that one of the last batch,
    /// counted from where the report began. `None` when there is no room for it any more.
    pub(crate) fn renew(&mut self, append: &dyn Append, pushed: usize) -> Result<Option<SeriesRef>, AppendError> {
        let Some(position) = self.pushed.get(pushed).copied() else { return Ok(None) };
        self.renew_at(append, position)
    }

    fn renew_at(&mut self, append: &dyn Append, position: usize) -> Result<Option<SeriesRef>, AppendError> {
        let resolved = match append.resolve(&self.labels(position)) {
            Err(AppendError::SeriesLimit { .. }) => None,
            resolved => Some(resolved?),
        };
        if let Some(series) = self.series.get_mut(position) {
            *series = resolved;
        }
        Ok(resolved)
    }

    fn labels(&self, position: usize) -> Labels {
        let mut labels = self.target.to_builder();
        labels.set(METRIC_NAME, NAMES.get(position).copied().unwrap_or(""));
        labels.build()
    }
}
