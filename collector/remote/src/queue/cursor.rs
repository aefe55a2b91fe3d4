//! Where the acknowledged part of a queue ends: a place in a segment, kept in a file of its own.

/// A place behind a record, and how many samples of the segment lie before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    pub segment: u64,
    pub offset: u64,
    pub samples: u64,
}

/// The file's name.
pub(crate) const FILE: &str = "cursor";

const MAGIC: [u8; 4] = *b"ATC1";

impl Mark {
    /// The start of a segment.
    pub(crate) fn start_of(segment: u64) -> Self {
        Self { segment, offset: 0, samples: 0 }
    }

    /// The file's bytes: a magic, the three numbers, a checksum of both; little-endian.
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for number in [self.segment, self.offset, self.samples] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the file's bytes; nothing where they are not a cursor. Then everything is sent again, which loses
    /// nothing.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        let (magic, numbers) = body.split_first_chunk::<4>()?;
        if *magic != MAGIC || crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let (segment, rest) = numbers.split_first_chunk::<8>()?;
        let (offset, samples) = rest.split_first_chunk::<8>()?;
        let samples: [u8; 8] = samples.try_into().ok()?;
        Some(Self {
            segment: u64::from_le_bytes(*segment),
            offset: u64::from_le_bytes(*offset),
            samples: u64::from_le_bytes(samples),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_cursors_are_believed() {
        let mark = Mark { segment: 7, offset: 1 << 40, samples: 3 };
        let bytes = mark.encode();
        assert_eq!(Mark::decode(&bytes), Some(mark));
        for length in 0..bytes.len() {
            assert_eq!(Mark::decode(&bytes[..length]), None);
        }
        for place in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[place] ^= 0x10;
            assert_eq!(Mark::decode(&wrong), None);
        }
    }
}
