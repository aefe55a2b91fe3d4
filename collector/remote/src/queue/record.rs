//! The bytes of a segment: a header, then records one behind the other. Pure, so that it can be fuzzed.
//!
//! ```text
//! segment = "ATLQ" version(1) 0 0 0, record…
//! record  = length(u32 LE, of kind and payload) crc32(u32 LE, of kind and payload) kind(u8) payload
//! series  = kind 1, payload: Snappy block of (id, field count, (name, value)…)…, each text behind its length
//! samples = kind 2, payload: least time stamp, count, (id step · 2 + form, time - least, value)…
//! end     = kind 3, payload: samples(u64 LE) newest time stamp(i64 LE)
//! ```
//! Numbers are LEB128 varints, zigzag where they can be negative. A value's form is 0 for eight bytes of its bits, 1
//! for a zigzag varint when it is a whole number below 2⁴⁸: most counters and gauges are. Series ids are local to
//! their segment, which makes each segment readable alone. The `end` record says what a full segment holds, so that
//! opening a queue need not read it.

use collector_model::{Labels, TimestampMs};

/// First bytes of each segment.
pub(crate) const HEADER: [u8; 8] = *b"ATLQ\x01\0\0\0";

/// Bytes before a record's kind.
pub(crate) const FRAME: usize = 8;

/// Longest record that is believed. The writer splits batches so that theirs stay far below.
pub(crate) const MAX_RECORD: usize = 64 << 20;

/// Bytes of an `end` record with its frame.
pub(crate) const END_LEN: usize = FRAME + 1 + 16;

const SERIES: u8 = 1;
const SAMPLES: u8 = 2;
const END: u8 = 3;

/// A sample of a series that its segment knows by a number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdSample {
    pub id: u32,
    pub timestamp_ms: TimestampMs,
    pub value: f64,
}

impl PartialEq for IdSample {
    /// Bit for bit, so that a stale marker equals itself.
    fn eq(&self, other: &Self) -> bool {
        (self.id, self.timestamp_ms, self.value.to_bits()) == (other.id, other.timestamp_ms, other.value.to_bits())
    }
}

/// What a record says.
#[derive(Debug, PartialEq)]
pub(crate) enum Record {
    Series(Vec<(u32, Labels)>),
    Samples(Vec<IdSample>),
    End { samples: u64, newest_ms: TimestampMs },
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// The bytes end before the record does.
    Torn,
    /// The record is whole, and not what was written: skip so many bytes to the next.
    Corrupt { skip: usize },
    /// The length makes no sense, so the next record cannot be found.
    Lost,
}

/// Appends a record of new series. `series` must not be empty.
pub(crate) fn write_series<'a>(
    series: impl Iterator<Item = (u32, &'a Labels)>,
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
) {
    scratch.clear();
    for (id, labels) in series {
        put(u64::from(id), scratch);
        put(labels.len() as u64, scratch);
        for (name, value) in labels {
            put_text(name, scratch);
            put_text(value, scratch);
        }
    }
    let start = begin(SERIES, out);
    let payload = out.len();
    out.resize(payload + snap::raw::max_compress_len(scratch.len()), 0);
    let room = out.get_mut(payload..).unwrap_or_default();
    // Fails only for inputs of 4 GiB and for an output that is too small.
    let length = snap::raw::Encoder::new().compress(scratch, room).unwrap_or(0);
    out.truncate(payload + length);
    finish(start, out);
}

/// Appends a record of samples.
pub(crate) fn write_samples(samples: &[IdSample], out: &mut Vec<u8>) {
    let least = samples.iter().map(|s| s.timestamp_ms).min().unwrap_or(0);
    let start = begin(SAMPLES, out);
    put_signed(least, out);
    put(samples.len() as u64, out);
    let mut before = 0;
    for sample in samples {
        let step = zigzag(i64::from(sample.id) - i64::from(before));
        before = sample.id;
        let whole = whole(sample.value);
        put(step << 1 | u64::from(whole.is_some()), out);
        put(sample.timestamp_ms.wrapping_sub(least).cast_unsigned(), out);
        match whole {
            Some(number) => put_signed(number, out),
            None => out.extend_from_slice(&sample.value.to_bits().to_le_bytes()),
        }
    }
    finish(start, out);
}

