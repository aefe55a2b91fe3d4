//! The queue against a plain list, on disks that fail and after crashes.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use collector_model::Labels;
use parking_lot::Mutex;
use proptest::prelude::*;

use super::cursor::Mark;
use super::disk::{Disk, DiskFile};
use super::record::{self, IdSample};
use super::{Losses, Queue, Reader, Writer, open};

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Inner>>);

#[derive(Clone, Default)]
struct Inner {
    files: BTreeMap<String, Arc<Mutex<Vec<u8>>>>,
    /// Operations that succeed before the next one fails; then none fails until it is set again.
    until_failure: Option<u32>,
    /// Bytes that fit.
    room: Option<usize>,
}

struct Handle {
    disk: Memory,
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Memory {
    fn fails(&self) -> io::Result<()> {
        let mut inner = self.0.lock();
        match inner.until_failure {
            Some(0) => {
                inner.until_failure = None;
                Err(io::Error::other("the disk failed"))
            }
            Some(left) => {
                inner.until_failure = Some(left - 1);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// How many of `more` bytes fit.
    fn fits(&self, more: usize) -> usize {
        let inner = self.0.lock();
        let used: usize = inner.files.values().map(|f| f.lock().len()).sum();
        inner.room.map_or(more, |room| room.saturating_sub(used).min(more))
    }

    /// What is on it now, as a crash would leave it.
    fn image(&self) -> Self {
        let inner = self.0.lock();
        let files = inner.files.iter().map(|(n, f)| (n.clone(), Arc::new(Mutex::new(f.lock().clone())))).collect();
        Self(Arc::new(Mutex::new(Inner { files, until_failure: None, room: None })))
    }

    fn used(&self) -> usize {
        self.0.lock().files.iter().filter(|(name, _)| name.ends_with(".seg")).map(|(_, f)| f.lock().len()).sum()
    }
}

impl Disk for Memory {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().files.keys().cloned().collect())
    }

    fn open(&self, name: &str, create: bool) -> io::Result<Box<dyn DiskFile>> {
        self.fails()?;
        let mut inner = self.0.lock();
        if create {
            inner.files.entry(name.to_owned()).or_default();
        }
        let bytes = inner.files.get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Handle { disk: self.clone(), bytes }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.lock().files.remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.fails()?;
        let mut inner = self.0.lock();
        let file = inner.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        inner.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.fails()?;
        self.0.lock().files.insert(name.to_owned(), Arc::new(Mutex::new(bytes.to_vec())));
        Ok(())
    }
}

impl DiskFile for Handle {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.fails()?;
        let bytes = self.bytes.lock();
        let from = bytes.get(offset as usize..).unwrap_or_default();
        let count = from.len().min(buffer.len());
        buffer[..count].copy_from_slice(&from[..count]);
        Ok(count)
    }

    /// A failure leaves a part of the bytes behind, as a disk does.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let failure = self.disk.fails();
        let wanted = if failure.is_err() { bytes.len() / 2 } else { bytes.len() };
        let offset = offset as usize;
        let end = (offset + wanted).max(self.bytes.lock().len());
        let grown = end - self.bytes.lock().len();
        let short = grown - self.disk.fits(grown);
        let written = wanted - short.min(wanted);
        let mut file = self.bytes.lock();
        if file.len() < offset + written {
            file.resize(offset + written, 0);
        }
        file[offset..offset + written].copy_from_slice(&bytes[..written]);
        failure?;
        if short > 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.bytes.lock().resize(len as usize, 0);
        Ok(())
    }
}

const BOUND: u64 = 64 << 10;

/// A queue under test, and a list of what it should give.
struct Subject {
    queue: Arc<Queue>,
    writer: Writer,
    reader: Reader,
    dictionary: (u64, Vec<u32>),
}

