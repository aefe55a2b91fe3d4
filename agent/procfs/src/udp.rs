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

/// Sockets, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    /// How many there are.
    pub count: u64,
    /// Datagrams dropped by those that are open now.
    pub drops: u64,
    /// What waits in them.
    pub queues: Queues,
}

/// Sums up all sockets; lines are independent of each other.
pub fn sockets(bytes: &[u8]) -> Lossy<Sockets> {
    let queues = queues(bytes);
    let mut out = Sockets { queues: queues.value, ..Sockets::default() };
    for (_, line) in scan::lines(bytes).skip(1) {
        let mut fields = scan::fields(line).skip(4);
        if fields.next().and_then(|field| scan::cut(field, b':')).is_some() {
            out.count += 1;
            // The last of the thirteen fields; kernels before 2.6.27 have none.
            out.drops = out.drops.saturating_add(fields.nth(7).and_then(scan::number).unwrap_or(0));
        }
    }
    Lossy { value: out, bad_lines: queues.bad_lines, first_bad: queues.first_bad }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_and_drops() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            8079: 0132A8C0:0035 00000000:0000 07 00000010:00000001 00:00000000 00000000     0        0 2978750 2 00000000a40525e0 5\n\
            8080: 0132A8C0:0036 00000000:0000 07 00000001:000000F0 00:00000000 00000000     0        0 2978751 2 00000000a40525e0 6\n\
            8081: 0132A8C0:0037\n";
        let got = sockets(text.as_bytes());
        let want = Sockets { count: 2, drops: 11, queues: Queues { transmit: 17, receive: 241 } };
        assert_eq!((got.value, got.bad_lines), (want, 1));
        assert_eq!(sockets(HEADINGS.as_bytes()).value, Sockets::default());
    }

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
            let _ = (queues(&bytes), sockets(&bytes));
        }
    }
}
