//! Where samples come in for one destination: which series it keeps and under which labels, and the way to its
//! queue.

use std::io;
use std::sync::Arc;

use collector_model::{Labels, RefSample, RelabelConfig, SeriesRef, TimestampMs, relabel};
use hashbrown::HashMap;

use crate::metrics::{Meter, Reason};
use crate::queue::record::{self, IdSample};
use crate::queue::{Queue, Writer};

/// Samples in one record at most, so that a reader never needs more than a few hundred KiB at once.
const SAMPLES_PER_RECORD: usize = 16_384;

/// Series in one record at most.
const SERIES_PER_RECORD: usize = 2_048;

/// Buffers larger than this are let go after use.
const MAX_KEPT_BYTES: usize = 1 << 20;

/// What a destination's series look like, and where their samples go.
pub(crate) struct Intake {
    queue: Arc<Queue>,
    writer: Writer,
    meter: Meter,
    rules: Rules,
    /// The window's series: a number, or [`DROPPED`]. The labels by number are the queue's `names`. Nothing is
    /// assumed of the handles, least of all that they lie close together.
    series: HashMap<SeriesRef, u32>,
    /// The segment whose dictionary has the series, by number.
    segments: Vec<u64>,
    free: Vec<u32>,
    batch: Vec<IdSample>,
    bytes: Vec<u8>,
    scratch: Vec<u8>,
    failing: bool,
}

/// How series become what the destination sees.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rules {
    /// Added where a series does not have them.
    pub external_labels: Labels,
    /// Applied then.
    pub relabel: Vec<RelabelConfig>,
}

const DROPPED: u32 = u32::MAX;

/// No segment has this number.
const NOWHERE: u64 = u64::MAX;

impl Rules {
    /// The labels that the destination sees; none where it is not to see the series.
    fn apply(&self, labels: &Labels) -> Option<Labels> {
        if self.external_labels.is_empty() && self.relabel.is_empty() {
            return Some(labels.clone());
        }
        let mut builder = labels.to_builder();
        for (name, value) in &self.external_labels {
            if builder.get(name).is_empty() {
                builder.set(name, value);
            }
        }
        if !relabel::process(&mut builder, &self.relabel) {
            return None;
        }
        let built = builder.build();
        // Where nothing changed the window's labels are shared instead of kept twice.
        if built == *labels { Some(labels.clone()) } else { Some(built).filter(|l| !l.is_empty()) }
    }
}

impl Intake {
    pub(crate) fn new(queue: Arc<Queue>, writer: Writer, meter: Meter, rules: Rules) -> Self {
        Self {
            queue,
            writer,
            meter,
            rules,
            series: HashMap::new(),
            segments: Vec::new(),
            free: Vec::new(),
            batch: Vec::new(),
            bytes: Vec::new(),
            scratch: Vec::new(),
            failing: false,
        }
    }

    /// Counts there from now on.
    pub(crate) fn set_meter(&mut self, meter: Meter) {
        self.meter = meter;
    }

    /// Changes how series become what the destination sees, from the next sample on.
    pub(crate) fn set_rules(&mut self, rules: Rules) {
        if rules != self.rules {
            self.rules = rules;
            self.series.clear();
            self.segments.clear();
            self.queue.names().clear();
            self.free.clear();
        }
    }

    /// Writes the samples that the destination keeps to its queue, in one piece. What cannot be written is counted
    /// as dropped.
    pub(crate) fn forward(&mut self, batch: &[RefSample], labels: &dyn Fn(SeriesRef) -> Option<Labels>) {
        self.batch.clear();
        let (mut dropped, mut unknown) = (0, 0);
        for sample in batch {
            match self.id(sample.series, labels) {
                Some(DROPPED) => dropped += 1,
                Some(id) => {
                    self.batch.push(IdSample { id, timestamp_ms: sample.timestamp_ms, value: sample.value });
                }
                None => unknown += 1,
            }
        }
        self.meter.drop_samples(Reason::DroppedSeries, dropped);
        self.meter.drop_samples(Reason::UnknownSeries, unknown);
        if self.batch.is_empty() {
            return;
        }
        let written = self.write();
        self.report(written);
        self.bytes.clear();
        self.bytes.shrink_to(MAX_KEPT_BYTES);
        self.scratch.shrink_to(MAX_KEPT_BYTES);
    }

    /// Forgets series that the window has let go.
    pub(crate) fn forget(&mut self, series: &[SeriesRef]) {
        let mut names = self.queue.names();
        for handle in series {
            if let Some(id) = self.series.remove(handle)
                && let Some(labels) = names.get_mut(id as usize)
            {
                *labels = Labels::empty();
                self.free.push(id);
            }
        }
    }

    /// Closes the queue's last segment, so that opening it again is quick.
    pub(crate) fn seal(&mut self) {
        self.writer.seal();
    }

    fn id(&mut self, series: SeriesRef, labels: &dyn Fn(SeriesRef) -> Option<Labels>) -> Option<u32> {
        if let Some(id) = self.series.get(&series) {
            return Some(*id);
        }
        let id = match self.rules.apply(&labels(series)?) {
            Some(labels) => self.keep(labels),
            None => DROPPED,
        };
        self.series.insert(series, id);
        Some(id)
    }

    /// A number that no other series has now. One that was used before may come again: the queue reads its
    /// dictionary in order, so the later meaning holds for the later samples.
    fn keep(&mut self, labels: Labels) -> u32 {
        let mut names = self.queue.names();
        if let Some(id) = self.free.pop()
            && let (Some(name), Some(segment)) = (names.get_mut(id as usize), self.segments.get_mut(id as usize))
        {
            (*name, *segment) = (labels, NOWHERE);
            return id;
        }
        let Ok(id) = u32::try_from(names.len()) else { return DROPPED };
        names.push(labels);
        self.segments.push(NOWHERE);
        id
    }

    fn write(&mut self) -> io::Result<()> {
        let segment = self.writer.segment()?;
        let mut new = Vec::new();
        for sample in &self.batch {
            if let Some(known) = self.segments.get_mut(sample.id as usize)
                && *known != segment
            {
                *known = segment;
                new.push(sample.id);
            }
        }
        let names = self.queue.names();
        for ids in new.chunks(SERIES_PER_RECORD) {
            let series = ids.iter().filter_map(|id| Some((*id, names.get(*id as usize)?)));
            record::write_series(series, &mut self.scratch, &mut self.bytes);
        }
        drop(names);
        for samples in self.batch.chunks(SAMPLES_PER_RECORD) {
            record::write_samples(samples, &mut self.bytes);
        }
        let newest = self.batch.iter().map(|s| s.timestamp_ms).max().unwrap_or(TimestampMs::MIN);
        self.writer.append(&self.bytes, self.batch.len() as u64, newest)
    }

    fn report(&mut self, written: io::Result<()>) {
        match written {
            Ok(()) => self.failing = false,
            Err(error) => {
                let full = error.kind() == io::ErrorKind::StorageFull;
                let reason = if full { Reason::DiskFull } else { Reason::WriteError };
                self.meter.drop_samples(reason, self.batch.len() as u64);
                if !self.failing {
                    self.failing = true;
                    tracing::error!(%error, "cannot write to a queue, samples are dropped until it can be written");
                }
            }
        }
    }
}
