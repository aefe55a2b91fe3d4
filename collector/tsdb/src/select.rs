//! The way of samples out of the window.

use std::collections::BTreeSet;

use collector_model::{Budget, Labels, Sample, Select, SelectError, Selection, SeriesSamples, TimestampMs};
use tracing::warn;

use crate::encoding::chunk::Samples;
use crate::index::{Entry, Generation, Slot};
use crate::store::{Chunk, Locator};
use crate::window::Window;

/// The open chunk of a series, copied out so that it can be unpacked without the lock.
#[derive(Default)]
struct OpenCopy {
    count: u16,
    first_ms: TimestampMs,
    packed: Vec<u8>,
}

/// Room that is used again from series to series.
#[derive(Default)]
struct Scratch {
    closed: Vec<Locator>,
    open: OpenCopy,
    read: Vec<u8>,
    samples: Vec<Sample>,
}

impl Window {
    fn candidates(&self, selection: &Selection) -> Vec<(Slot, Entry)> {
        let index = self.index.read();
        let slots = index.select(&selection.matchers);
        slots.into_iter().filter_map(|slot| Some((slot, index.entry(slot)?.clone()))).collect()
    }

    /// Copies out where the samples in the bounds may be; says whether there may be any.
    fn look_up(&self, slot: Slot, generation: Generation, bounds: &Selection, into: &mut Scratch) -> bool {
        into.closed.clear();
        into.open.count = 0;
        let mut cursor = self.head.cursor();
        let Some(series) = cursor.get(slot, generation) else { return false };
        let mut before_ms = TimestampMs::MIN;
        for locator in &series.closed {
            // All of a chunk comes after the one before it.
            let may_overlap = locator.newest_ms() >= bounds.min_ms && before_ms <= bounds.max_ms;
            if may_overlap {
                into.closed.push(*locator);
            }
            before_ms = locator.newest_at_least_ms();
        }
        let chunk = &series.chunk;
        if !chunk.is_empty() && chunk.newest_ms() >= bounds.min_ms && chunk.first_ms() <= bounds.max_ms {
            into.open.count = chunk.count();
            into.open.first_ms = chunk.first_ms();
            into.open.packed.clear();
            chunk.copy_to(&mut into.open.packed);
        }
        into.open.count > 0 || !into.closed.is_empty()
    }

    fn load(
        &self,
        (slot, generation): (Slot, Generation),
        bounds: &Selection,
        budget: &dyn Budget,
        scratch: &mut Scratch,
    ) -> Result<Vec<Sample>, SelectError> {
        let mut all = Vec::new();
        if !self.look_up(slot, generation, bounds, scratch) {
            return Ok(all);
        }
        let Scratch { closed, open, read, samples } = scratch;
        for locator in closed {
            let whole = match self.store.read(*locator, read).map_err(SelectError::Read)? {
                Chunk::Found(c) => {
                    c.newest_ms < bounds.min_ms || unpack(c.packed, c.count, c.first_ms, bounds, samples)
                }
                Chunk::Gone => continue,
                Chunk::Damaged => false,
            };
            if whole {
                take(&mut all, samples, budget)?;
            } else {
                samples.clear();
                self.give_up(slot, generation, *locator);
            }
        }
        unpack(&open.packed, open.count, open.first_ms, bounds, samples);
        take(&mut all, samples, budget)?;
        Ok(all)
    }

    /// Lets go of a chunk that cannot be read, so that one bad place costs one warning and not every query.
    fn give_up(&self, slot: Slot, generation: Generation, locator: Locator) {
        if let Some(series) = self.head.cursor().get(slot, generation) {
            series.closed.retain(|l| *l != locator);
            self.metrics.chunk_corruptions.inc();
            warn!(series = %series.labels, file = locator.file, "a chunk is damaged; letting it go");
        }
    }

    /// Whether a selection asks for everything that the window has.
    fn is_everything(&self, selection: &Selection) -> bool {
        let span = *self.span.lock();
        !span.is_empty()
            && selection.matchers.is_empty()
            && selection.min_ms <= span.oldest_ms
            && selection.max_ms >= span.newest_ms
    }

    /// Calls `visit` with each series in one of the selections; a series in several may come several times.
    fn visit_series(&self, selections: &[Selection], mut visit: impl FnMut(&Labels)) {
        let mut scratch = Scratch::default();
        for selection in selections {
            for (slot, entry) in self.candidates(selection) {
                if self.look_up(slot, entry.generation, selection, &mut scratch) {
                    visit(&entry.labels);
                }
            }
        }
    }
}

/// Unpacks the samples in the bounds into `into`; says whether the chunk was whole.
fn unpack(packed: &[u8], count: u16, first_ms: TimestampMs, bounds: &Selection, into: &mut Vec<Sample>) -> bool {
    let mut samples = Samples::new(packed, count, first_ms);
    for sample in samples.by_ref() {
        if sample.timestamp_ms > bounds.max_ms {
            break;
        }
        if sample.timestamp_ms >= bounds.min_ms {
            into.push(sample);
        }
    }
    !samples.is_broken()
}

/// Moves samples over, if the budget has room for them.
fn take(all: &mut Vec<Sample>, samples: &mut Vec<Sample>, budget: &dyn Budget) -> Result<(), SelectError> {
    if !samples.is_empty() {
        budget.take(samples.len())?;
        all.append(samples);
    }
    Ok(())
}

impl Select for Window {
    fn select(&self, selection: &Selection, budget: &dyn Budget) -> Result<Vec<SeriesSamples>, SelectError> {
        let mut scratch = Scratch::default();
        let mut found = Vec::new();
        for (slot, Entry { labels, generation }) in self.candidates(selection) {
            let samples = self.load((slot, generation), selection, budget, &mut scratch)?;
            if !samples.is_empty() {
                found.push(SeriesSamples { labels, samples });
            }
        }
        found.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        Ok(found)
    }

    /// Judges by the bounds of chunks, without reading them: a series whose samples all lie beside the bounds and
    /// in a chunk that reaches into them is given, too.
    fn series(&self, selections: &[Selection]) -> Result<Vec<Labels>, SelectError> {
        let mut found = Vec::new();
        self.visit_series(selections, |labels| found.push(labels.clone()));
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    fn label_names(&self, selections: &[Selection]) -> Result<Vec<String>, SelectError> {
        if selections.iter().all(|s| self.is_everything(s)) {
            let mut names: Vec<String> = self.index.read().label_names().map(str::to_owned).collect();
            names.sort_unstable();
            return Ok(names);
        }
        let mut names: BTreeSet<String> = BTreeSet::new();
        self.visit_series(selections, |labels| {
            for (name, _) in labels {
                if !names.contains(name) {
                    names.insert(name.to_owned());
                }
            }
        });
        Ok(names.into_iter().collect())
    }

    fn label_values(&self, name: &str, selections: &[Selection]) -> Result<Vec<String>, SelectError> {
        if selections.iter().all(|s| self.is_everything(s)) {
            let mut values: Vec<String> =
                self.index.read().label_values(name).map(|(value, _)| value.to_owned()).collect();
            values.sort_unstable();
            return Ok(values);
        }
        let mut values: BTreeSet<String> = BTreeSet::new();
        self.visit_series(selections, |labels| {
            if let Some(value) = labels.get(name).filter(|v| !values.contains(*v)) {
                values.insert(value.to_owned());
            }
        });
        Ok(values.into_iter().collect())
    }
}
