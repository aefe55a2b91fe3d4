//! The samples of one series in a row, packed as in Facebook's Gorilla paper: time stamps by the change of their
//! distance, values by the bits that differ from the one before.
//!
//! A regular series with a constant value takes two bits a sample, a counter of whole numbers about twelve. Every
//! value comes back bit for bit, whichever "not a number" it is.

use collector_model::{Sample, TimestampMs};

use super::bits::{BitReader, BitWriter};

/// Bits for the change of the distance between time stamps: for each prefix, how many bits hold the number, in
/// two's complement. The prefixes are `10`, `110`, `1110`; an unchanged distance is a single `0` and any other
/// change the prefix `1111` with all 64 bits.
const CHANGE_WIDTHS: [u8; 3] = [7, 14, 20];

/// More leading zeros than this are not made use of: their number has five bits.
const MAX_LEADING: u8 = 31;

/// Bits that a new window of significant bits costs over the use of the last one.
const WINDOW_COST: u8 = 11;

/// A chunk that still takes samples. Remembers the newest sample also when it is empty, since what may follow is
/// judged by it.
#[derive(Clone, Debug)]
pub struct OpenChunk {
    bits: BitWriter,
    first_ms: TimestampMs,
    newest_ms: TimestampMs,
    newest_bits: u64,
    distance: i64,
    count: u16,
    /// The window of significant bits that was used last; no window yet when `leading` is `u8::MAX`.
    leading: u8,
    trailing: u8,
}

impl Default for OpenChunk {
    fn default() -> Self {
        Self {
            bits: BitWriter::default(),
            first_ms: TimestampMs::MIN,
            newest_ms: TimestampMs::MIN,
            newest_bits: 0,
            distance: 0,
            count: 0,
            leading: u8::MAX,
            trailing: 0,
        }
    }
}

impl OpenChunk {
    /// Appends a sample. The caller sees to the order; at most `u16::MAX` fit.
    #[inline]
    pub fn push(&mut self, timestamp_ms: TimestampMs, value_bits: u64) {
        if self.count == 0 {
            self.first_ms = timestamp_ms;
            self.distance = 0;
            self.leading = u8::MAX;
            self.bits.put(value_bits, 64);
        } else {
            let distance = timestamp_ms.wrapping_sub(self.newest_ms);
            self.push_change(distance.wrapping_sub(self.distance));
            self.distance = distance;
            self.push_value(value_bits ^ self.newest_bits);
        }
        self.newest_ms = timestamp_ms;
        self.newest_bits = value_bits;
        self.count += 1;
    }

    #[inline]
    fn push_change(&mut self, change: i64) {
        if change == 0 {
            return self.bits.put(0, 1);
        }
        let mut prefix = 0b10;
        for (width, prefix_len) in CHANGE_WIDTHS.into_iter().zip(2_u8..) {
            let half = 1_i64 << (width - 1);
            if (-half..half).contains(&change) {
                let low = change as u64 & (u64::MAX >> (64 - width));
                return self.bits.put(prefix << width | low, prefix_len + width);
            }
            prefix = (prefix | 1) << 1;
        }
        self.bits.put(0b1111, 4);
        self.bits.put(change as u64, 64);
    }

    #[inline]
    fn push_value(&mut self, differing: u64) {
        if differing == 0 {
            return self.bits.put(0, 1);
        }
        let leading = (differing.leading_zeros() as u8).min(MAX_LEADING);
        let trailing = differing.trailing_zeros() as u8;
        let significant = 64 - leading - trailing;
        let last_fits = self.leading != u8::MAX && leading >= self.leading && trailing >= self.trailing;
        if last_fits && 64 - self.leading - self.trailing <= significant + WINDOW_COST {
            self.bits.put(0b10, 2);
            self.bits.put(differing >> self.trailing, 64 - self.leading - self.trailing);
            return;
        }
        self.bits.put(0b11 << 11 | u64::from(leading) << 6 | u64::from(significant - 1), 13);
        self.bits.put(differing >> trailing, significant);
        self.leading = leading;
        self.trailing = trailing;
    }

