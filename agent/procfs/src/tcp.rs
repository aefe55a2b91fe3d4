//! TCP sockets by state: `/proc/net/tcp` and `/proc/net/tcp6`, and the same from the kernel's `sock_diag`.
//!
//! `sock_diag` gives 72 bytes for a socket where the file gives a line of 150 characters that the kernel has to print.
//! Layouts are those of `linux/sock_diag.h` and `linux/inet_diag.h`.

use crate::netlink::{self, Reply};
use crate::scan::{self, Lossy};

/// The states of a socket with their numbers in the kernel, from `net/tcp_states.h`.
pub const STATES: [(u8, &str); 11] = [
    (1, "established"),
    (2, "syn_sent"),
    (3, "syn_recv"),
    (4, "fin_wait1"),
    (5, "fin_wait2"),
    (6, "time_wait"),
    (7, "close"),
    (8, "close_wait"),
    (9, "last_ack"),
    (10, "listen"),
    (11, "closing"),
];

const LISTEN: u8 = 10;

/// Sockets, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    counts: [u64; 12],
    /// Bytes received and not yet read.
    pub receive: u64,
    /// Bytes sent and not yet acknowledged, or still to be sent.
    pub transmit: u64,
}

impl Sockets {
    /// How many sockets are in the state of that number.
    pub fn in_state(&self, state: u8) -> u64 {
        self.counts.get(usize::from(state)).copied().unwrap_or(0)
    }

    /// Adds a socket. The queues of one that listens are connections, and no bytes.
    fn add(&mut self, state: u8, receive: u64, transmit: u64) {
        // Newer states, such as sockets that are bound and nothing else, are no connections.
        let Some(count) = self.counts.get_mut(usize::from(state)) else { return };
        *count += 1;
        if state != LISTEN {
            self.receive = self.receive.saturating_add(receive);
            self.transmit = self.transmit.saturating_add(transmit);
        }
    }
}

/// Adds the sockets of `/proc/net/tcp` or `/proc/net/tcp6`; lines are independent of each other.
pub fn parse(bytes: &[u8], mut sockets: Sockets) -> Lossy<Sockets> {
    let mut bad = Lossy::new(());
    // The first line is headings.
    for (number, line) in scan::lines(bytes).skip(1) {
        let mut fields = scan::fields(line).skip(3);
        let state = fields.next().and_then(scan::hex).and_then(|state| u8::try_from(state).ok());
        let queues = fields.next().and_then(|field| scan::cut(field, b':'));
        let queues = queues.and_then(|(transmit, receive)| Some((scan::hex(transmit)?, scan::hex(receive)?)));
        match (state, queues) {
            (Some(state), Some((transmit, receive))) => sockets.add(state, receive, transmit),
            _ => bad.skip(number, "expected a state and two queues"),
        }
    }
    Lossy { value: sockets, bad_lines: bad.bad_lines, first_bad: bad.first_bad }
}

/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;

/// The address families of TCP: `AF_INET` and `AF_INET6`.
pub const FAMILIES: [u8; 2] = [2, 10];

/// The request for all TCP sockets of an address family: a `struct inet_diag_req_v2`.
pub fn diag_request(family: u8, sequence: u32) -> Vec<u8> {
    const TCP: u8 = 6;
    let all_states = STATES.iter().fold(0_u32, |mask, (state, _)| mask | (1 << state));
    let mut body = vec![family, TCP, 0, 0];
    body.extend(all_states.to_ne_bytes());
    body.resize(56, 0);
    netlink::dump_request(BY_FAMILY, sequence, &body)
}

/// Adds the sockets of one datagram of the answer. Gives whether the answer is complete.
///
/// # Errors
/// The kernel's `errno`, when it refuses.
pub fn diag_answer(datagram: &[u8], sequence: u32, sockets: &mut Sockets) -> Result<bool, i32> {
    for reply in netlink::replies(datagram, sequence) {
        match reply {
            Reply::Done => return Ok(true),
            Reply::Refused(errno) => return Err(errno),
            Reply::Message { kind: BY_FAMILY, body } => {
                let queue = |at| netlink::u32_at(body, at).map(u64::from);
                if let (Some(state), Some(receive), Some(transmit)) = (body.get(1), queue(56), queue(60)) {
                    sockets.add(*state, receive, transmit);
                }
            }
            Reply::Message { .. } => {}
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADINGS: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid";

    fn line(state: &str, queues: &str) -> String {
        format!("   0: 0100007F:0CEA 00000000:0000 {state} {queues} 00:00000000 00000000     0        0 1 1\n")
    }

    #[test]
    fn states_and_bytes() {
        let text = [
            format!("{HEADINGS}\n"),
            line("0A", "00000000:00000005"),
            line("01", "00000010:00000001"),
            line("01", "00000002:000000F0"),
            line("06", "00000000:00000000"),
            line("0D", "00000000:00000000"),
        ];
        let got = parse(text.concat().as_bytes(), Sockets::default());
        let states: Vec<_> = STATES.iter().filter(|(n, _)| got.value.in_state(*n) > 0).collect();
        assert_eq!(states, [&(1, "established"), &(6, "time_wait"), &(10, "listen")]);
        assert_eq!((got.value.in_state(1), got.value.transmit, got.value.receive, got.bad_lines), (2, 18, 241, 0));
    }

    #[test]
    fn a_bad_line_costs_itself() {
        let text = format!("{HEADINGS}\n{}{}a b\n{}", line("XX", "1:2"), line("01", "12"), line("01", "1:2"));
        let got = parse(text.as_bytes(), Sockets::default());
        assert_eq!((got.value.in_state(1), got.value.transmit, got.bad_lines), (1, 1, 3));
    }

    fn socket(state: u8, receive: u32, transmit: u32) -> Vec<u8> {
        let mut body = vec![2, state, 0, 0];
        body.resize(56, 7);
        body.extend(receive.to_ne_bytes());
        body.extend(transmit.to_ne_bytes());
        body.resize(72, 0);
        body
    }

    #[test]
    fn the_same_over_netlink() {
        let mut datagram = netlink::message(BY_FAMILY, 5, &socket(1, 3, 4));
        datagram.extend(netlink::message(BY_FAMILY, 5, &socket(LISTEN, 0, 4096)));
        datagram.extend(netlink::message(BY_FAMILY, 5, &[2, 1]));
        let mut sockets = Sockets::default();
        assert_eq!(diag_answer(&datagram, 5, &mut sockets), Ok(false));
        assert_eq!((sockets.in_state(1), sockets.in_state(LISTEN)), (1, 1));
        assert_eq!((sockets.receive, sockets.transmit), (3, 4));
        assert_eq!(diag_answer(&netlink::message(3, 5, &[0; 4]), 5, &mut sockets), Ok(true));
        assert_eq!(diag_answer(&netlink::message(2, 5, &(-2_i32).to_ne_bytes()), 5, &mut sockets), Err(2));
    }

    #[test]
    fn the_request_names_family_protocol_and_states() {
        let request = diag_request(10, 9);
        assert_eq!((request.len(), request[16], request[17]), (72, 10, 6));
        assert_eq!(netlink::u32_at(&request, 20), Some(0xffe));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, sequence: u32) {
            let _ = parse(&bytes, Sockets::default());
            let _ = diag_answer(&bytes, sequence, &mut Sockets::default());
        }
    }
}
