//! Reads a segment record by record, with a window of it in memory.

use std::io;

use super::disk::DiskFile;
use super::record::{self, Damage, Record};

/// Bytes read at once.
const WINDOW: usize = 256 << 10;

/// The records of one segment, from an offset on.
pub(super) struct Records {
    file: Box<dyn DiskFile>,
    /// Where the next record starts.
    offset: u64,
    window: Vec<u8>,
    /// Where it starts in the window.
    at: usize,
}

impl Records {
    pub(super) fn new(file: Box<dyn DiskFile>, offset: u64) -> Self {
        Self { file, offset, window: Vec::new(), at: 0 }
    }

    /// Where the next record starts, which is where the last one ended.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn into_file(self) -> Box<dyn DiskFile> {
        self.file
    }

    /// The next record that ends at `end` or before; nothing at `end`. After [`Damage::Corrupt`] the next call
    /// gives the record behind it; after the others it gives the same again.
    pub(super) fn next(&mut self, end: u64) -> io::Result<Option<Result<Record, Damage>>> {
        if self.offset >= end {
            return Ok(None);
        }
        self.fill(record::FRAME, end)?;
        let needed = record::needed(self.window.get(self.at..).unwrap_or_default());
        self.fill(needed, end)?;
        match record::read(self.window.get(self.at..).unwrap_or_default()) {
            Ok((record, length)) => {
                self.advance(length);
                Ok(Some(Ok(record)))
            }
            Err(damage) => {
                if let Damage::Corrupt { skip } = damage {
                    self.advance(skip);
                }
                Ok(Some(Err(damage)))
            }
        }
    }

    fn advance(&mut self, length: usize) {
        self.at += length;
        self.offset += length as u64;
    }

    /// Has so many bytes of the next record in the window, or all up to `end`.
    fn fill(&mut self, wanted: usize, end: u64) -> io::Result<()> {
        let have = self.window.len().saturating_sub(self.at);
        if have >= wanted {
            return Ok(());
        }
        self.window.drain(..self.at.min(self.window.len()));
        self.at = 0;
        let left = usize::try_from(end - self.offset).unwrap_or(usize::MAX);
        let target = wanted.max(WINDOW).min(left).max(have);
        self.window.resize(target, 0);
        let room = self.window.get_mut(have..).unwrap_or_default();
        let read = match self.file.read_at(room, self.offset + have as u64) {
            Ok(read) => read,
            Err(error) => {
                self.window.truncate(have);
                return Err(error);
            }
        };
        self.window.truncate(have + read);
        if self.window.capacity() > 4 * WINDOW && target <= WINDOW {
            self.window.shrink_to(WINDOW);
        }
        Ok(())
    }
}