    /// Forgets the samples, not the newest one, and gives the memory back.
    pub fn clear(&mut self) {
        self.bits.clear();
        self.count = 0;
    }

    /// Tells an empty chunk what the newest sample of its series is.
    pub fn set_newest(&mut self, timestamp_ms: TimestampMs, value_bits: u64) {
        self.newest_ms = timestamp_ms;
        self.newest_bits = value_bits;
    }

    /// How many samples there are.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// The packed samples, as [`Samples`] reads them.
    pub fn copy_to(&self, out: &mut Vec<u8>) {
        self.bits.copy_to(out);
    }

    /// Bytes of the packed samples.
    pub fn len(&self) -> usize {
        self.bits.len()
    }

    /// Whether no sample is in it.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of memory held beside the struct itself.
    pub fn capacity(&self) -> usize {
        self.bits.capacity()
    }

    /// The time stamp of the first sample; of no use while the chunk is empty.
    pub fn first_ms(&self) -> TimestampMs {
        self.first_ms
    }

    /// The newest time stamp ever taken, `i64::MIN` before the first.
    pub fn newest_ms(&self) -> TimestampMs {
        self.newest_ms
    }

    /// The value of the newest sample, as bits.
    pub fn newest_bits(&self) -> u64 {
        self.newest_bits
    }
}

/// Unpacks a chunk. Ends early, with [`is_broken`](Self::is_broken) set, where the bits do.
#[derive(Clone, Debug)]
pub struct Samples<'a> {
    bits: BitReader<'a>,
    left: u16,
    started: bool,
    broken: bool,
    timestamp_ms: TimestampMs,
    distance: i64,
    value: u64,
    leading: u8,
    trailing: u8,
}

impl<'a> Samples<'a> {
    /// The `count` samples in `bytes`, the first of them at `first_ms`.
    pub fn new(bytes: &'a [u8], count: u16, first_ms: TimestampMs) -> Self {
        Self {
            bits: BitReader::new(bytes),
            left: count,
            started: false,
            broken: false,
            timestamp_ms: first_ms,
            distance: 0,
            value: 0,
            leading: 0,
            trailing: 0,
        }
    }

    /// Whether the bits ended before the samples did.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    #[inline]
    fn step(&mut self) -> Option<()> {
        if !self.started {
            self.started = true;
            self.value = self.bits.take(64)?;
            return Some(());
        }
        self.distance = self.distance.wrapping_add(self.take_change()?);
        self.timestamp_ms = self.timestamp_ms.wrapping_add(self.distance);
        if self.bits.take(1)? == 1 {
            if self.bits.take(1)? == 1 {
                let window = self.bits.take(11)?;
                self.leading = (window >> 6) as u8;
                let significant = (window & 0x3f) as u8 + 1;
                self.trailing = 64_u8.checked_sub(self.leading + significant)?;
            }
            let significant = 64 - self.leading - self.trailing;
            self.value ^= self.bits.take(significant)? << self.trailing;
        }
        Some(())
    }

    #[inline]
    fn take_change(&mut self) -> Option<i64> {
        if self.bits.take(1)? == 0 {
            return Some(0);
        }
        for width in CHANGE_WIDTHS {
            if self.bits.take(1)? == 0 {
                let shift = 64 - width;
                return Some((self.bits.take(width)? << shift) as i64 >> shift);
            }
        }
        Some(self.bits.take(64)? as i64)
    }
}

