//! The queue of one destination: segments on disk, one [`Writer`] at the end, one [`Reader`] at the front, and a
//! cursor behind what was acknowledged.
//!
//! - What [`Writer::append`] has taken survives the death of the process (`write(2)` has returned).
//! - What was acknowledged is not read again, except for what the cursor file does not say yet.
//! - The bound on disk space holds: when it is reached, the oldest segment goes, read or not.
//! - Damage costs what is damaged: a record with a wrong checksum is skipped, a torn tail is cut, and where the next
//!   record cannot be found the rest of that segment is lost. A segment that begins as none of ours is set aside
//!   (`.corrupt`), the first to go when room is needed. All are counted.

pub(crate) mod cursor;
pub(crate) mod disk;
#[cfg(test)]
mod model;
mod reader;
pub(crate) mod record;
mod records;
mod writer;

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use collector_model::{Labels, TimestampMs};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use cursor::Mark;
use disk::Disk;
use record::{Damage, END_LEN, HEADER, Record};
use records::Records;

pub(crate) use reader::{Block, Reader};
pub(crate) use writer::Writer;

/// Segments are this long where the bound on disk space leaves room: long enough that the labels, which each
/// segment repeats, stay a small part.
const SEGMENT_BYTES: u64 = 32 << 20;

/// The bound on disk space holds at least so many segments, so that dropping one drops a small part.
const MIN_SEGMENTS: u64 = 8;

/// Ends the name of a segment that cannot be read and was set aside.
const ASIDE: &str = ".corrupt";

/// A queue on disk. Made by [`open`].
pub(crate) struct Queue {
    disk: Arc<dyn Disk>,
    segment_bytes: u64,
    state: Mutex<State>,
    written: Notify,
    names: Mutex<Vec<Labels>>,
}

#[derive(Debug)]
struct State {
    /// Oldest first; the writer's is the last.
    segments: VecDeque<Segment>,
    /// Segments that cannot be read, oldest first. They count for the bound.
    set_aside: VecDeque<SetAside>,
    next_segment: u64,
    max_bytes: u64,
    bytes: u64,
    /// Samples written and not yet read.
    waiting: u64,
    read: Mark,
    acked: Mark,
    /// Which reader is the present one.
    reader: u64,
    losses: Losses,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    /// Where its last record of series or samples ends.
    data_len: u64,
    file_len: u64,
    samples: u64,
    newest_ms: TimestampMs,
    sealed: bool,
}

/// A file that nobody reads any more, left for whoever wants to know what happened.
#[derive(Debug)]
struct SetAside {
    name: String,
    file_len: u64,
}

/// What was found in the file of a segment.
enum Found {
    /// No whole record.
    Nothing,
    Segment(Segment),
    /// It begins as none of ours; what its records say all the same, where they can be read.
    Foreign(Segment),
}

/// What was lost before it was read, by reason. Taken by [`Queue::take_losses`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// Samples in segments that had to go for the bound on disk space.
    pub samples_dropped: u64,
    /// Samples in records that could not be read.
    pub samples_damaged: u64,
    /// Records, or rests of segments, that could not be read.
    pub damages: u64,
}

/// What a queue holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// Samples written and not yet read.
    pub waiting: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

/// Opens a queue: finds what an earlier process left, and cuts a torn tail. Gives it with its one writer.
///
/// # Errors
/// When the disk cannot be listed or a segment not be read.
pub(crate) fn open(disk: Arc<dyn Disk>, max_bytes: u64) -> io::Result<(Arc<Queue>, Writer)> {
    let names = disk.list()?;
    let cursor = if names.iter().any(|name| name == cursor::FILE) { read_cursor(&*disk)? } else { None };
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    let acked = cursor.unwrap_or_default();
    let mut segments = VecDeque::new();
    let mut losses = Losses::default();
    let mut set_aside = found_aside(&*disk, &names);
    for number in &numbers {
        let found = if *number < acked.segment { Found::Nothing } else { inspect(&*disk, *number)? };
        match found {
            Found::Segment(segment) => segments.push_back(segment),
            // Acknowledged, or without a single whole record. If it stays, the next start tries again.
            Found::Nothing => drop(disk.remove(&segment_name(*number))),
            Found::Foreign(segment) => {
                let sent = if *number == acked.segment { acked.samples } else { 0 };
                losses.damages += 1;
                losses.samples_damaged += segment.samples.saturating_sub(sent);
                set_aside.push_back(put_aside(&*disk, &segment));
            }
        }
    }
    let aside = names.iter().filter_map(|name| segment_number(name.strip_suffix(ASIDE)?));
    let next_segment = aside.chain(numbers).max().map_or(0, |last| last + 1);
    let next_segment = next_segment.max(acked.segment + u64::from(cursor.is_some()));
    let read = clamp(acked, &segments);
    let written: u64 = segments.iter().map(|s: &Segment| s.samples).sum();
    let state = State {
        bytes: segments.iter().map(|s| s.file_len).chain(set_aside.iter().map(|s| s.file_len)).sum(),
        waiting: written.saturating_sub(read.samples),
        segments,
        set_aside,
        next_segment,
        max_bytes,
        read,
        acked: read,
        reader: 0,
        losses,
    };
    let queue = Arc::new(Queue {
        disk,
        segment_bytes: SEGMENT_BYTES.min(max_bytes / MIN_SEGMENTS),
        state: Mutex::new(state),
        written: Notify::new(),
        names: Mutex::default(),
    });
    Ok((Arc::clone(&queue), Writer::new(queue)))
}

