//! What drivers say about their network devices: `ioctl(2)` with `SIOCETHTOOL`, from `linux/ethtool.h`. Nothing else
//! gives a driver's own counters. The commands here change nothing and need no right.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::ioctl::{Updater, ioctl};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// Who drives a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Driver {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) firmware: String,
    pub(crate) bus: String,
    pub(crate) expansion_rom: String,
    /// How many counters it has.
    counters: usize,
}

/// What a device's link can do; the bits are those of `link_modes.rs`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkSettings {
    pub(crate) autonegotiates: bool,
    pub(crate) supported: Vec<u32>,
    pub(crate) advertised: Vec<u32>,
}

/// A socket to ask through, and room for the answers.
#[derive(Debug)]
pub(crate) struct Ethtool {
    socket: OwnedFd,
    answer: Vec<u8>,
    names: Vec<u8>,
}

const DRIVER: u32 = 0x03;
const NAMES: u32 = 0x1b;
const COUNTERS: u32 = 0x1d;
const LINK_SETTINGS: u32 = 0x4c;

/// Bytes of a text in the kernel's structures.
const TEXT: usize = 32;

/// More counters than any driver has.
const MOST: usize = 1 << 16;

/// Room for counters that a driver adds after it has told how many it has.
const SLACK: usize = 8192;

impl Ethtool {
    /// # Errors
    /// When a sandbox forbids the socket.
    pub(crate) fn open() -> Result<Self, Errno> {
        let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        Ok(Self { socket, answer: Vec::new(), names: Vec::new() })
    }

    /// # Errors
    /// When there is no such device, or its driver does not say.
    pub(crate) fn driver(&mut self, device: &str) -> Result<Driver, Errno> {
        // `struct ethtool_drvinfo`: the command, five texts, 12 bytes of nothing, and five numbers.
        call(&self.socket, device, &mut self.answer, &DRIVER.to_ne_bytes(), 196)?;
        let text = |place: usize| text(self.answer.get(4 + place * TEXT..).unwrap_or_default());
        Ok(Driver {
            name: text(0),
            version: text(1),
            firmware: text(2),
            bus: text(3),
            expansion_rom: text(4),
            counters: number(&self.answer, 180).min(MOST),
        })
    }

    /// # Errors
    /// As [`driver`](Self::driver).
    pub(crate) fn link_settings(&mut self, device: &str) -> Result<LinkSettings, Errno> {
        // `struct ethtool_link_settings`; behind it stand three masks. Asked for masks of no words, the kernel says of
        // how many they are, as a negative number; asked for any other wrong number, too.
        const HEAD: usize = 48;
        const WORDS_AT: usize = 15;
        const AUTONEGOTIATES_AT: usize = 11;
        call(&self.socket, device, &mut self.answer, &LINK_SETTINGS.to_ne_bytes(), HEAD)?;
        let words = self.answer.get(WORDS_AT).map_or(0, |words| words.cast_signed().unsigned_abs() & 0x7f);
        let mut request = [0; HEAD];
        for (slot, byte) in request.iter_mut().zip(LINK_SETTINGS.to_ne_bytes()) {
            *slot = byte;
        }
        if let Some(slot) = request.get_mut(WORDS_AT) {
            *slot = words;
        }
        let words = usize::from(words);
        call(&self.socket, device, &mut self.answer, &request, HEAD + 3 * 4 * words)?;
        let mask = |place: usize| {
            let from = HEAD + place * 4 * words;
            let (chunks, _) = self.answer.get(from..from + 4 * words).unwrap_or_default().as_chunks::<4>();
            chunks.iter().map(|word| u32::from_ne_bytes(*word)).collect()
        };
        let autonegotiates = self.answer.get(AUTONEGOTIATES_AT).is_some_and(|on| *on != 0);
        Ok(LinkSettings { autonegotiates, supported: mask(0), advertised: mask(1) })
    }

