//! Answers of rtnetlink: network devices with their counters (`RTM_NEWLINK`), addresses (`RTM_NEWADDR`) and
//! neighbours (`RTM_NEWNEIGH`).
//!
//! One dump gives for all devices what `/proc/net/dev` and thousands of files below `/sys/class/net` give. Layouts
//! are those of `linux/netlink.h`, `linux/rtnetlink.h`, `linux/if_link.h`, `linux/if_addr.h` and `linux/neighbour.h`.

use std::net::IpAddr;

use crate::netlink::{self, Reply, attributes, u16_at, u32_at};

/// `RTM_GETLINK`.
pub const GET_LINK: u16 = 18;
/// `RTM_GETADDR`.
pub const GET_ADDRESS: u16 = 22;
/// `RTM_GETNEIGH`; IPv4 only.
pub const GET_NEIGHBOUR: u16 = 30;
const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_NEIGHBOUR: u16 = 28;

/// The counters of a device, in the order of the kernel's `struct rtnl_link_stats64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
#[expect(missing_docs, reason = "the names are the kernel's, and say it")]
pub enum Counter {
    RxPackets,
    TxPackets,
    RxBytes,
    TxBytes,
    RxErrors,
    TxErrors,
    RxDropped,
    TxDropped,
    Multicast,
    Collisions,
    RxLengthErrors,
    RxOverErrors,
    RxCrcErrors,
    RxFrameErrors,
    RxFifoErrors,
    RxMissedErrors,
    TxAbortedErrors,
    TxCarrierErrors,
    TxFifoErrors,
    TxHeartbeatErrors,
    TxWindowErrors,
    RxCompressed,
    TxCompressed,
    RxNohandler,
}

/// How many counters there are in [`Counter`].
pub const COUNTERS: usize = 24;

/// A device. What the kernel did not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// `ARPHRD_*`: what kind of hardware address it has.
    pub kind: u16,
    /// `IFF_*`.
    pub flags: u32,
    /// Such as `eth0`.
    pub name: String,
    /// What the administrator calls it.
    pub alias: Option<String>,
    /// Hardware address.
    pub address: Option<Vec<u8>>,
    /// Hardware address for everyone.
    pub broadcast: Option<Vec<u8>>,
    /// Largest packet, in bytes.
    pub mtu: Option<u32>,
    /// Number of the device below this one.
    pub below: Option<u32>,
    /// Length of the queue of packets to send.
    pub queue_length: Option<u32>,
    /// `IF_OPER_*`, RFC 2863.
    pub operational_state: Option<u8>,
    /// 0 default, 1 dormant.
    pub link_mode: Option<u8>,
    /// Group number.
    pub group: Option<u32>,
    /// Whether there is a carrier.
    pub carrier: Option<bool>,
    /// How often the carrier came or went.
    pub carrier_changes: Option<u32>,
    /// How often it came.
    pub carrier_up: Option<u32>,
    /// How often it went.
    pub carrier_down: Option<u32>,
    /// Whether the kernel keeps it down for the sake of a protocol.
    pub proto_down: Option<bool>,
    /// How many want it to take all packets.
    pub promiscuity: Option<u32>,
    /// How many want it to take all multicast packets; since 6.0.
    pub all_multicast: Option<u32>,
    /// Other names by which it can be addressed.
    pub alternative_names: Vec<String>,
    /// Whether it is one end of a pair of virtual devices (`veth`), as containers have.
    pub is_veth: bool,
    counters: [u64; COUNTERS],
    given: usize,
}

/// `IFF_UP`.
pub const UP: u32 = 1;
/// `IFF_DORMANT`.
pub const DORMANT: u32 = 1 << 17;

impl Link {
    /// The flags as the device has them, which is how `/sys/class/net/NAME/flags` shows them: [`flags`](Self::flags)
    /// has its state besides, and of promiscuity only what the administrator asked for. `None` where this kernel does
    /// not say enough.
    pub fn device_flags(&self) -> Option<u32> {
        const PROMISCUOUS: u32 = 1 << 8;
        const ALL_MULTICAST: u32 = 1 << 9;
        const RUNNING: u32 = 1 << 6;
        const LOWER_UP: u32 = 1 << 16;
        let own = self.flags & !(PROMISCUOUS | ALL_MULTICAST | RUNNING | LOWER_UP | DORMANT);
        let set = |count: Option<u32>, flag| count.map(|count| if count > 0 { flag } else { 0 });
        Some(own | set(self.promiscuity, PROMISCUOUS)? | set(self.all_multicast, ALL_MULTICAST)?)
    }

