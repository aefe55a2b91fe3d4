//! `/proc/net/arp`: IPv4 neighbours that need ARP.

use crate::scan::{self, Lossy};

/// The device of each entry, in the order of the file; lines are independent of each other.
pub fn devices(bytes: &[u8]) -> Lossy<Vec<&str>> {
    let after_heading = memchr::memchr(b'\n', bytes).and_then(|end| bytes.get(end + 1..)).unwrap_or_default();
    Lossy::of_lines(after_heading, "expected six columns", |line| {
        let mut columns = scan::fields(line);
        let device = columns.by_ref().nth(5).and_then(scan::text);
        device.filter(|_| columns.next().is_none())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: &str = "IP address       HW type     Flags       HW address            Mask     Device\n";

    #[test]
    fn one_device_for_each_entry() {
        let text = format!(
            "{HEADING}192.0.2.1        0x1         0x2         02:fc:00:00:00:05     *        eth0\n\
             10.0.0.7         0x1         0x0         00:00:00:00:00:00     *        br0\n\
             10.0.0.8         0x1         0x2         02:42:ac:11:00:02     *        eth0\n"
        );
        assert_eq!(devices(text.as_bytes()).value, ["eth0", "br0", "eth0"]);
    }

    #[test]
    fn a_bad_line_costs_itself() {
        let text = format!("{HEADING}192.0.2.1 0x1\n1 2 3 4 5 eth0 7\n1 2 3 4 5 \u{fffd}\n");
        let got = devices(text.as_bytes());
        assert_eq!((got.value, got.bad_lines), (vec!["\u{fffd}"], 2));
        assert_eq!(devices(b"").value, Vec::<&str>::new());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = devices(&bytes);
        }
    }
}
