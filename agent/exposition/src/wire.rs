//! The few parts of protobuf's wire format that pages need, written straight into a buffer.

/// How a value of the given kind follows its tag.
const VARINT: u32 = 0;
const FIXED_64: u32 = 1;
const LENGTH_DELIMITED: u32 = 2;

/// Appends a number of any size, seven bits a byte, the lowest first.
pub(crate) fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn push_tag(out: &mut Vec<u8>, field: u32, kind: u32) {
    push_varint(out, u64::from(field << 3 | kind));
}

/// Appends a field of a type `uint64`, `int64` or an enumeration's; negative numbers take ten bytes.
pub(crate) fn push_integer(out: &mut Vec<u8>, field: u32, value: i64) {
    push_tag(out, field, VARINT);
    push_varint(out, value as u64);
}

/// Appends a field of the type `double`; a NaN keeps its bits.
pub(crate) fn push_double(out: &mut Vec<u8>, field: u32, value: f64) {
    push_tag(out, field, FIXED_64);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

/// Appends a field of the type `string` or `bytes`.
pub(crate) fn push_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    push_tag(out, field, LENGTH_DELIMITED);
    push_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a field of the type `string` that is put together.
pub(crate) fn push_string(out: &mut Vec<u8>, field: u32, parts: &[&str]) {
    push_tag(out, field, LENGTH_DELIMITED);
    push_varint(out, parts.iter().map(|part| part.len() as u64).sum());
    parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
}

/// Appends a field that is a message; `fill` appends what is in it.
pub(crate) fn push_message(out: &mut Vec<u8>, field: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    push_tag(out, field, LENGTH_DELIMITED);
    push_delimited(out, fill);
}

/// Appends a message behind its length. The length is known afterwards: one byte is left for it, and a message that
/// needs more is moved.
pub(crate) fn push_delimited(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.push(0);
    let start = out.len();
    fill(out);
    let end = out.len();
    push_varint(out, (end - start) as u64);
    let further = (out.len() - end).saturating_sub(1);
    // What was appended last is the length: its first byte has a place, the others are rotated in front of the message.
    if let Some(first) = out.get(end).copied()
        && let Some(place) = out.get_mut(at)
    {
        *place = first;
    }
    if further == 0 {
        out.truncate(end);
    } else {
        out.remove(end);
        if let Some(moved) = out.get_mut(start..) {
            moved.rotate_right(further);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_any_size_come_before_their_message() {
        for length in [0usize, 1, 127, 128, 300, 16_383, 16_384, 2_097_152] {
            let mut out = vec![9];
            push_delimited(&mut out, |out| out.extend((0..length).map(|i| i as u8)));
            let mut want = vec![9];
            push_varint(&mut want, length as u64);
            want.extend((0..length).map(|i| i as u8));
            assert!(out == want, "{length}");
        }
    }

    #[test]
    fn numbers_are_as_protobufs_guide_shows_them() {
        let mut out = Vec::new();
        push_integer(&mut out, 1, 150);
        push_bytes(&mut out, 2, b"testing");
        push_message(&mut out, 3, |out| push_integer(out, 1, 150));
        push_integer(&mut out, 6, -1);
        push_double(&mut out, 1, 1.0);
        let want = b"\x08\x96\x01\x12\x07testing\x1a\x03\x08\x96\x01\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\
                     \x09\0\0\0\0\0\0\xf0\x3f";
        assert_eq!(out, want);
    }
}
