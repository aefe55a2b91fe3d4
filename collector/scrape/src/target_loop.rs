//! The loop of one target: wait for its time, scrape, store, report.

use std::sync::Arc;
use std::time::{Duration, Instant};

use collector_model::{AppendError, Appended, Clock, RefSample, Rejection, STALE_NAN, TimestampMs};
use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::{debug, error, warn};

use crate::cache::SeriesCache;
use crate::fetch::{Request, ScrapeError, fetch};
use crate::mapping::Mapping;
use crate::metadata::MetadataCache;
use crate::metrics::Metrics;
use crate::page::{Counts, PageError, PageReader, Reading, Scratch};
use crate::report::{Extra, Report, ReportSeries};
use crate::schedule::Schedule;
use crate::settings::{Command, LoopSettings, Shared};
use crate::status::Health;

/// How the last scrape of a target went.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastScrape {
    pub(crate) health: Health,
    pub(crate) error: Option<String>,
    pub(crate) began_ms: Option<TimestampMs>,
    pub(crate) duration: Duration,
}

/// What others may look at while the loop runs.
#[derive(Debug, Default)]
pub(crate) struct LoopView {
    pub(crate) last: Mutex<LastScrape>,
    pub(crate) metadata: Mutex<MetadataCache>,
}

pub(crate) struct TargetLoop {
    shared: Arc<Shared>,
    commands: watch::Receiver<Command>,
    view: Arc<LoopView>,
    cache: SeriesCache,
    mapping: Mapping,
    report: ReportSeries,
    /// When the last scrape was due, and when it began.
    due_ms: Option<TimestampMs>,
    began: Option<Instant>,
    schedule: Schedule,
    /// Whether the last scrape that came whole had series which the window has no room for.
    over_limit: bool,
}

impl TargetLoop {
    pub(crate) fn new(
        shared: Arc<Shared>,
        settings: &LoopSettings,
        commands: watch::Receiver<Command>,
        view: Arc<LoopView>,
    ) -> Self {
        Self {
            cache: SeriesCache::new(shared.text_seed),
            mapping: settings.mapping(),
            report: ReportSeries::new(settings.target.labels.clone()),
            schedule: schedule(settings),
            due_ms: None,
            began: None,
            over_limit: false,
            shared,
            commands,
            view,
        }
    }

    /// Scrapes until told to retire, then ends the series. To stop at once, as at shutdown, abort it.
    pub(crate) async fn run(mut self) {
        loop {
            let Command::Run(settings) = self.commands.borrow_and_update().clone() else { break };
            self.schedule = schedule(&settings);
            let due = self.schedule.next(self.shared.clock.now_ms(), self.due_ms);
            tokio::select! {
                biased;
                changed = self.commands.changed() => {
                    // Without a pool there is nobody left to scrape for.
                    if changed.is_err() { return }
                }
                () = sleep_until(&*self.shared.clock, due) => self.scrape(&settings, due).await,
            }
        }
        self.end().await;
    }

    async fn scrape(&mut self, settings: &LoopSettings, due_ms: TimestampMs) {
        let (now_ms, began) = (self.shared.clock.now_ms(), Instant::now());
        self.due_ms = Some(due_ms);
        if let Some(before) = self.began.replace(began) {
            self.shared.metrics.interval_length.observe(settings.target.interval, began - before);
        }
        let mapping = settings.mapping();
        if mapping != self.mapping {
            self.mapping = mapping;
            self.cache.forget_texts();
        }
        let timestamp_ms = self.schedule.snap(now_ms, due_ms);
        let mut scratch = self.shared.take_scratch();
        self.cache.begin();
        let (counts, result) = self.read_page(settings, (timestamp_ms, now_ms), &mut scratch).await;
        let (duration, stored) = self.store(settings, &result, counts, (timestamp_ms, began), &mut scratch);
        self.shared.give_scratch(scratch);
        let reason = result.as_ref().err().map(ScrapeError::reason).or(stored.is_err().then_some("window"));
        if let Some(reason) = reason {
            self.shared.metrics.failed.get_or_create(&Metrics::failure(&settings.job.job.name, reason)).inc();
        }
        let error = result.as_ref().err().map(|e| chain(e)).or(stored.as_ref().err().map(|e| chain(e)));
        self.note(settings, error, (now_ms, duration));
    }