fn read_cursor(disk: &dyn Disk) -> io::Result<Option<Mark>> {
    let mut bytes = [0; 64];
    let file = disk.open(cursor::FILE, false)?;
    let length = file.read_at(&mut bytes, 0)?;
    Ok(bytes.get(..length).and_then(Mark::decode))
}

/// The cursor, moved to where there is something: it may stand behind a tail that a loss of power took, or in a
/// segment that is gone.
fn clamp(cursor: Mark, segments: &VecDeque<Segment>) -> Mark {
    match segments.front() {
        Some(first) if first.number == cursor.segment => Mark {
            segment: cursor.segment,
            offset: cursor.offset.min(first.data_len),
            samples: cursor.samples.min(first.samples),
        },
        Some(first) => Mark::start_of(first.number),
        None => cursor,
    }
}

/// The files that an earlier start set aside.
fn found_aside(disk: &dyn Disk, names: &[String]) -> VecDeque<SetAside> {
    let mut found: Vec<&String> = names.iter().filter(|name| name.ends_with(ASIDE)).collect();
    found.sort_unstable();
    // One that cannot even be opened costs the bound nothing that could be known.
    let length = |name: &str| disk.open(name, false).and_then(|file| file.len()).unwrap_or(0);
    found.into_iter().map(|name| SetAside { name: name.clone(), file_len: length(name) }).collect()
}

/// Gives a segment that cannot be read a name that no start takes for a segment's.
fn put_aside(disk: &dyn Disk, segment: &Segment) -> SetAside {
    let (name, file_len) = (segment_name(segment.number), segment.file_len);
    let aside = format!("{name}{ASIDE}");
    let name = match disk.rename(&name, &aside) {
        Ok(()) => aside,
        Err(error) => {
            tracing::warn!(segment = segment.number, %error, "cannot rename a segment of a queue");
            name
        }
    };
    let samples = segment.samples;
    tracing::error!(file = %name, samples, "a segment of a queue begins as none of ours, set it aside");
    SetAside { name, file_len }
}

/// What a segment of an earlier process holds. Cuts a torn tail of one of ours.
fn inspect(disk: &dyn Disk, number: u64) -> io::Result<Found> {
    let file = disk.open(&segment_name(number), false)?;
    let file_len = file.len()?;
    let mut header = HEADER;
    if file.read_at(&mut header, 0)? < HEADER.len() {
        return Ok(Found::Nothing);
    }
    let known = |segment| if header == HEADER { Found::Segment(segment) } else { Found::Foreign(segment) };
    let mut end = [0; END_LEN];
    if let Some(data_len) = file_len.checked_sub(END_LEN as u64)
        && file.read_at(&mut end, data_len)? == END_LEN
        && let Ok((Record::End { samples, newest_ms }, _)) = record::read(&end)
    {
        return Ok(known(Segment { number, data_len, file_len, samples, newest_ms, sealed: true }));
    }
    let mut segment =
        Segment { number, data_len: HEADER.len() as u64, file_len, samples: 0, newest_ms: i64::MIN, sealed: true };
    let mut records = Records::new(file, HEADER.len() as u64);
    while let Some(next) = records.next(file_len)? {
        match next {
            Ok(Record::Samples(samples)) => {
                segment.samples += samples.len() as u64;
                let newest = samples.iter().map(|s| s.timestamp_ms).max();
                segment.newest_ms = segment.newest_ms.max(newest.unwrap_or(i64::MIN));
            }
            // Skipped when it is read, and counted then.
            Ok(_) | Err(Damage::Corrupt { .. }) => {}
            Err(Damage::Torn | Damage::Lost) => break,
        }
        segment.data_len = records.offset();
    }
    if header != HEADER {
        return Ok(Found::Foreign(segment));
    }
    if segment.data_len < file_len {
        records.into_file().truncate(segment.data_len)?;
        segment.file_len = segment.data_len;
    }
    Ok(if segment.data_len > HEADER.len() as u64 { Found::Segment(segment) } else { Found::Nothing })
}

fn segment_name(number: u64) -> String {
    format!("{number:010}.seg")
}

