//! Queueing disciplines, as rtnetlink gives them (`RTM_NEWQDISC`). Layouts are those of `linux/rtnetlink.h` and
//! `linux/gen_stats.h`.

use crate::netlink::{self, Reply, attributes, string, u32_at, u64_at};

const NEW_QDISC: u16 = 36;
const GET_QDISC: u16 = 38;

/// A queueing discipline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Qdisc {
    /// Number of the device.
    pub device: u32,
    /// Such as `fq_codel` or `pfifo_fast`.
    pub kind: String,
    /// Whether it is the device's first one, and not a part of another.
    pub is_root: bool,
    /// Bytes and packets sent.
    pub sent: Option<(u64, u64)>,
    /// What happened in the queue.
    pub queue: Option<Queue>,
}

/// `struct gnet_stats_queue`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// Packets in the queue.
    pub length: u32,
    /// Bytes in the queue.
    pub backlog: u32,
    /// Packets dropped.
    pub drops: u32,
    /// How often packets were put back.
    pub requeues: u32,
    /// How often the limit was exceeded.
    pub overlimits: u32,
}

/// The request for the queueing disciplines of all devices: a `struct tcmsg` of zeros.
pub fn request(sequence: u32) -> Vec<u8> {
    netlink::dump_request(GET_QDISC, sequence, &[0; 20])
}

/// Hands over the queueing disciplines of one datagram of the answer. Gives whether the answer is complete.
///
/// # Errors
/// The kernel's `errno`, when it refuses.
pub fn answer(datagram: &[u8], sequence: u32, mut take: impl FnMut(Qdisc)) -> Result<bool, i32> {
    for reply in netlink::replies(datagram, sequence) {
        match reply {
            Reply::Done => return Ok(true),
            Reply::Refused(errno) => return Err(errno),
            Reply::Message { kind: NEW_QDISC, body } => drop(qdisc(body).map(&mut take)),
            Reply::Message { .. } => {}
        }
    }
    Ok(false)
}

fn qdisc(body: &[u8]) -> Option<Qdisc> {
    const ROOT: u32 = 0xffff_ffff;
    let (device, parent) = (u32_at(body, 4)?, u32_at(body, 12)?);
    let mut qdisc = Qdisc { device, is_root: parent == ROOT, ..Qdisc::default() };
    for (kind, value) in attributes(body.get(20..)?) {
        match kind {
            1 => qdisc.kind = string(value)?.to_owned(),
            7 => qdisc.take_statistics(value),
            _ => {}
        }
    }
    Some(qdisc)
}

impl Qdisc {
    /// `TCA_STATS2`
    fn take_statistics(&mut self, value: &[u8]) {
        let mut packets_in_full = None;
        for (kind, value) in attributes(value) {
            match kind {
                1 => self.sent = u64_at(value, 0).zip(u32_at(value, 8).map(u64::from)),
                3 => self.queue = queue(value),
                8 => packets_in_full = u64_at(value, 0),
                _ => {}
            }
        }
        // The first count of packets has 32 bits; kernels since 5.5 add another one.
        if let (Some((_, packets)), Some(in_full)) = (&mut self.sent, packets_in_full) {
            *packets = in_full;
        }
    }
}

fn queue(value: &[u8]) -> Option<Queue> {
    Some(Queue {
        length: u32_at(value, 0)?,
        backlog: u32_at(value, 4)?,
        drops: u32_at(value, 8)?,
        requeues: u32_at(value, 12)?,
        overlimits: u32_at(value, 16)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::{attribute, message};

    fn body(parent: u32, statistics: &[u8]) -> Vec<u8> {
        let mut body = vec![0; 4];
        body.extend(3_u32.to_ne_bytes());
        body.extend(0x8001_0000_u32.to_ne_bytes());
        body.extend(parent.to_ne_bytes());
        body.extend([0; 4]);
        body.extend(attribute(1, b"fq_codel\0"));
        body.extend(attribute(7, statistics));
        body
    }

    #[track_caller]
    fn one(body: &[u8]) -> Qdisc {
        let mut got = Vec::new();
        assert_eq!(answer(&message(NEW_QDISC, 9, body), 9, |qdisc| got.push(qdisc)), Ok(false));
        got.remove(0)
    }

    #[test]
    fn with_its_numbers() {
        let basic = [7_u64.to_ne_bytes().as_slice(), &8_u32.to_ne_bytes()].concat();
        let queue: Vec<u8> = (1..=5_u32).flat_map(u32::to_ne_bytes).collect();
        let mut statistics = [attribute(1, &basic), attribute(3, &queue)].concat();
        let want = Qdisc {
            device: 3,
            kind: "fq_codel".to_owned(),
            is_root: true,
            sent: Some((7, 8)),
            queue: Some(Queue { length: 1, backlog: 2, drops: 3, requeues: 4, overlimits: 5 }),
        };
        assert_eq!(one(&body(u32::MAX, &statistics)), want);
        statistics.extend(attribute(8, &(1_u64 << 40).to_ne_bytes()));
        assert_eq!(one(&body(u32::MAX, &statistics)).sent, Some((7, 1 << 40)));
    }

    #[test]
    fn what_the_kernel_does_not_say_is_absent() {
        let got = one(&body(0x8001_0001, &[]));
        assert_eq!((got.is_root, got.sent, got.queue), (false, None, None));
    }

    #[test]
    fn the_end_and_refusals() {
        assert_eq!(answer(&message(3, 9, &[0; 4]), 9, drop), Ok(true));
        assert_eq!(answer(&message(2, 9, &(-1_i32).to_ne_bytes()), 9, drop), Err(1));
        assert_eq!(answer(&message(NEW_QDISC, 9, &[0; 10]), 9, drop), Ok(false));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = answer(&bytes, 0, drop);
            let _ = answer(&message(NEW_QDISC, 0, &body(0, &bytes)), 0, drop);
        }
    }
}
