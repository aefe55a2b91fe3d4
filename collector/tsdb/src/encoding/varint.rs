//! Whole numbers in as few bytes as they need: seven bits a byte, lowest first, the top bit says that more follow.

/// Bytes that the longest number takes.
pub const MAX_LEN: usize = 10;

/// Appends an unsigned number.
#[inline]
pub fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a signed number; small ones of either sign are short.
#[inline]
pub fn put_signed(out: &mut Vec<u8>, number: i64) {
    put(out, zigzag(number));
}

/// Takes an unsigned number off the front.
#[inline]
pub fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for (position, &byte) in bytes.iter().take(MAX_LEN).enumerate() {
        let low = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if position == MAX_LEN - 1 && low > 1 {
            return None;
        }
        number |= low << (7 * position);
        if byte & 0x80 == 0 {
            *bytes = bytes.get(position + 1..)?;
            return Some(number);
        }
    }
    None
}

/// Takes a signed number off the front.
#[inline]
pub fn take_signed(bytes: &mut &[u8]) -> Option<i64> {
    take(bytes).map(unzigzag)
}

/// Interleaves the signs: 0, -1, 1, -2, … become 0, 1, 2, 3, …
#[inline]
pub fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

/// The inverse of [`zigzag`].
#[inline]
pub fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_cut_short_or_too_long() {
        assert_eq!(take(&mut &[][..]), None);
        assert_eq!(take(&mut &[0x80][..]), None);
        assert_eq!(take(&mut &[0xff; 11][..]), None);
        assert_eq!(take(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02][..]), None);
    }

    proptest! {
        #[test]
        fn gives_back_what_was_put(number in any::<u64>(), shift in 0_u32..64, signed in any::<i64>()) {
            let mut out = Vec::new();
            put(&mut out, number >> shift);
            put_signed(&mut out, signed >> shift);
            let mut bytes = out.as_slice();
            prop_assert_eq!(take(&mut bytes), Some(number >> shift));
            prop_assert_eq!(take_signed(&mut bytes), Some(signed >> shift));
            prop_assert!(bytes.is_empty());
        }
    }
}
