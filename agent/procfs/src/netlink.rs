//! The frame around every answer over netlink: messages in a datagram, and attributes in a message; and the connection
//! over which they come.
//!
//! Layouts are those of `linux/netlink.h`; numbers are in the machine's own order.

mod connection;

use crate::scan;

pub use connection::Connection;

const ERROR: u16 = 2;
const DONE: u16 = 3;

/// One part of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// A message.
    Message {
        /// What it is; each family of netlink has its own numbers.
        kind: u16,
        /// What stands behind the header.
        body: &'a [u8],
    },
    /// The dump is complete.
    Done,
    /// The kernel refuses, with this `errno`.
    Refused(i32),
}

/// The request for a dump.
pub fn dump_request(kind: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    const REQUEST_AND_DUMP: u16 = 0x301;
    let length = u32::try_from(body.len() + 16).unwrap_or(u32::MAX);
    let mut request = length.to_ne_bytes().to_vec();
    request.extend(kind.to_ne_bytes());
    request.extend(REQUEST_AND_DUMP.to_ne_bytes());
    request.extend(sequence.to_ne_bytes());
    request.extend([0; 4]);
    request.extend(body);
    request
}

/// The parts of one datagram that answer the request with this sequence number; others are left out.
pub fn replies(datagram: &[u8], sequence: u32) -> impl Iterator<Item = Reply<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(rest, 0)?).ok()?;
        let message = rest.get(..length)?;
        let body = message.get(16..)?;
        let (kind, theirs) = (u16_at(message, 4)?, u32_at(message, 8)?);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, theirs, body))
    })
    .filter(move |(_, theirs, _)| *theirs == sequence)
    .map(|(kind, _, body)| match kind {
        DONE => Reply::Done,
        ERROR => Reply::Refused(u32_at(body, 0).map_or(0, |code| code.cast_signed().wrapping_neg())),
        kind => Reply::Message { kind, body },
    })
}

/// Kinds and values, up to the first attribute that does not fit. The two top bits of a kind are flags.
pub(crate) fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)? & 0x3fff;
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// Text that ends at the first zero byte.
pub(crate) fn string(value: &[u8]) -> Option<&str> {
    let end = memchr::memchr(0, value).unwrap_or(value.len());
    scan::text(value.get(..end)?)
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_ne_bytes(*b))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_ne_bytes(*b))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|b| u64::from_ne_bytes(*b))
}

/// A message as the kernel would send it.
#[cfg(test)]
pub(crate) fn message(kind: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut out = dump_request(kind, sequence, body);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

/// An attribute as the kernel would send it.
#[cfg(test)]
pub(crate) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap();
    let mut out = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_the_end_and_refusals() {
        let datagram =
            [message(20, 9, b"four"), message(DONE, 9, &[0; 4]), message(ERROR, 9, &(-1_i32).to_ne_bytes())].concat();
        let want = [Reply::Message { kind: 20, body: b"four" }, Reply::Done, Reply::Refused(1)];
        assert_eq!(replies(&datagram, 9).collect::<Vec<_>>(), want);
    }

    #[test]
    fn other_answers_and_torn_ones_are_left_out() {
        let mut datagram = message(DONE, 8, &[0; 4]);
        datagram.extend(message(DONE, 9, &[0; 4]));
        datagram.extend([40, 0, 0, 0, 3]);
        assert_eq!(replies(&datagram, 9).collect::<Vec<_>>(), [Reply::Done]);
        assert_eq!(replies(&[0; 64], 0).count(), 0);
    }

    #[test]
    fn attributes_end_at_the_first_that_does_not_fit() {
        let mut bytes = [attribute(1, b"eth0\0"), attribute(0x8002, &[7])].concat();
        bytes.extend([9, 0, 3, 0, 1]);
        let got: Vec<_> = attributes(&bytes).collect();
        assert_eq!(got, [(1, b"eth0\0".as_slice()), (2, &[7])]);
        assert_eq!(string(got[0].1), Some("eth0"));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, sequence: u32) {
            replies(&bytes, sequence).count();
            attributes(&bytes).count();
            let _ = string(&bytes);
        }
    }
}