    /// A counter; `None` where this kernel does not have it.
    pub fn counter(&self, counter: Counter) -> Option<u64> {
        self.counters.get(..self.given)?.get(counter as usize).copied()
    }
}

/// An address of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Number of the device.
    pub index: u32,
    /// The address at this end.
    pub address: IpAddr,
    /// Length of the network's prefix in bits.
    pub prefix: u8,
}

/// A neighbour: another machine on a device's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Number of the device.
    pub index: u32,
    /// `NUD_*`.
    pub state: u16,
}

/// `NUD_NOARP`: the state of an entry that needs no ARP, such as that of a multicast address. `/proc/net/arp` leaves
/// them out.
pub const NO_ARP: u16 = 0x40;

/// One message of a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A device.
    Link(Box<Link>),
    /// An address.
    Address(Address),
    /// A neighbour.
    Neighbour(Neighbour),
    /// The dump is complete.
    Done,
    /// The kernel refuses, with this `errno`.
    Refused(i32),
    /// Something else, or something malformed.
    Other,
}

/// The request for a dump: a header, and a `struct ifinfomsg` or `struct ifaddrmsg` of zeros (all families), or a
/// `struct ndmsg` of the family of IPv4. Devices are asked for without what IPv6 counts on each: the kernel would add it
/// up over all CPUs.
pub fn dump_request(kind: u16, sequence: u32) -> Vec<u8> {
    const IPV4: u8 = 2;
    const EXT_MASK: u16 = 29;
    const SKIP_STATS: u32 = 1 << 3;
    let mut body = vec![if kind == GET_NEIGHBOUR { IPV4 } else { 0 }];
    body.resize(16, 0);
    if kind == GET_LINK {
        body.extend(8_u16.to_ne_bytes());
        body.extend(EXT_MASK.to_ne_bytes());
        body.extend(SKIP_STATS.to_ne_bytes());
    }
    netlink::dump_request(kind, sequence, &body)
}

/// The messages of one datagram that answer the request with this sequence number; others are left out.
pub fn messages(datagram: &[u8], sequence: u32) -> impl Iterator<Item = Message> {
    netlink::replies(datagram, sequence).map(|reply| match reply {
        Reply::Message { kind: NEW_LINK, body } => {
            link(body).map_or(Message::Other, |link| Message::Link(Box::new(link)))
        }
        Reply::Message { kind: NEW_ADDRESS, body } => address(body).map_or(Message::Other, Message::Address),
        Reply::Message { kind: NEW_NEIGHBOUR, body } => neighbour(body).map_or(Message::Other, Message::Neighbour),
        Reply::Message { .. } => Message::Other,
        Reply::Done => Message::Done,
        Reply::Refused(errno) => Message::Refused(errno),
    })
}

fn link(body: &[u8]) -> Option<Link> {
    let mut link = Link { kind: u16_at(body, 2)?, index: u32_at(body, 4)?, flags: u32_at(body, 8)?, ..Link::default() };
    for (kind, value) in attributes(body.get(16..)?) {
        let byte = value.first().copied();
        match kind {
            1 => link.address = Some(value.to_vec()),
            2 => link.broadcast = Some(value.to_vec()),
            3 => link.name = string(value)?,
            4 => link.mtu = u32_at(value, 0),
            5 => link.below = u32_at(value, 0),
            13 => link.queue_length = u32_at(value, 0),
            16 => link.operational_state = byte,
            17 => link.link_mode = byte,
            18 => link.is_veth = attributes(value).any(|(kind, name)| kind == 1 && string_is(name, "veth")),
            20 => link.alias = string(value),
            23 => link.take_counters(value),
            27 => link.group = u32_at(value, 0),
            30 => link.promiscuity = u32_at(value, 0),
            33 => link.carrier = byte.map(|b| b != 0),
            35 => link.carrier_changes = u32_at(value, 0),
            39 => link.proto_down = byte.map(|b| b != 0),
            47 => link.carrier_up = u32_at(value, 0),
            48 => link.carrier_down = u32_at(value, 0),
            52 => link.alternative_names = attributes(value).filter_map(|(_, name)| string(name)).collect(),
            61 => link.all_multicast = u32_at(value, 0),
            _ => {}
        }
    }
    (!link.name.is_empty()).then_some(link)
}