fn segment_number(name: &str) -> Option<u64> {
    name.strip_suffix(".seg")?.parse().ok()
}

impl Queue {
    /// What it holds now.
    pub(crate) fn size(&self) -> Size {
        let state = self.state.lock();
        Size { waiting: state.waiting, bytes: state.bytes }
    }

    /// What was lost since this was last asked.
    pub(crate) fn take_losses(&self) -> Losses {
        std::mem::take(&mut self.state.lock().losses)
    }

    /// A reader that begins behind what was acknowledged. It takes the place of the one before, which reads nothing
    /// more.
    pub(crate) fn reader(self: &Arc<Self>) -> Reader {
        let mut state = self.state.lock();
        state.reader += 1;
        state.read = state.acked;
        let written: u64 = state.segments.iter().map(|s| s.samples).sum();
        state.waiting = written.saturating_sub(state.read.samples);
        Reader::new(Arc::clone(self), state.reader)
    }

    /// Changes the bound on disk space; the oldest segments go if they must.
    pub(crate) fn set_max_bytes(&self, max_bytes: u64) {
        let mut state = self.state.lock();
        state.max_bytes = max_bytes;
        state.keep_bound(&*self.disk);
    }

    /// The labels of the series that the writing side has numbers for now, by number. Kept here so that the reading
    /// side need not hold them twice.
    pub(crate) fn names(&self) -> MutexGuard<'_, Vec<Labels>> {
        self.names.lock()
    }

    /// Waits until something was written. May return though nothing was.
    pub(crate) async fn written(&self) {
        self.written.notified().await;
    }

    /// Everything before the mark is acknowledged: segments that lie before it go.
    pub(crate) fn acknowledge(&self, mark: Mark) {
        let mut state = self.state.lock();
        state.acked = state.acked.max(mark);
        let acked = state.acked;
        while let Some(first) = state.segments.front()
            && first.sealed
            && (first.number < acked.segment || (first.number == acked.segment && acked.offset >= first.data_len))
            // The reader needs no segment that lies behind it; one that it stands in holds nothing more for it.
            && (first.number < state.read.segment || state.read.offset >= first.data_len)
        {
            let unread = state.remove_first(&*self.disk);
            state.losses.samples_damaged += unread;
        }
    }

    /// What [`acknowledge`](Self::acknowledge) was told last: what the cursor file should say.
    pub(crate) fn acknowledged(&self) -> Mark {
        self.state.lock().acked
    }

    /// Writes the cursor file. Waits for the disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn write_cursor(&self, mark: Mark) -> io::Result<()> {
        self.disk.replace(cursor::FILE, &mark.encode())
    }
}

impl State {
    /// Drops the oldest segments until the bound holds. The last stays: it is the writer's.
    fn keep_bound(&mut self, disk: &dyn Disk) {
        while self.bytes > self.max_bytes && self.drop_first(disk) {}
    }

    /// Drops what was set aside first, where there is something, or else the oldest segment, if it is not the only
    /// one, and counts what nobody had read of it.
    fn drop_first(&mut self, disk: &dyn Disk) -> bool {
        if let Some(SetAside { name, file_len }) = self.set_aside.pop_front() {
            if let Err(error) = disk.remove(&name) {
                tracing::warn!(file = %name, %error, "cannot remove what was set aside of a queue");
            }
            self.bytes = self.bytes.saturating_sub(file_len);
            return true;
        }
        if self.segments.len() < 2 {
            return false;
        }
        let unread = self.remove_first(disk);
        self.losses.samples_dropped += unread;
        true
    }

    /// Removes the oldest segment; gives how many samples of it were not read.
    fn remove_first(&mut self, disk: &dyn Disk) -> u64 {
        let Some(first) = self.segments.pop_front() else { return 0 };
        // If it stays it is found again at the next start, and removed then when the cursor lies behind it.
        if let Err(error) = disk.remove(&segment_name(first.number)) {
            tracing::warn!(segment = first.number, %error, "cannot remove a segment of a queue");
        }
        let unread = match first.number.cmp(&self.read.segment) {
            Ordering::Less => 0,
            Ordering::Equal => first.samples.saturating_sub(self.read.samples),
            Ordering::Greater => first.samples,
        };
        self.waiting = self.waiting.saturating_sub(unread);
        self.bytes = self.bytes.saturating_sub(first.file_len);
        let next = Mark::start_of(first.number + 1);
        self.read = self.read.max(next);
        self.acked = self.acked.max(next);
        unread
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_sort_as_they_are_numbered() {
        assert_eq!(segment_name(7), "0000000007.seg");
        assert_eq!(segment_number("0000000007.seg"), Some(7));
        assert_eq!(segment_number("cursor"), None);
        assert_eq!(segment_number("x.seg"), None);
    }
}