impl Subject {
    fn open(disk: &Memory) -> Self {
        let (queue, writer) = open(Arc::new(disk.clone()), BOUND).unwrap();
        let reader = queue.reader();
        Self { queue, writer, reader, dictionary: (u64::MAX, Vec::new()) }
    }

    /// Appends samples numbered from `first`; the number is the value and, modulo five, the series.
    fn append(&mut self, first: u64, count: u64) -> io::Result<()> {
        let segment = self.writer.segment()?;
        if self.dictionary.0 != segment {
            self.dictionary = (segment, Vec::new());
        }
        let samples: Vec<IdSample> = (first..first + count)
            .map(|n| IdSample { id: (n % 5) as u32, timestamp_ms: n as i64, value: n as f64 + 0.5 })
            .collect();
        let new: Vec<(u32, Labels)> = samples
            .iter()
            .map(|s| s.id)
            .collect::<std::collections::BTreeSet<u32>>()
            .into_iter()
            .filter(|id| !self.dictionary.1.contains(id))
            .map(|id| (id, Labels::from_pairs([("id", id.to_string())])))
            .collect();
        let mut bytes = Vec::new();
        if !new.is_empty() {
            record::write_series(new.iter().map(|(id, l)| (*id, l)), &mut Vec::new(), &mut bytes);
        }
        record::write_samples(&samples, &mut bytes);
        self.writer.append(&bytes, count, 0)?;
        self.dictionary.1.extend(new.iter().map(|(id, _)| id));
        Ok(())
    }

    /// Reads one block; its numbers and the mark behind it. Checks that each sample has its own labels.
    fn read(&mut self) -> io::Result<Option<(Vec<u64>, Mark)>> {
        let Some(block) = self.reader.next()? else { return Ok(None) };
        let number = |sample: &IdSample| {
            let series = self.reader.series(sample.id).expect("its series is known");
            assert_eq!(series.labels.get("id"), Some(sample.id.to_string().as_str()));
            sample.value as u64
        };
        Ok(Some((block.samples.iter().map(number).collect(), block.mark)))
    }

