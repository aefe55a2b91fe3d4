//! The end of a queue where samples come in.

use std::io;
use std::sync::Arc;

use collector_model::TimestampMs;

use super::disk::DiskFile;
use super::{HEADER, Queue, Segment, record, segment_name};

/// Writes to the last segment. There is one for each queue.
pub(crate) struct Writer {
    queue: Arc<Queue>,
    active: Option<Active>,
}

struct Active {
    number: u64,
    file: Box<dyn DiskFile>,
    len: u64,
    samples: u64,
    newest_ms: TimestampMs,
}

impl Writer {
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self { queue, active: None }
    }

    /// The segment that the next [`append`](Self::append) writes to: a new one when the last is full. Series must
    /// be written again to each segment that has samples of them.
    ///
    /// # Errors
    /// When no new segment can be made.
    pub(crate) fn segment(&mut self) -> io::Result<u64> {
        match &self.active {
            Some(active) if active.len < self.queue.segment_bytes => Ok(active.number),
            _ => {
                self.seal();
                self.begin()
            }
        }
    }

    /// Appends records to the segment that [`segment`](Self::segment) told. When this returns they survive the
    /// death of the process.
    ///
    /// # Errors
    /// When the disk refuses; then nothing was appended, and the next segment is a new one. A full disk is an
    /// error only when dropping older segments did not help.
    pub(crate) fn append(&mut self, bytes: &[u8], samples: u64, newest_ms: TimestampMs) -> io::Result<()> {
        let Some(active) = &mut self.active else {
            return Err(io::Error::other("no segment is open"));
        };
        while let Err(error) = active.file.write_at(bytes, active.len) {
            // What was written of it must not be taken for a record after a crash.
            let cut = active.file.truncate(active.len);
            let full = error.kind() == io::ErrorKind::StorageFull;
            if !full || cut.is_err() || !self.queue.state.lock().drop_first(&*self.queue.disk) {
                self.abandon();
                return Err(error);
            }
        }
        active.len += bytes.len() as u64;
        active.samples += samples;
        active.newest_ms = active.newest_ms.max(newest_ms);
        let mut state = self.queue.state.lock();
        if let Some(segment) = state.segments.back_mut() {
            segment.data_len = active.len;
            segment.file_len = active.len;
            segment.samples = active.samples;
            segment.newest_ms = active.newest_ms;
        }
        state.bytes += bytes.len() as u64;
        state.waiting += samples;
        state.keep_bound(&*self.queue.disk);
        drop(state);
        self.queue.written.notify_one();
        Ok(())
    }

    fn begin(&mut self) -> io::Result<u64> {
        let mut state = self.queue.state.lock();
        let number = state.next_segment;
        let name = segment_name(number);
        let file = loop {
            let made = self.queue.disk.open(&name, true).and_then(|file| {
                file.truncate(0)?;
                file.write_at(&HEADER, 0)?;
                Ok(file)
            });
            match made {
                Ok(file) => break file,
                Err(error) => {
                    // It may be there in part; it holds nothing, and the number is used again.
                    drop(self.queue.disk.remove(&name));
                    if error.kind() != io::ErrorKind::StorageFull || !state.drop_first(&*self.queue.disk) {
                        return Err(error);
                    }
                }
            }
        };
        let len = HEADER.len() as u64;
        state.next_segment += 1;
        state.bytes += len;
        let newest_ms = TimestampMs::MIN;
        state.segments.push_back(Segment {
            number,
            data_len: len,
            file_len: len,
            samples: 0,
            newest_ms,
            sealed: false,
        });
        self.active = Some(Active { number, file, len, samples: 0, newest_ms });
        Ok(number)
    }

    /// Closes the last segment with what says that it is full. Without that it only takes longer to open.
    pub(crate) fn seal(&mut self) {
        let Some(active) = &mut self.active else { return };
        let mut end = Vec::with_capacity(record::END_LEN);
        record::write_end(active.samples, active.newest_ms, &mut end);
        let written = active.file.write_at(&end, active.len);
        match written {
            Ok(()) => {
                let mut state = self.queue.state.lock();
                state.bytes += end.len() as u64;
                if let Some(segment) = state.segments.back_mut() {
                    segment.file_len += end.len() as u64;
                }
            }
            Err(_) => drop(active.file.truncate(active.len)),
        }
        self.abandon();
    }

    /// Lets go of the last segment as it is.
    fn abandon(&mut self) {
        self.active = None;
        if let Some(segment) = self.queue.state.lock().segments.back_mut() {
            segment.sealed = true;
        }
        self.queue.written.notify_one();
    }
}