    /// Gets the page and reads it into the scratch buffers.
    async fn read_page(
        &mut self,
        settings: &LoopSettings,
        (timestamp_ms, now_ms): (TimestampMs, TimestampMs),
        scratch: &mut Scratch,
    ) -> (Counts, Result<(), ScrapeError>) {
        let job = &settings.job.job;
        if let Some(targets) = settings.too_many {
            return (Counts::default(), Err(ScrapeError::TargetLimit { targets, limit: job.limits.targets }));
        }
        let reading = Reading {
            timestamp_ms,
            now_ms,
            honor_timestamps: job.honor_timestamps,
            track_timestamps: job.track_timestamps_staleness,
            body_limit: job.limits.body_size,
            sample_limit: job.limits.samples,
        };
        let timeout = settings.target.timeout;
        let request = Request {
            client: &settings.job.client,
            url: &settings.target.request_url,
            accept: &settings.job.accept,
            compression: job.enable_compression,
            timeout,
            fallback: job.fallback_protocol,
        };
        let caches = (&mut self.cache, &self.view.metadata);
        let mut page = PageReader::new(reading, &self.mapping, &*self.shared.append, caches, scratch);
        let result = match tokio::time::timeout(timeout, fetch(request, &mut page)).await {
            Ok(result) => result,
            Err(_) => Err(ScrapeError::Timeout(timeout)),
        };
        // What was read of a page that never came whole says nothing.
        let whole = matches!(&result, Ok(()) | Err(ScrapeError::Page(_)));
        (if whole { page.counts } else { Counts::default() }, result)
    }

    /// Stores the samples, or after a failure the ends of all series, and the report: all as one batch.
    fn store(
        &mut self,
        settings: &LoopSettings,
        result: &Result<(), ScrapeError>,
        counts: Counts,
        (timestamp_ms, began): (TimestampMs, Instant),
        scratch: &mut Scratch,
    ) -> (Duration, Result<(), AppendError>) {
        let good = result.is_ok();
        self.count(result, counts);
        if !good {
            scratch.clear();
        }
        let end = |series| RefSample { series, timestamp_ms, value: STALE_NAN };
        let samples = &mut scratch.samples;
        self.cache.vanished(!good, |series| samples.push(end(series)));
        let duration = began.elapsed();
        let report = report(settings, result, counts, duration);
        let reported_from = samples.len();
        let pushed = self.report.push(&*self.shared.append, &report, timestamp_ms, samples);
        let stored = pushed.and_then(|refused| Ok(refused + self.append(scratch, reported_from)?));
        let stored = stored.map(|refused| self.note_over_limit(settings, counts.over_limit + refused, good));
        if let Err(error) = &stored {
            self.shared.metrics.append_failures.inc();
            error!(error = chain(error), target = settings.target.url, "a scrape is lost: the window did not take it");
        }
        if self.cache.commit(good && stored.is_ok()) {
            self.shared.metrics.cache_flush_forced.inc();
        }
        self.view.metadata.lock().commit(good);
        (duration, stored)
    }

    /// Counts the samples that the window has no room for, and says so when that begins.
    fn note_over_limit(&mut self, settings: &LoopSettings, refused: u64, good: bool) {
        self.shared.metrics.series_over_limit.inc_by(refused);
        if refused > 0 && !self.over_limit {
            let target = &settings.target.url;
            warn!(refused, %target, "the window holds as many series as it may: new ones of this target are lost");
        }
        // A scrape that failed does not tell that there is room again.
        self.over_limit = refused > 0 || (self.over_limit && !good);
    }

    /// Appends the batch, and once more those samples whose series the window had let go of. Gives how many of these
    /// it has no room for any more.
    fn append(&mut self, scratch: &Scratch, reported_from: usize) -> Result<u64, AppendError> {
        let append = Arc::clone(&self.shared.append);
        let appended = append.append(&scratch.samples)?;
        let (mut again, mut refused) = (Vec::new(), 0);
        for (position, rejection) in &appended.rejected {
            let Some(sample) = scratch.samples.get(*position) else { continue };
            if *rejection != Rejection::UnknownSeries {
                self.count_rejection(*rejection, sample.value, *position >= reported_from);
            } else if let Some(slot) = scratch.slots.get(*position)
                && let Some(labels) = self.cache.labels(*slot).cloned()
            {
                match append.resolve(&labels) {
                    Ok(series) => {
                        self.cache.replace(*slot, series);
                        again.push(RefSample { series, ..*sample });
                    }
                    Err(AppendError::SeriesLimit { .. }) => refused += 1,
                    Err(error) => return Err(error),
                }
            } else if *position >= reported_from {
                match self.report.renew(&*append, *position - reported_from)? {
                    Some(series) => again.push(RefSample { series, ..*sample }),
                    None => refused += 1,
                }
            }
            // What remains is the end of a series that is gone anyway.
        }
        if !again.is_empty() {
            let Appended { rejected, .. } = append.append(&again)?;
            for (position, rejection) in rejected {
                self.count_rejection(rejection, again.get(position).map_or(0.0, |s| s.value), false);
            }
        }
        Ok(refused)
    }

