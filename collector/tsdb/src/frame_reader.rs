//! Reads a file of frames from its beginning, a piece at a time.

use std::io;
use std::sync::Arc;

use crate::disk::DiskFile;
use crate::encoding::frame::{self, FILE_HEADER_LEN, FRAME_HEADER_LEN, FileKind, Front};

/// Bytes read at once.
const PIECE: usize = 1 << 20;

/// Behind damage, only frames up to this length are looked for, as every byte there may look like a length.
const LONGEST_SOUGHT: usize = 64 << 10;

/// What comes next in a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<'a> {
    /// A frame's payload, and the offset of the frame in the file.
    Frame(&'a [u8], u64),
    /// A damaged frame with whole ones behind it: reading can go on.
    Damaged,
    /// Nothing readable from this offset on, though the file goes on.
    Torn(u64),
    /// The end of the file.
    End,
}

/// Goes through the frames of a file.
pub(crate) struct FrameReader {
    file: Arc<dyn DiskFile>,
    size: u64,
    /// What was read and not yet given; begins at `offset` in the file.
    buffer: Vec<u8>,
    start: usize,
    offset: u64,
    header_good: bool,
}

impl FrameReader {
    /// From the first frame of a file of this kind.
    pub(crate) fn new(file: Arc<dyn DiskFile>, kind: FileKind) -> io::Result<Self> {
        let mut header = [0; FILE_HEADER_LEN];
        let got = file.read_at(&mut header, 0)?;
        let size = file.size()?;
        let header_good = got == FILE_HEADER_LEN && header == kind.header();
        Ok(Self { file, size, buffer: Vec::new(), start: 0, offset: FILE_HEADER_LEN as u64, header_good })
    }

    /// The next frame.
    pub(crate) fn next(&mut self) -> io::Result<Next<'_>> {
        if !self.header_good {
            return Ok(if self.size == 0 { Next::End } else { Next::Torn(0) });
        }
        let at = self.offset;
        if at >= self.size {
            return Ok(Next::End);
        }
        self.fill(FRAME_HEADER_LEN)?;
        if let Front::Short(len) = frame::front(self.rest()) {
            self.fill(len)?;
        }
        let Front::Payload(payload) = frame::front(self.rest()) else {
            return Ok(if self.skip_to_a_frame()? { Next::Damaged } else { Next::Torn(at) });
        };
        let len = payload.len();
        let from = self.start + FRAME_HEADER_LEN;
        self.advance(FRAME_HEADER_LEN + len);
        Ok(Next::Frame(self.buffer.get(from..from + len).unwrap_or_default(), at))
    }

    /// Goes on, byte by byte, to where a whole frame begins again; says whether there is such a place.
    fn skip_to_a_frame(&mut self) -> io::Result<bool> {
        while self.offset < self.size {
            self.advance(1);
            self.fill(FRAME_HEADER_LEN + LONGEST_SOUGHT)?;
            while self.rest().len() >= FRAME_HEADER_LEN + LONGEST_SOUGHT || self.at_end_of_file() {
                let sought = self.rest().get(..FRAME_HEADER_LEN + LONGEST_SOUGHT).unwrap_or(self.rest());
                if sought.is_empty() {
                    break;
                }
                if matches!(frame::front(sought), Front::Payload(_)) {
                    return Ok(true);
                }
                self.advance(1);
            }
        }
        Ok(false)
    }

    fn at_end_of_file(&self) -> bool {
        self.offset + self.rest().len() as u64 >= self.size
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    fn advance(&mut self, len: usize) {
        self.start += len;
        self.offset += len as u64;
    }

    /// Sees that at least `want` bytes are in the buffer, or all that the file has.
    fn fill(&mut self, want: usize) -> io::Result<()> {
        let have = self.buffer.len() - self.start;
        let left = usize::try_from(self.size - self.offset).unwrap_or(usize::MAX);
        if have >= want.min(left) {
            return Ok(());
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        // A length that is damage must not make the buffer larger than the file.
        let read = want.max(PIECE).min(left) - have;
        self.buffer.resize(have + read, 0);
        let got = match self.buffer.get_mut(have..) {
            Some(room) => self.file.read_at(room, self.offset + have as u64)?,
            None => 0,
        };
        self.buffer.truncate(have + got);
        if got < read {
            self.size = self.offset + (have + got) as u64;
        }
        Ok(())
    }
}