impl Iterator for Samples<'_> {
    type Item = Sample;

    #[inline]
    fn next(&mut self) -> Option<Sample> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        if self.step().is_none() {
            self.left = 0;
            self.broken = true;
            return None;
        }
        Some(Sample { timestamp_ms: self.timestamp_ms, value: f64::from_bits(self.value) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(usize::from(self.left)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pack(samples: &[(i64, u64)]) -> OpenChunk {
        let mut chunk = OpenChunk::default();
        for (timestamp_ms, bits) in samples {
            chunk.push(*timestamp_ms, *bits);
        }
        chunk
    }

    fn unpack(chunk: &OpenChunk) -> Vec<(i64, u64)> {
        let mut bytes = Vec::new();
        chunk.copy_to(&mut bytes);
        let mut samples = Samples::new(&bytes, chunk.count(), chunk.first_ms());
        let got = samples.by_ref().map(|s| (s.timestamp_ms, s.value.to_bits())).collect();
        assert!(!samples.is_broken());
        got
    }

    #[track_caller]
    fn check(values: &[f64]) {
        let samples: Vec<_> = (0..).step_by(15_000).zip(values.iter().map(|v| v.to_bits())).collect();
        assert_eq!(unpack(&pack(&samples)), samples);
    }

    #[test]
    fn keeps_every_special_value() {
        check(&[]);
        check(&[0.0, -0.0, 0.0, -0.0]);
        check(&[f64::NAN, collector_model::STALE_NAN, collector_model::NORMAL_NAN, f64::from_bits(u64::MAX)]);
        check(&[f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, f64::MIN_POSITIVE, f64::from_bits(1)]);
        check(&[1.0, f64::from_bits(1.0_f64.to_bits() ^ 1), f64::from_bits(1.0_f64.to_bits() ^ (1 << 63))]);
    }

    #[test]
    fn keeps_the_ends_of_time() {
        let samples = [(i64::MIN, 1), (-1, 2), (0, 3), (i64::MAX - 1, 4), (i64::MAX, 5)];
        assert_eq!(unpack(&pack(&samples)), samples);
    }

    #[test]
    fn regular_series_are_small() {
        let constant: Vec<_> = (0..120).map(|i| (i * 15_000, 1.0_f64.to_bits())).collect();
        assert!(pack(&constant).len() <= 8 + 120 / 4 + 3, "{}", pack(&constant).len());
        // A counter of bytes with an uneven step, scraped with a jitter of some milliseconds.
        let counter: Vec<_> =
            (0..120_i64).map(|i| (i * 15_000 + i % 3, ((1_000 + 37 * i + i % 7) as f64).to_bits())).collect();
        assert!(pack(&counter).len() <= 120 * 3, "{}", pack(&counter).len());
    }

    #[test]
    fn a_cleared_chunk_knows_the_newest_sample() {
        let mut chunk = pack(&[(1, 7), (2, 9)]);
        chunk.clear();
        assert_eq!((chunk.newest_ms(), chunk.newest_bits(), chunk.count()), (2, 9, 0));
        chunk.push(3, 5);
        assert_eq!(unpack(&chunk), [(3, 5)]);
    }

    #[test]
    fn says_when_the_bits_run_out() {
        let mut samples = Samples::new(&[0; 9], 200, 0);
        assert_eq!(samples.by_ref().count(), 5);
        assert!(samples.is_broken());
        // A window wider than a word.
        let mut samples = Samples::new(&[0, 0, 0, 0, 0, 0, 0, 0, 0b0111_1111, 0xff, 0xff, 0xff], 2, 0);
        assert_eq!(samples.by_ref().count(), 1);
        assert!(samples.is_broken());
    }

    fn any_value() -> impl Strategy<Value = u64> {
        prop_oneof![
            any::<u64>(),
            (0_u64..1 << 52).prop_map(|low| 0x7ff0_0000_0000_0000 | low),
            (-1_000_000_i64..1_000_000).prop_map(|i| (i as f64).to_bits()),
            any::<f64>().prop_map(f64::to_bits),
        ]
    }

    proptest! {
        #[test]
        fn gives_back_what_was_pushed(samples in proptest::collection::vec((any::<i64>(), any_value()), 0..300)) {
            prop_assert_eq!(unpack(&pack(&samples)), samples);
        }

        #[test]
        fn regular_time_stamps_come_back(
            start in any::<i64>(),
            steps in proptest::collection::vec((-600_000_i64..600_000, any_value()), 0..200),
        ) {
            let mut at = start;
            let samples: Vec<_> = steps.into_iter().map(|(step, value)| {
                at = at.wrapping_add(step);
                (at, value)
            }).collect();
            prop_assert_eq!(unpack(&pack(&samples)), samples);
        }

        #[test]
        fn reads_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..100), count in any::<u16>()) {
            prop_assert!(Samples::new(&bytes, count, 0).count() <= usize::from(count));
        }
    }
}