impl Link {
    fn take_counters(&mut self, value: &[u8]) {
        let (numbers, _) = value.as_chunks::<8>();
        self.given = 0;
        for (slot, number) in self.counters.iter_mut().zip(numbers) {
            *slot = u64::from_ne_bytes(*number);
            self.given += 1;
        }
    }
}

fn address(body: &[u8]) -> Option<Address> {
    const ADDRESS: u16 = 1;
    const LOCAL: u16 = 2;
    let (prefix, index) = (*body.get(1)?, u32_at(body, 4)?);
    let (mut own, mut peer) = (None, None);
    for (kind, value) in attributes(body.get(8..)?) {
        match kind {
            // On a point-to-point link ADDRESS is the other end, and LOCAL is this one.
            LOCAL => own = ip(value),
            ADDRESS => peer = ip(value),
            _ => {}
        }
    }
    Some(Address { index, address: own.or(peer)?, prefix })
}

fn neighbour(body: &[u8]) -> Option<Neighbour> {
    Some(Neighbour { index: u32_at(body, 4)?, state: u16_at(body, 8)? })
}

fn string_is(value: &[u8], want: &str) -> bool {
    netlink::string(value) == Some(want)
}

fn string(value: &[u8]) -> Option<String> {
    netlink::string(value).map(str::to_owned)
}

