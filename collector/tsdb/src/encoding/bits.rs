//! Numbers of any width up to 64 bits, packed without gaps, the highest bit first.

/// Collects bits. The last few stay in a register, so that most writes touch no memory.
#[derive(Clone, Debug, Default)]
pub struct BitWriter {
    full: Vec<u8>,
    /// The bits not yet in `full`, at the low end.
    rest: u64,
    rest_len: u8,
}

/// Room is made in steps of this many bytes: doubling would leave a third of all open chunks empty.
const STEP: usize = 64;

impl BitWriter {
    /// Appends the low `width` bits of `bits`; those above must be zero. `width` is 1 to 64.
    #[inline]
    pub fn put(&mut self, bits: u64, width: u8) {
        let free = 64 - self.rest_len;
        if width < free {
            self.rest = self.rest << width | bits;
            self.rest_len += width;
            return;
        }
        let over = width - free;
        // `free` is 64 only while the register is empty, and a shift by 64 is none.
        let word = if free == 64 { bits } else { self.rest << free | bits >> over };
        if self.full.capacity() - self.full.len() < 8 {
            self.full.reserve_exact(STEP);
        }
        self.full.extend_from_slice(&word.to_be_bytes());
        self.rest = if over == 0 { 0 } else { bits & (u64::MAX >> (64 - over)) };
        self.rest_len = over;
    }

    /// Bytes that [`copy_to`](Self::copy_to) gives.
    pub fn len(&self) -> usize {
        self.full.len() + usize::from(self.rest_len.div_ceil(8))
    }

    /// Whether nothing was put yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory held.
    pub fn capacity(&self) -> usize {
        self.full.capacity()
    }

    /// Appends the bits so far to `out`, with zero bits up to the next whole byte.
    pub fn copy_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.full);
        if self.rest_len > 0 {
            let bytes = (self.rest << (64 - self.rest_len)).to_be_bytes();
            out.extend_from_slice(bytes.get(..usize::from(self.rest_len.div_ceil(8))).unwrap_or_default());
        }
    }

    /// Starts over and gives back all memory but a little.
    pub fn clear(&mut self) {
        self.full.clear();
        self.full.shrink_to(STEP);
        self.rest = 0;
        self.rest_len = 0;
    }
}

/// Takes bits off the front of a slice.
#[derive(Clone, Debug)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits taken so far.
    position: usize,
}

impl<'a> BitReader<'a> {
    /// From the first bit of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// The next `width` bits (1 to 64), or `None` when fewer are left.
    #[inline]
    pub fn take(&mut self, width: u8) -> Option<u64> {
        let skip = self.position % 8;
        let rest = self.bytes.get(self.position / 8..)?;
        let word = match rest.first_chunk::<8>() {
            Some(word) => u64::from_be_bytes(*word),
            None => {
                if rest.len() * 8 - skip < usize::from(width) {
                    return None;
                }
                rest.iter().zip((0..8).rev()).fold(0, |word, (&byte, place)| word | u64::from(byte) << (8 * place))
            }
        };
        let mut bits = word << skip >> (64 - width);
        let have = 64 - skip;
        if usize::from(width) > have {
            let missing = usize::from(width) - have;
            bits |= u64::from(*rest.get(8)?) >> (8 - missing);
        }
        self.position += usize::from(width);
        Some(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ends_where_the_bytes_end() {
        let mut reader = BitReader::new(&[0b1010_0000]);
        assert_eq!(reader.take(3), Some(0b101));
        assert_eq!(reader.take(6), None);
        assert_eq!(reader.take(5), Some(0));
        assert_eq!(reader.take(1), None);
    }

    proptest! {
        #[test]
        fn gives_back_what_was_put(numbers in proptest::collection::vec((any::<u64>(), 1_u8..=64), 0..100)) {
            let mut writer = BitWriter::default();
            for (bits, width) in &numbers {
                writer.put(bits >> (64 - width), *width);
            }
            let mut bytes = Vec::new();
            writer.copy_to(&mut bytes);
            prop_assert_eq!(bytes.len(), writer.len());
            let mut reader = BitReader::new(&bytes);
            for (bits, width) in &numbers {
                prop_assert_eq!(reader.take(*width), Some(bits >> (64 - width)));
            }
        }
    }
}
