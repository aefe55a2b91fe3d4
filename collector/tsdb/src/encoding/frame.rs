//! A length and a checksum around every record, and the eight bytes that every file begins with.

use std::ops::Range;

/// Bytes of the header of a file.
pub const FILE_HEADER_LEN: usize = 8;

/// Bytes in front of each payload: its length and its CRC-32, both little-endian.
pub const FRAME_HEADER_LEN: usize = 8;

/// Longer payloads are taken for damage. One append of ten million samples stays below.
pub const MAX_PAYLOAD_LEN: usize = 256 << 20;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A segment of the write-ahead log.
    Log,
    /// A checkpoint of the open chunks.
    Checkpoint,
    /// Closed chunks.
    Chunks,
}

impl FileKind {
    /// The first eight bytes of such a file: a name, the kind, and the version of the format.
    pub fn header(self) -> [u8; FILE_HEADER_LEN] {
        let kind = match self {
            Self::Log => b'L',
            Self::Checkpoint => b'P',
            Self::Chunks => b'C',
        };
        [b'A', b'T', b'L', b'W', kind, 0, 0, 1]
    }
}

/// Appends a frame whose payload `write` appends; gives where in `out` the whole frame lies.
pub fn put(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEADER_LEN]);
    let body = out.len();
    write(out);
    let payload = out.get(body..).unwrap_or_default();
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
    let sum = crc32fast::hash(payload).to_le_bytes();
    if let Some(header) = out.get_mut(start..body) {
        for (place, byte) in header.iter_mut().zip(len.into_iter().chain(sum)) {
            *place = byte;
        }
    }
    start..out.len()
}

/// What lies at the front of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front<'a> {
    /// A whole frame with a good checksum.
    Payload(&'a [u8]),
    /// A frame of a plausible length, in all so many bytes, whose checksum is wrong.
    Damaged(usize),
    /// The frame is longer than what is there: in all so many bytes.
    Short(usize),
    /// No frame begins like this.
    Nonsense,
}

/// Looks at the front of `bytes`.
pub fn front(bytes: &[u8]) -> Front<'_> {
    let Some((header, rest)) = bytes.split_first_chunk::<FRAME_HEADER_LEN>() else {
        return Front::Short(FRAME_HEADER_LEN);
    };
    let [a, b, c, d, sum @ ..] = *header;
    let len = u32::from_le_bytes([a, b, c, d]) as usize;
    // An empty payload is never written, but a run of zeros is what a file system leaves after a power cut.
    if len == 0 || len > MAX_PAYLOAD_LEN {
        return Front::Nonsense;
    }
    match rest.get(..len) {
        None => Front::Short(FRAME_HEADER_LEN + len),
        Some(payload) if crc32fast::hash(payload) == u32::from_le_bytes(sum) => Front::Payload(payload),
        Some(_) => Front::Damaged(FRAME_HEADER_LEN + len),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_whole_from_damaged_from_short() {
        let mut out = vec![9];
        let range = put(&mut out, |out| out.extend_from_slice(b"payload"));
        assert_eq!(range, 1..out.len());
        let frame = out[1..].to_vec();
        assert_eq!(front(&frame), Front::Payload(b"payload"));
        for end in 8..frame.len() {
            assert_eq!(front(&frame[..end]), Front::Short(15), "{end}");
        }
        assert_eq!(front(&frame[..7]), Front::Short(8));
        for position in 4..frame.len() {
            let mut bad = frame.clone();
            bad[position] ^= 0x10;
            assert_eq!(front(&bad), Front::Damaged(15), "{position}");
        }
        assert_eq!(front(&[0; 64]), Front::Nonsense);
        assert_eq!(front(&[0xff; 64]), Front::Nonsense);
    }
}