    /// A stale marker or a report beside a sample of the same name and time is expected to lose.
    fn count_rejection(&self, rejection: Rejection, value: f64, report: bool) {
        if report || collector_model::is_stale(value) {
            return;
        }
        let metrics = &self.shared.metrics;
        match rejection {
            Rejection::OutOfOrder => metrics.out_of_order.inc(),
            Rejection::Duplicate => metrics.duplicate_timestamp.inc(),
            Rejection::OutOfBounds => metrics.out_of_bounds.inc(),
            _ => metrics.append_failures.inc(),
        };
    }

    fn count(&self, result: &Result<(), ScrapeError>, counts: Counts) {
        let metrics = &self.shared.metrics;
        metrics.duplicate_timestamp.inc_by(counts.duplicates);
        metrics.out_of_bounds.inc_by(counts.out_of_bounds);
        match result {
            Err(ScrapeError::Page(PageError::SampleLimit(_))) => metrics.exceeded_sample_limit.inc(),
            Err(ScrapeError::Page(PageError::BodySize(_))) => metrics.exceeded_body_size_limit.inc(),
            Err(ScrapeError::Page(PageError::Series(error))) if error.is_label_limit() => {
                metrics.exceeded_label_limits.inc()
            }
            _ => 0,
        };
    }

    fn note(&self, settings: &LoopSettings, error: Option<String>, (now_ms, duration): (TimestampMs, Duration)) {
        let health = if error.is_none() { Health::Up } else { Health::Down };
        let mut last = self.view.last.lock();
        match &error {
            Some(error) if last.health != Health::Down => {
                warn!(error, target = settings.target.url, "a scrape failed");
            }
            Some(error) => debug!(error, target = settings.target.url, "a scrape failed again"),
            None => {}
        }
        *last = LastScrape { health, error, began_ms: Some(now_ms), duration };
    }

    /// Ends all series of a target that is gone: not before somebody else, such as the same target in another job,
    /// could have gone on with them, and with a time that their samples make too old.
    async fn end(mut self) {
        if self.began.is_none() {
            return;
        }
        let interval = i64::try_from(self.schedule.interval().as_millis()).unwrap_or(i64::MAX);
        let stale_ms = self.schedule.next(self.shared.clock.now_ms(), self.due_ms);
        sleep_until(&*self.shared.clock, stale_ms.saturating_add(interval).saturating_add(interval / 10)).await;
        let mut batch = Vec::new();
        self.cache.begin();
        let end = |series| RefSample { series, timestamp_ms: stale_ms, value: STALE_NAN };
        self.cache.vanished(true, |series| batch.push(end(series)));
        self.report.push_stale(stale_ms, &mut batch);
        if let Err(error) = self.shared.append.append(&batch) {
            warn!(error = chain(&error), "cannot end the series of a target that is gone");
        }
        self.cache.commit(false);
    }
}

/// Sleeps until the clock should show a time.
async fn sleep_until(clock: &dyn Clock, time_ms: TimestampMs) {
    let wait = u64::try_from(time_ms.saturating_sub(clock.now_ms())).unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(wait)).await;
}

fn schedule(settings: &LoopSettings) -> Schedule {
    let identity = settings.target.identity();
    Schedule::new(settings.target.interval, (identity as u64) ^ settings.job.offset_seed)
}

fn report(settings: &LoopSettings, result: &Result<(), ScrapeError>, counts: Counts, duration: Duration) -> Report {
    let job = &settings.job.job;
    let extra = job.extra_metrics.then(|| Extra {
        timeout_seconds: settings.target.timeout.as_secs_f64(),
        sample_limit: job.limits.samples as f64,
        body_bytes: match result {
            Ok(()) => counts.bytes as f64,
            Err(ScrapeError::Page(PageError::BodySize(_))) => -1.0,
            Err(_) => 0.0,
        },
    });
    let body_failed = matches!(result, Err(ScrapeError::Page(PageError::BodySize(_))));
    let counts = if body_failed { Counts::default() } else { counts };
    Report {
        up: f64::from(u8::from(result.is_ok())),
        duration_seconds: duration.as_secs_f64(),
        scraped: counts.scraped as f64,
        kept: counts.kept as f64,
        added: counts.added as f64,
        extra,
    }
}

/// An error and its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some libraries repeat their cause in their own words.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