    /// The names of the driver's counters and their values. Names are not always UTF-8, nor different.
    ///
    /// # Errors
    /// As [`driver`](Self::driver).
    pub(crate) fn counters(
        &mut self,
        device: &str,
        driver: &Driver,
    ) -> Result<impl Iterator<Item = (&[u8], u64)>, Errno> {
        const SET_OF_COUNTERS: u32 = 1;
        let count = u32::try_from(driver.counters).unwrap_or_default();
        let room = driver.counters + SLACK;
        let told = if count == 0 {
            self.names.clear();
            self.answer.clear();
            0
        } else {
            // `struct ethtool_gstrings` and `struct ethtool_stats`. The kernel writes as many as the driver has by then.
            let request: Vec<u8> = [NAMES, SET_OF_COUNTERS, count].iter().flat_map(|word| word.to_ne_bytes()).collect();
            call(&self.socket, device, &mut self.names, &request, 12 + room * TEXT)?;
            let request: Vec<u8> = [COUNTERS, count].iter().flat_map(|word| word.to_ne_bytes()).collect();
            call(&self.socket, device, &mut self.answer, &request, 8 + room * 8)?;
            number(&self.names, 8).min(number(&self.answer, 4)).min(room)
        };
        let (names, _) = self.names.get(12..).unwrap_or_default().as_chunks::<TEXT>();
        let (values, _) = self.answer.get(8..).unwrap_or_default().as_chunks::<8>();
        let named =
            names.iter().map(|name| until_zero(name)).zip(values.iter().map(|value| u64::from_ne_bytes(*value)));
        Ok(named.take(told))
    }
}

/// `struct ifreq`, of which this request uses the name and the pointer.
#[repr(C)]
struct Request {
    name: [u8; 16],
    data: *mut u8,
    rest: [u8; 16],
}

/// Asks with a structure that begins with `request`; the answer is the whole structure of `length` bytes, which must
/// have room for all that the kernel writes.
#[expect(unsafe_code, reason = "no crate that we have wraps this ioctl, and nothing else says this")]
fn call(socket: &OwnedFd, device: &str, answer: &mut Vec<u8>, request: &[u8], length: usize) -> Result<(), Errno> {
    const SIOCETHTOOL: u32 = 0x8946;
    answer.clear();
    answer.resize(length, 0);
    for (slot, byte) in answer.iter_mut().zip(request) {
        *slot = *byte;
    }
    let mut name = [0; 16];
    // The last byte ends the name.
    if device.len() >= name.len() {
        return Err(Errno::NODEV);
    }
    for (slot, byte) in name.iter_mut().zip(device.bytes()) {
        *slot = byte;
    }
    let mut request = Request { name, data: answer.as_mut_ptr(), rest: [0; 16] };
    // SAFETY: the kernel reads and writes the request, which is larger than its `struct ifreq` needs, and the
    // structure that `data` points at, which the vector keeps where it is. The callers make it as long as the command's
    // structure. Lists of counters have room for `SLACK` more than the driver had a moment ago, as the kernel takes the
    // number anew; no driver has that many in all.
    unsafe { ioctl(socket, Updater::<SIOCETHTOOL, Request>::new(&mut request)) }
}

fn number(bytes: &[u8], at: usize) -> usize {
    let word = bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u32::from_ne_bytes(*word));
    usize::try_from(word).unwrap_or_default()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(until_zero(bytes.get(..TEXT).unwrap_or_default())).into_owned()
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_without_a_driver_and_none_at_all() {
        let mut ethtool = Ethtool::open().unwrap();
        assert_eq!(ethtool.link_settings("lo"), Err(Errno::OPNOTSUPP));
        assert_eq!(ethtool.driver("nonexistent"), Err(Errno::NODEV));
        assert_eq!(ethtool.driver("a_name_that_is_too_long"), Err(Errno::NODEV));
        assert_eq!(ethtool.counters("lo", &Driver::default()).unwrap().count(), 0);
    }

    #[test]
    fn texts_end_at_a_zero() {
        assert_eq!(text(&[b'v', b'e', 0, b'x', 0, 0]), "");
        let mut bytes = [0; 40];
        bytes[..3].copy_from_slice(b"ab\xff");
        assert_eq!(text(&bytes), "ab\u{fffd}");
        assert_eq!(number(&7_u32.to_ne_bytes(), 0), 7);
        assert_eq!(number(&[1, 2], 0), 0);
    }
}
