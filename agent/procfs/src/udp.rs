//! `/proc/net/udp` and `/proc/net/udp6`: UDP sockets.

use crate::scan::{self, Lossy};

/// Bytes that wait in sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queues {
    /// To be sent.
    pub transmit: u64,
    /// To be read.
    pub receive: u64,
}

/// Sums up the queues of all sockets; lines are independent of each other.
pub fn queues(bytes: &[u8]) -> Lossy<Queues> {
    let mut out = Lossy::new(Queues::default());
    // The first line is headings.
    for (number, line) in scan::lines(bytes).skip(1) {
        let pair = scan::fields(line).nth(4).and_then(|field| scan::cut(field, b':'));
        match pair.and_then(|(transmit, receive)| Some((scan::hex(transmit)?, scan::hex(receive)?))) {
            Some((transmit, receive)) => {
                out.value.transmit = out.value.transmit.saturating_add(transmit);
                out.value.receive = out.value.receive.saturating_add(receive);
            }
            None => out.skip(number, "expected two queues in the fifth field"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADINGS: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid";

    #[test]
    fn queues_are_summed() {
        let text = format!(
            "{HEADINGS}\n  0: 00000000:0016 00000000:0000 07 00000010:00000001 00:00000000\n  1: 00000000:0017 00000000:0000 07 00000001:000000F0 00:00000000\n"
        );
        let got = queues(text.as_bytes());
        assert_eq!((got.value, got.bad_lines), (Queues { transmit: 17, receive: 241 }, 0));
    }

    #[test]
    fn a_bad_line_costs_itself() {
        let text = format!("{HEADINGS}\n 0: a b 07 1\n 1: a b 07 2:x\n 2: a b 07 3:4\n");
        let got = queues(text.as_bytes());
        assert_eq!((got.value, got.bad_lines), (Queues { transmit: 3, receive: 4 }, 2));
    }

    #[test]
    fn no_socket_is_nothing_queued() {
        assert_eq!(queues(HEADINGS.as_bytes()).value, Queues::default());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = queues(&bytes);
        }
    }
}
