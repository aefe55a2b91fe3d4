//! The end of a queue where samples go out.

use std::io;
use std::sync::Arc;

use collector_model::Labels;

use super::cursor::Mark;
use super::record::{Damage, HEADER, IdSample, Record};
use super::records::Records;
use super::{Queue, segment_name};
use crate::paged::Paged;

/// Times that a segment is tried again before what cannot be read of it is given up. Opening a file fails for
/// passing reasons too (no descriptor is left).
const MAX_FAILURES: u32 = 10;

/// Reads from behind what was acknowledged to the end; made by [`Queue::reader`].
pub(crate) struct Reader {
    queue: Arc<Queue>,
    /// Which reader this is; a later one takes its place.
    number: u64,
    open: Option<Open>,
    series: Paged<Known>,
    failures: u32,
}

struct Open {
    number: u64,
    records: Records,
    /// Samples before this offset were acknowledged before the queue was opened; only their series are read.
    skip_until: u64,
}

/// A series of the segment that is being read.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Its labels.
    pub labels: Labels,
    /// A hash of them that is the same in every process.
    pub hash: u64,
}

/// The samples that were written together.
#[derive(Debug)]
pub(crate) struct Block {
    /// The samples; their series are told by [`Reader::series`] until the next block is read.
    pub samples: Vec<IdSample>,
    /// Behind them, for [`Queue::acknowledge`].
    pub mark: Mark,
}

enum Step {
    Block(Block),
    Again,
    Wait,
}

impl Reader {
    pub(super) fn new(queue: Arc<Queue>, number: u64) -> Self {
        Self { queue, number, open: None, series: Paged::default(), failures: 0 }
    }

    /// The next block; nothing when all that was written was read.
    ///
    /// # Errors
    /// When the disk fails. The next call tries again; after ten failures in a row the rest of the segment is given
    /// up, and counted.
    pub(crate) fn next(&mut self) -> io::Result<Option<Block>> {
        loop {
            match self.step() {
                Ok(Step::Block(block)) => {
                    self.failures = 0;
                    return Ok(Some(block));
                }
                Ok(Step::Again) => {}
                Ok(Step::Wait) => return Ok(None),
                Err(error) => {
                    self.failures += 1;
                    self.open = None;
                    if self.failures >= MAX_FAILURES {
                        self.failures = 0;
                        self.give_up_segment();
                    }
                    return Err(error);
                }
            }
        }
    }

    /// The series that a sample of the last block belongs to; none where the record that named it was damaged.
    pub(crate) fn series(&self, id: u32) -> Option<&Known> {
        self.series.get(u64::from(id))
    }

    fn step(&mut self) -> io::Result<Step> {
        let (number, end, sealed) = {
            let mut state = self.queue.state.lock();
            if state.reader != self.number {
                return Ok(Step::Wait);
            }
            let read = state.read;
            let Some(segment) = state.segments.iter().find(|s| s.number >= read.segment) else {
                return Ok(Step::Wait);
            };
            let found = (segment.number, segment.data_len, segment.sealed);
            if found.0 > read.segment {
                state.read = Mark::start_of(found.0);
            }
            found
        };
        let open = match &mut self.open {
            Some(open) if open.number == number => open,
            _ => self.open_segment(number)?,
        };
        match open.records.next(end)? {
            None if sealed => {
                self.finish_segment(number);
                Ok(Step::Again)
            }
            None => Ok(Step::Wait),
            Some(Ok(Record::Series(series))) => {
                let names = self.queue.names();
                for (id, read) in series {
                    let hash = read.stable_hash();
                    // Where the writing side still has the same labels, its copy is shared.
                    let labels = names.get(id as usize).filter(|held| **held == read).cloned().unwrap_or(read);
                    self.series.insert(u64::from(id), Known { labels, hash });
                }
                Ok(Step::Again)
            }
            Some(Ok(Record::Samples(samples))) => {
                let (offset, skip_until) = (open.records.offset(), open.skip_until);
                Ok(if offset > skip_until { self.take(number, offset, samples) } else { Step::Again })
            }
            Some(Ok(Record::End { .. })) => Ok(Step::Again),
            Some(Err(Damage::Corrupt { .. })) => {
                tracing::error!(
                    segment = number,
                    offset = open.records.offset(),
                    "skipped a damaged record of a queue"
                );
                self.queue.state.lock().losses.damages += 1;
                Ok(Step::Again)
            }
            Some(Err(Damage::Torn | Damage::Lost)) => {
                self.give_up_segment();
                Ok(Step::Again)
            }
        }
    }

    fn open_segment(&mut self, number: u64) -> io::Result<&mut Open> {
        self.series.clear();
        let file = self.queue.disk.open(&segment_name(number), false)?;
        let skip_until = self.queue.state.lock().read.offset;
        let records = Records::new(file, HEADER.len() as u64);
        Ok(self.open.insert(Open { number, records, skip_until }))
    }

    /// Moves behind a block, unless its segment was dropped meanwhile: then the block was counted as lost.
    fn take(&self, number: u64, offset: u64, samples: Vec<IdSample>) -> Step {
        let mut state = self.queue.state.lock();
        if state.read.segment != number || state.reader != self.number {
            return Step::Again;
        }
        let count = samples.len() as u64;
        state.waiting = state.waiting.saturating_sub(count);
        let mark = Mark { segment: number, offset, samples: state.read.samples + count };
        state.read = mark;
        Step::Block(Block { samples, mark })
    }

    /// Leaves a segment that was read to its end; what it should have held and did not is counted.
    fn finish_segment(&mut self, number: u64) {
        self.open = None;
        let mut state = self.queue.state.lock();
        if state.read.segment != number || state.reader != self.number {
            return;
        }
        let held = state.segments.iter().find(|s| s.number == number).map_or(0, |s| s.samples);
        let missing = held.saturating_sub(state.read.samples);
        state.waiting = state.waiting.saturating_sub(missing);
        state.losses.samples_damaged += missing;
        state.read = Mark::start_of(number + 1);
    }

    fn give_up_segment(&mut self) {
        let number = {
            let mut state = self.queue.state.lock();
            state.losses.damages += 1;
            state.read.segment
        };
        tracing::error!(segment = number, "gave up the rest of a damaged segment of a queue");
        self.finish_segment(number);
    }
}