    fn read_all(&mut self) -> Vec<u64> {
        let mut all = Vec::new();
        for failures in 0.. {
            assert!(failures < 1_000, "it never ends");
            match self.read() {
                Ok(Some((numbers, _))) => all.extend(numbers),
                Ok(None) => break,
                Err(_) => {}
            }
        }
        all
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(u64),
    Read,
    /// Acknowledges what was read so far.
    Acknowledge,
    Cursor,
    /// The process dies and starts again.
    Crash,
    /// The disk fails after so many more operations.
    Fail(u32),
    /// So many more bytes fit on the disk; none means that there is room again.
    Room(Option<usize>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1_u64..400).prop_map(Step::Append),
        4 => Just(Step::Read),
        3 => Just(Step::Acknowledge),
        2 => Just(Step::Cursor),
        1 => Just(Step::Crash),
        1 => (0_u32..6).prop_map(Step::Fail),
        1 => proptest::option::of(0_usize..20_000).prop_map(Step::Room),
    ];
    proptest::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever happens: what was taken is read in order and once in a life; what a crash makes it read again was
    /// not said to be acknowledged in the cursor file; and what is missing was counted.
    #[test]
    fn it_gives_what_it_took(steps in steps()) {
        let disk = Memory::default();
        let mut subject = Subject::open(&disk);
        let (mut written, mut refused) = (Vec::new(), Vec::new());
        let mut next = 0_u64;
        let (mut read, mut read_mark) = (Vec::new(), Mark::default());
        let mut lost = 0;
        let (mut acknowledged, mut cursor) = (None, None);
        let mut life_start = 0;
        for step in steps {
            match step {
                Step::Append(count) => {
                    let taken = subject.append(next, count).is_ok();
                    if taken { &mut written } else { &mut refused }.extend(next..next + count);
                    next += count;
                    prop_assert!(disk.used() as u64 <= BOUND + 8_000, "{} bytes", disk.used());
                }
                Step::Read => {
                    if let Ok(Some((numbers, mark))) = subject.read() {
                        read.extend(numbers);
                        read_mark = mark;
                    }
                }
                Step::Acknowledge => {
                    subject.queue.acknowledge(read_mark);
                    acknowledged = acknowledged.max(read.get(life_start..).and_then(|life| life.last()).copied());
                }
                Step::Cursor => {
                    let mark = subject.queue.acknowledged();
                    if subject.queue.write_cursor(mark).is_ok() {
                        cursor = acknowledged;
                    }
                }
                Step::Crash => {
                    disk.0.lock().until_failure = None;
                    lost += subject.queue.take_losses().samples_dropped;
                    subject = Subject::open(&disk);
                    read_mark = Mark::default();
                    life_start = read.len();
                    acknowledged = cursor;
                    if let Ok(Some((numbers, mark))) = subject.read() {
                        prop_assert!(cursor.is_none_or(|sure| numbers[0] > sure), "read again: {numbers:?}");
                        read.extend(numbers);
                        read_mark = mark;
                    }
                }
                Step::Fail(after) => disk.0.lock().until_failure = Some(after),
                Step::Room(room) => {
                    let used: usize = disk.0.lock().files.values().map(|f| f.lock().len()).sum();
                    disk.0.lock().room = room.map(|more| used + more);
                }
            }
        }
        {
            let mut inner = disk.0.lock();
            inner.until_failure = None;
            inner.room = None;
        }
        read.extend(subject.read_all());
        let losses = subject.queue.take_losses();
        lost += losses.samples_dropped;
        // Once in a life, in order.
        let life = &read[life_start..];
        prop_assert!(life.windows(2).all(|pair| pair[0] < pair[1]), "out of order");
        // Nothing that was not taken, and all that was but for what is counted.
        let all: std::collections::BTreeSet<u64> = read.iter().copied().collect();
        let missing = written.iter().filter(|n| !all.contains(n)).count() as u64;
        prop_assert!(missing <= lost + losses.samples_damaged, "{missing} missing, {lost} counted, {losses:?}");
        prop_assert_eq!(subject.queue.size().waiting, 0);
        // What was refused was counted as lost by whoever wrote it, so it must not come after all.
        prop_assert!(refused.iter().all(|number| !all.contains(number)), "refused, and there all the same");
    }
}

/// A queue with three segments, the last of them torn after each byte in turn: everything before the torn record is
/// read, and the queue goes on.
#[test]
fn a_torn_tail_costs_the_torn_record() {
    let disk = Memory::default();
    let mut subject = Subject::open(&disk);
    let mut next = 0;
    while subject.queue.state.lock().segments.len() < 3 {
        subject.append(next, 100).unwrap();
        next += 100;
    }
    let (name, whole) = {
        let inner = disk.0.lock();
        let (name, file) = inner.files.iter().next_back().unwrap();
        (name.clone(), file.lock().clone())
    };
    let before = next - 100;
    for length in 0..whole.len() {
        let image = disk.image();
        image.0.lock().files.insert(name.clone(), Arc::new(Mutex::new(whole[..length].to_vec())));
        let mut subject = Subject::open(&image);
        let waiting = subject.queue.size().waiting;
        subject.append(next, 7).unwrap();
        let read = subject.read_all();
        assert_eq!(read, (0..before).chain(next..next + 7).collect::<Vec<u64>>(), "{length} bytes of {}", whole.len());
        assert_eq!(waiting, before);
        assert_eq!(subject.queue.take_losses(), Losses::default());
    }
}