/// Appends what says that a segment is full.
pub(crate) fn write_end(samples: u64, newest_ms: TimestampMs, out: &mut Vec<u8>) {
    let start = begin(END, out);
    out.extend_from_slice(&samples.to_le_bytes());
    out.extend_from_slice(&newest_ms.to_le_bytes());
    finish(start, out);
}

/// A record with these bytes for kind and payload.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn framed(body: &[u8]) -> Vec<u8> {
    let mut out = vec![0; FRAME];
    out.extend_from_slice(body);
    finish(0, &mut out);
    out
}

/// Reads the record at the start of `bytes`; gives it and its length.
///
/// # Errors
/// What is wrong with it. [`Damage::Torn`] where more bytes may help.
pub(crate) fn read(bytes: &[u8]) -> Result<(Record, usize), Damage> {
    let (frame, rest) = bytes.split_first_chunk::<FRAME>().ok_or(Damage::Torn)?;
    let [l0, l1, l2, l3, c0, c1, c2, c3] = *frame;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if length == 0 || length > MAX_RECORD {
        return Err(Damage::Lost);
    }
    let body = rest.get(..length).ok_or(Damage::Torn)?;
    let corrupt = Damage::Corrupt { skip: FRAME + length };
    if crc32fast::hash(body) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Err(corrupt);
    }
    let record = match body.split_first() {
        Some((&SERIES, payload)) => read_series(payload),
        Some((&SAMPLES, payload)) => read_samples(payload),
        Some((&END, payload)) => read_end(payload),
        _ => None,
    };
    Ok((record.ok_or(corrupt)?, FRAME + length))
}

/// Whether a record of this length stands at the start of `bytes`, were there enough of them: how many bytes it
/// takes.
pub(crate) fn needed(bytes: &[u8]) -> usize {
    match bytes.first_chunk::<4>() {
        Some(length) => FRAME + (u32::from_le_bytes(*length) as usize).min(MAX_RECORD),
        None => FRAME,
    }
}

fn read_series(payload: &[u8]) -> Option<Record> {
    if snap::raw::decompress_len(payload).ok()? > MAX_RECORD {
        return None;
    }
    let plain = snap::raw::Decoder::new().decompress_vec(payload).ok()?;
    let mut rest = plain.as_slice();
    let mut series = Vec::new();
    while !rest.is_empty() {
        let id = u32::try_from(take(&mut rest)?).ok()?;
        let count = take(&mut rest)?;
        // Each field takes two bytes at least: no room is made for fields that cannot be there.
        if count > rest.len() as u64 / 2 {
            return None;
        }
        let mut pairs = Vec::with_capacity(usize::try_from(count).ok()?);
        for _ in 0..count {
            pairs.push((take_text(&mut rest)?, take_text(&mut rest)?));
        }
        series.push((id, Labels::from_sorted(pairs.into_iter())));
    }
    Some(Record::Series(series))
}

fn read_samples(payload: &[u8]) -> Option<Record> {
    let mut rest = payload;
    let least = take_signed(&mut rest)?;
    let count = take(&mut rest)?;
    // Each sample takes three bytes at least.
    if count > rest.len() as u64 / 3 {
        return None;
    }
    let mut samples = Vec::with_capacity(usize::try_from(count).ok()?);
    let mut before = 0_i64;
    for _ in 0..count {
        let head = take(&mut rest)?;
        before = before.checked_add(unzigzag(head >> 1))?;
        let id = u32::try_from(before).ok()?;
        let timestamp_ms = least.wrapping_add(take(&mut rest)?.cast_signed());
        let value = if head & 1 == 1 {
            take_signed(&mut rest)? as f64
        } else {
            let (bits, tail) = rest.split_first_chunk::<8>()?;
            rest = tail;
            f64::from_bits(u64::from_le_bytes(*bits))
        };
        samples.push(IdSample { id, timestamp_ms, value });
    }
    rest.is_empty().then_some(Record::Samples(samples))
}

fn read_end(payload: &[u8]) -> Option<Record> {
    let (samples, rest) = payload.split_first_chunk::<8>()?;
    let newest: [u8; 8] = rest.try_into().ok()?;
    Some(Record::End { samples: u64::from_le_bytes(*samples), newest_ms: i64::from_le_bytes(newest) })
}

/// The value as a whole number that comes back bit for bit.
fn whole(value: f64) -> Option<i64> {
    const BOUND: f64 = (1_i64 << 48) as f64;
    let number = value as i64;
    // Minus zero is not the whole number zero.
    (value.abs() < BOUND && (number as f64).to_bits() == value.to_bits()).then_some(number)
}

