//! `/proc/net/dev` and `/proc/PID/net/dev`: traffic of each network device.

use crate::scan::{self, Lossy};

/// The columns of the receiving half, in order.
pub const RECEIVE: [&str; 8] = ["bytes", "packets", "errs", "drop", "fifo", "frame", "compressed", "multicast"];
/// The columns of the sending half, in order.
pub const TRANSMIT: [&str; 8] = ["bytes", "packets", "errs", "drop", "fifo", "colls", "carrier", "compressed"];

/// One device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device<'a> {
    /// Such as `eth0`.
    pub name: &'a str,
    /// In the order of [`RECEIVE`].
    pub receive: [u64; 8],
    /// In the order of [`TRANSMIT`].
    pub transmit: [u64; 8],
}

/// Reads the file; lines are independent of each other, and the two lines of headings are passed over.
pub fn parse(bytes: &[u8]) -> Lossy<Vec<Device<'_>>> {
    let mut out = Lossy::new(Vec::new());
    for (number, line) in scan::lines(bytes) {
        match device(line) {
            Some(device) => out.value.push(device),
            None if memchr::memchr(b'|', line).is_some() => {}
            None => out.skip(number, "expected a device name and 16 numbers"),
        }
    }
    out
}

fn device(line: &[u8]) -> Option<Device<'_>> {
    // An alias has a colon in its name, and old kernels print no blank after the last one.
    let colon = memchr::memrchr(b':', line)?;
    let name = scan::text(line.get(..colon)?.trim_ascii()).filter(|n| !n.is_empty())?;
    let mut fields = scan::fields(line.get(colon + 1..)?);
    let mut half = || {
        let mut numbers = [0; 8];
        for slot in &mut numbers {
            *slot = fields.next().and_then(scan::number)?;
        }
        Some(numbers)
    };
    Some(Device { name, receive: half()?, transmit: half()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADINGS: &str = "Inter-|   Receive                                                |  Transmit\n \
        face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n";

    #[track_caller]
    fn check(line: &str, want: Option<&str>) {
        let input = format!("{HEADINGS}{line}\n");
        let got = parse(input.as_bytes());
        assert_eq!(got.value.first().map(|d| d.name), want);
        assert_eq!(got.bad_lines, usize::from(want.is_none()));
    }

    #[test]
    fn names_of_all_kinds() {
        check("    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", Some("lo"));
        check("eth0:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", Some("eth0"));
        check("eth0:1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", Some("eth0:1"));
        check("br-0a1b: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", Some("br-0a1b"));
    }

    #[test]
    fn columns_keep_their_order() {
        let got = parse(b"lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16").value[0];
        assert_eq!(got.receive, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(got.transmit, [9, 10, 11, 12, 13, 14, 15, 16]);
    }

    #[test]
    fn a_bad_line_costs_itself() {
        check("eth0: 1 2 3", None);
        check("eth0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", None);
        check(": 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", None);
        check("eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 -16", None);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