/// One byte of the first segment is wrong, each in turn: what is missing is counted, and the other segments are
/// whole.
#[test]
fn a_flipped_byte_costs_its_record_or_its_segment() {
    let disk = Memory::default();
    let mut subject = Subject::open(&disk);
    let mut next = 0;
    while subject.queue.state.lock().segments.len() < 3 {
        subject.append(next, 50).unwrap();
        next += 50;
    }
    let first_segment = subject.queue.state.lock().segments[0].samples;
    let (name, whole) = {
        let inner = disk.0.lock();
        let (name, file) = inner.files.iter().next().unwrap();
        (name.clone(), file.lock().clone())
    };
    for place in (0..whole.len()).step_by(3) {
        let image = disk.image();
        let mut bytes = whole.clone();
        bytes[place] ^= 0x40;
        image.0.lock().files.insert(name.clone(), Arc::new(Mutex::new(bytes)));
        let mut subject = Subject::open(&image);
        let mut read = Vec::new();
        while let Some(block) = subject.reader.next().unwrap() {
            read.extend(block.samples.iter().map(|s| s.value as u64));
        }
        let missing = next - read.len() as u64;
        assert!(missing <= first_segment, "byte {place}");
        assert!(read.ends_with(&(first_segment..next).collect::<Vec<u64>>()), "byte {place}");
        let losses = subject.queue.take_losses();
        assert!(missing == 0 || losses.damages > 0, "byte {place}: {missing} missing, {losses:?}");
        assert_eq!(subject.queue.size().waiting, 0, "byte {place}");
    }
}

/// A number means one series in one segment and another in the next: where the record that says so is damaged, it
/// must not mean the one before.
#[test]
fn a_damaged_dictionary_leaves_no_wrong_labels() {
    let disk = Memory::default();
    for (name, damaged) in [("first", false), ("second", true)] {
        let (_, mut writer) = open(Arc::new(disk.clone()), BOUND).unwrap();
        writer.segment().unwrap();
        let mut bytes = Vec::new();
        let labels = Labels::from_pairs([("name", name)]);
        record::write_series([(0, &labels)].into_iter(), &mut Vec::new(), &mut bytes);
        if damaged {
            *bytes.last_mut().unwrap() ^= 1;
        }
        record::write_samples(&[IdSample { id: 0, timestamp_ms: 0, value: 1.0 }], &mut bytes);
        writer.append(&bytes, 1, 0).unwrap();
    }
    let (queue, _writer) = open(Arc::new(disk), BOUND).unwrap();
    let mut reader = queue.reader();
    reader.next().unwrap().unwrap();
    assert_eq!(reader.series(0).unwrap().labels.get("name"), Some("first"));
    reader.next().unwrap().unwrap();
    assert!(reader.series(0).is_none());
    assert_eq!(queue.take_losses().damages, 1);
}

/// The disk is full: older segments make room, and when there are none, nothing is taken and nothing breaks.
#[test]
fn a_full_disk_drops_the_oldest() {
    let disk = Memory::default();
    let mut subject = Subject::open(&disk);
    let mut next = 0;
    while subject.queue.state.lock().segments.len() < 3 {
        subject.append(next, 100).unwrap();
        next += 100;
    }
    disk.0.lock().room = Some(disk.used());
    let mut taken = next;
    for _ in 0..200 {
        if subject.append(next, 100).is_ok() {
            taken += 100;
        }
        next += 100;
    }
    let dropped = subject.queue.take_losses().samples_dropped;
    assert!(dropped > 0 && subject.queue.size().waiting + dropped == taken);
    disk.0.lock().room = None;
    subject.append(next, 100).unwrap();
    let read = subject.read_all();
    assert_eq!(read.len() as u64, taken + 100 - dropped);
    assert_eq!(*read.last().unwrap(), next + 99);
}