pub(crate) fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => <[u8; 4]>::try_from(value).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(value).ok().map(IpAddr::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::{attribute, message};

    fn link_body(name: &str, counters: usize) -> Vec<u8> {
        let mut body = vec![0, 0, 1, 0];
        body.extend(7_u32.to_ne_bytes());
        body.extend(0x1043_u32.to_ne_bytes());
        body.extend([0; 4]);
        body.extend(attribute(3, format!("{name}\0").as_bytes()));
        body.extend(attribute(4, &1500_u32.to_ne_bytes()));
        body.extend(attribute(33, &[1]));
        body.extend(attribute(20, b"uplink\0"));
        let numbers: Vec<u8> = (1..=counters as u64).flat_map(u64::to_ne_bytes).collect();
        body.extend(attribute(23, &numbers));
        body
    }

    #[track_caller]
    fn one(datagram: &[u8]) -> Message {
        let all: Vec<_> = messages(datagram, 9).collect();
        assert_eq!(all.len(), 1, "{all:?}");
        all.into_iter().next().unwrap()
    }

    #[test]
    fn a_link_with_its_counters() {
        let Message::Link(link) = one(&message(NEW_LINK, 9, &link_body("eth0", 25))) else { panic!("no link") };
        assert_eq!((link.name.as_str(), link.index, link.mtu), ("eth0", 7, Some(1500)));
        assert_eq!((link.carrier, link.alias.as_deref(), link.group), (Some(true), Some("uplink"), None));
        assert_eq!(link.counter(Counter::RxPackets), Some(1));
        assert_eq!(link.counter(Counter::RxNohandler), Some(24));
    }

    #[test]
    fn counters_of_older_kernels_are_absent() {
        let Message::Link(link) = one(&message(NEW_LINK, 9, &link_body("eth0", 23))) else { panic!("no link") };
        assert_eq!((link.counter(Counter::TxCompressed), link.counter(Counter::RxNohandler)), (Some(23), None));
    }

    #[test]
    fn addresses_at_this_end() {
        #[track_caller]
        fn check(attributes: &[(u16, &[u8])], want: &str) {
            let mut body = vec![2, 24, 0, 0];
            body.extend(3_u32.to_ne_bytes());
            body.extend(attributes.iter().flat_map(|(kind, value)| attribute(*kind, value)));
            let want = Address { index: 3, address: want.parse().unwrap(), prefix: 24 };
            assert_eq!(one(&message(NEW_ADDRESS, 9, &body)), Message::Address(want));
        }
        check(&[(1, &[10, 0, 0, 2]), (2, &[10, 0, 0, 1])], "10.0.0.1");
        check(&[(1, &[10, 0, 0, 2])], "10.0.0.2");
        check(&[(1, &std::net::Ipv6Addr::LOCALHOST.octets())], "::1");
    }

    #[test]
    fn flags_as_the_device_has_them() {
        #[track_caller]
        fn check(counts: &[(u16, u32)], want: Option<u32>) {
            let mut body = link_body("eth0", 1);
            counts.iter().for_each(|(kind, count)| body.extend(attribute(*kind, &count.to_ne_bytes())));
            let Message::Link(link) = one(&message(NEW_LINK, 9, &body)) else { panic!("no link") };
            assert_eq!(link.device_flags(), want);
        }
        check(&[], None);
        check(&[(30, 0)], None);
        check(&[(30, 0), (61, 0)], Some(0x1003));
        check(&[(30, 2), (61, 1)], Some(0x1303));
    }

    #[test]
    fn alternative_names() {
        let mut body = link_body("eth0", 1);
        let names = [attribute(53, b"enp1s0\0"), attribute(53, b"uplink\0")].concat();
        body.extend(attribute(52 | 0x8000, &names));
        let Message::Link(link) = one(&message(NEW_LINK, 9, &body)) else { panic!("no link") };
        assert_eq!(link.alternative_names, ["enp1s0", "uplink"]);
    }

    #[test]
    fn one_end_of_a_pair() {
        #[track_caller]
        fn check(kind: &[u8], want: bool) {
            let mut body = link_body("eth0", 1);
            body.extend(attribute(18, &[attribute(2, b"x"), attribute(1, kind)].concat()));
            let Message::Link(link) = one(&message(NEW_LINK, 9, &body)) else { panic!("no link") };
            assert_eq!(link.is_veth, want);
        }
        check(b"veth\0", true);
        check(b"vlan\0", false);
        check(b"", false);
    }

    #[test]
    fn a_neighbour() {
        let mut body = vec![2, 0, 0, 0];
        body.extend(3_u32.to_ne_bytes());
        body.extend(NO_ARP.to_ne_bytes());
        assert_eq!(one(&message(NEW_NEIGHBOUR, 9, &body)), Message::Neighbour(Neighbour { index: 3, state: NO_ARP }));
        assert_eq!(one(&message(NEW_NEIGHBOUR, 9, &body[..8])), Message::Other);
    }

    #[test]
    fn the_end_and_refusals() {
        assert_eq!(one(&message(3, 9, &[0; 4])), Message::Done);
        assert_eq!(one(&message(2, 9, &(-1_i32).to_ne_bytes())), Message::Refused(1));
        assert_eq!(one(&message(99, 9, &[])), Message::Other);
    }

    #[test]
    fn torn_messages_are_left_out() {
        assert_eq!(one(&message(NEW_LINK, 9, &[0; 16])), Message::Other);
        assert_eq!(one(&message(NEW_LINK, 9, &[0; 3])), Message::Other);
    }

    #[test]
    fn the_request_asks_for_a_dump() {
        let request = dump_request(GET_LINK, 5);
        assert_eq!((u32_at(&request, 0), u16_at(&request, 4), u16_at(&request, 6)), (Some(40), Some(18), Some(0x301)));
        assert_eq!((u16_at(&request, 32), u16_at(&request, 34), u32_at(&request, 36)), (Some(8), Some(29), Some(8)));
        assert_eq!(u32_at(&dump_request(GET_ADDRESS, 5), 0), Some(32));
        assert_eq!((u32_at(&request, 8), request[16]), (Some(5), 0));
        assert_eq!(dump_request(GET_NEIGHBOUR, 5)[16], 2);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, sequence: u32) {
            messages(&bytes, sequence).count();
        }

        #[test]
        fn never_panics_inside_a_message(body: Vec<u8>, kind in 0_u16..32) {
            messages(&message(kind, 9, &body), 9).count();
        }
    }
}