fn begin(kind: u8, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME]);
    out.push(kind);
    start
}

fn finish(start: usize, out: &mut [u8]) {
    let Some((frame, body)) = out.get_mut(start..).and_then(|record| record.split_first_chunk_mut::<FRAME>()) else {
        return;
    };
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    let crc = crc32fast::hash(body).to_le_bytes();
    for (to, from) in frame.iter_mut().zip(length.into_iter().chain(crc)) {
        *to = from;
    }
}

fn put(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_signed(number: i64, out: &mut Vec<u8>) {
    put(zigzag(number), out);
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    put(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn take_signed(rest: &mut &[u8]) -> Option<i64> {
    take(rest).map(unzigzag)
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = usize::try_from(take(rest)?).ok()?;
    let (text, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    std::str::from_utf8(text).ok()
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use collector_model::STALE_NAN;
    use proptest::prelude::*;

    use super::*;

    fn sample(id: u32, timestamp_ms: i64, value: f64) -> IdSample {
        IdSample { id, timestamp_ms, value }
    }

    #[test]
    fn a_scraped_sample_takes_few_bytes() {
        let samples: Vec<_> = (0..1_000).map(|id| sample(id, 1_700_000_000_000, f64::from(id))).collect();
        let mut out = Vec::new();
        write_samples(&samples, &mut out);
        assert!(out.len() < 4_000, "{} bytes for 1000 small counters", out.len());
        let samples: Vec<_> = (0..1_000).map(|id| sample(id, 1_700_000_000_000, 0.1)).collect();
        out.clear();
        write_samples(&samples, &mut out);
        assert!(out.len() < 10_100, "{} bytes for 1000 ratios", out.len());
    }

    #[test]
    fn special_values_come_back_bit_for_bit() {
        let values = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            f64::NAN,
            STALE_NAN,
            f64::INFINITY,
            f64::MIN,
            f64::MAX,
            5e-324,
            281474976710655.0,
            281474976710656.0,
        ];
        let samples: Vec<_> = values.iter().map(|v| sample(u32::MAX, i64::MIN, *v)).collect();
        let mut out = Vec::new();
        write_samples(&samples, &mut out);
        assert_eq!(read(&out), Ok((Record::Samples(samples), out.len())));
    }

    #[test]
    fn damage_is_told_apart() {
        let mut out = Vec::new();
        write_end(3, 4, &mut out);
        assert_eq!(out.len(), END_LEN);
        assert_eq!(read(&out), Ok((Record::End { samples: 3, newest_ms: 4 }, END_LEN)));
        for length in 0..out.len() {
            assert_eq!(read(&out[..length]), Err(Damage::Torn), "{length} bytes");
        }
        out[12] ^= 1;
        assert_eq!(read(&out), Err(Damage::Corrupt { skip: END_LEN }));
        assert_eq!(read(&[0; 64]), Err(Damage::Lost));
        assert_eq!(read(&[0xff; 64]), Err(Damage::Lost));
    }

    fn labels() -> impl Strategy<Value = Labels> {
        proptest::collection::btree_map(".{1,20}", ".{1,20}", 0..4).prop_map(Labels::from_pairs)
    }

    proptest! {
        #[test]
        fn series_come_back(series in proptest::collection::vec((any::<u32>(), labels()), 1..20)) {
            let mut out = Vec::new();
            write_series(series.iter().map(|(id, l)| (*id, l)), &mut Vec::new(), &mut out);
            prop_assert_eq!(read(&out), Ok((Record::Series(series), out.len())));
        }

        #[test]
        fn samples_come_back(samples in proptest::collection::vec((any::<u32>(), any::<i64>(), any::<u64>()), 0..50)) {
            let samples: Vec<_> = samples.into_iter().map(|(id, t, bits)| sample(id, t, f64::from_bits(bits))).collect();
            let mut out = Vec::new();
            write_samples(&samples, &mut out);
            prop_assert_eq!(read(&out), Ok((Record::Samples(samples), out.len())));
        }

        #[test]
        fn noise_is_never_believed(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(read(&bytes).is_err());
        }

        #[test]
        fn payloads_with_a_good_sum_do_no_harm(kind in 0_u8..5, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&framed(&[&[kind], bytes.as_slice()].concat()));
        }
    }
}