/// What is acknowledged is removed, and not read again after a crash once the cursor file says so.
#[test]
fn the_cursor_moves_behind_acknowledgements() {
    let disk = Memory::default();
    let mut subject = Subject::open(&disk);
    let mut next = 0;
    while subject.queue.state.lock().segments.len() < 4 {
        subject.append(next, 100).unwrap();
        next += 100;
    }
    let mut mark = Mark::default();
    let mut acknowledged = 0;
    while mark.segment < 2 {
        let (numbers, behind) = subject.read().unwrap().unwrap();
        acknowledged += numbers.len() as u64;
        mark = behind;
    }
    let unsure = disk.image();
    subject.queue.acknowledge(mark);
    assert_eq!(subject.queue.state.lock().segments.front().unwrap().number, 2);
    subject.queue.write_cursor(subject.queue.acknowledged()).unwrap();
    assert_eq!(Subject::open(&disk.image()).read_all(), (acknowledged..next).collect::<Vec<u64>>());
    assert_eq!(Subject::open(&unsure).read_all(), (0..next).collect::<Vec<u64>>());
    // A cursor that cannot be believed sends what is left again.
    let image = disk.image();
    image.replace(super::cursor::FILE, b"nonsense").unwrap();
    assert!(Subject::open(&image).read_all().ends_with(&(acknowledged..next).collect::<Vec<u64>>()));
    // A new reader begins behind what was acknowledged, and the old one reads nothing more.
    let mut second = subject.queue.reader();
    assert!(subject.reader.next().unwrap().is_none());
    assert_eq!(second.next().unwrap().unwrap().samples[0].value as u64, acknowledged);
}

/// A segment that begins as none of ours is set aside and what was not sent of it counted, and it goes before
/// anything else when room is needed.
#[test]
fn a_segment_with_a_foreign_header_is_set_aside_and_counted() {
    let disk = Memory::default();
    let mut subject = Subject::open(&disk);
    let mut next = 0;
    while subject.queue.state.lock().segments.len() < 3 {
        subject.append(next, 100).unwrap();
        next += 100;
    }
    let samples: Vec<u64> = subject.queue.state.lock().segments.iter().map(|s| s.samples).collect();
    // The first 100 samples are acknowledged, so they are not lost with their segment.
    let (_, mark) = subject.read().unwrap().unwrap();
    subject.queue.acknowledge(mark);
    subject.queue.write_cursor(mark).unwrap();
    drop(subject);
    let names: Vec<String> = disk.0.lock().files.keys().filter(|n| n.ends_with(".seg")).cloned().collect();
    // A sealed one that is partly acknowledged, and the last one, which nobody sealed.
    for name in [&names[0], &names[2]] {
        disk.0.lock().files[name].lock()[0] ^= 0xff;
    }
    let before: Vec<u8> = disk.0.lock().files[&names[0]].lock().clone();
    let mut subject = Subject::open(&disk);
    let losses = subject.queue.take_losses();
    assert_eq!((losses.damages, losses.samples_damaged), (2, samples[0] - 100 + samples[2]));
    assert_eq!(*disk.0.lock().files[&format!("{}.corrupt", names[0])].lock(), before, "as it was");
    let on_disk = |part: &str| -> u64 {
        disk.0.lock().files.iter().filter(|(n, _)| n.contains(part)).map(|(_, f)| f.lock().len() as u64).sum()
    };
    assert_eq!(subject.queue.size().bytes, on_disk(".seg"));
    assert_eq!(subject.read_all(), (samples[0]..samples[0] + samples[1]).collect::<Vec<u64>>());
    // Counted once, and its number is not given again.
    drop(subject);
    let mut subject = Subject::open(&disk);
    assert_eq!(subject.queue.take_losses(), Losses::default());
    subject.append(next, 1).unwrap();
    assert_eq!(subject.writer.segment().unwrap(), 3);
    // The bound holds, and what was set aside is the first to go.
    subject.queue.set_max_bytes(subject.queue.size().bytes - on_disk(&names[0]));
    let left: Vec<String> = disk.0.lock().files.keys().filter(|n| n.ends_with(".corrupt")).cloned().collect();
    assert_eq!(left, [format!("{}.corrupt", names[2])]);
    assert_eq!(subject.queue.take_losses(), Losses::default());
    assert_eq!(subject.queue.size().waiting, samples[1] + 1);
}
