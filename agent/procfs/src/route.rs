//! The routing tables, as rtnetlink gives them (`RTM_NEWROUTE`). Layouts are those of `linux/rtnetlink.h`.

use std::net::IpAddr;

use crate::netlink::{self, Reply, attributes, u16_at, u32_at};
use crate::rtnetlink::ip;

const NEW_ROUTE: u16 = 24;
const GET_ROUTE: u16 = 26;

/// A route that leads somewhere (`RTN_UNICAST`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to: a network and the bits of its prefix; `None` is everywhere.
    pub destination: Option<(IpAddr, u8)>,
    /// The address that packets are sent from.
    pub source: Option<IpAddr>,
    /// Lower ones are used first.
    pub priority: u32,
    /// `RTPROT_*`: who made it.
    pub protocol: u8,
    /// The ways, more than one where packets are spread.
    pub hops: Vec<Hop>,
}

/// A way that packets can take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hop {
    /// Number of the device that they leave by.
    pub device: u32,
    /// The router that they are sent to.
    pub gateway: Option<IpAddr>,
    /// How many of the packets go here, beside the other ways; `None` where there is no other.
    pub weight: Option<u32>,
}

/// The request for all routes of all address families: a `struct rtmsg` of zeros.
pub fn request(sequence: u32) -> Vec<u8> {
    netlink::dump_request(GET_ROUTE, sequence, &[0; 12])
}

/// Hands over the routes of one datagram of the answer. Gives whether the answer is complete.
///
/// # Errors
/// The kernel's `errno`, when it refuses.
pub fn answer(datagram: &[u8], sequence: u32, mut take: impl FnMut(Route)) -> Result<bool, i32> {
    for reply in netlink::replies(datagram, sequence) {
        match reply {
            Reply::Done => return Ok(true),
            Reply::Refused(errno) => return Err(errno),
            Reply::Message { kind: NEW_ROUTE, body } => drop(route(body).map(&mut take)),
            Reply::Message { .. } => {}
        }
    }
    Ok(false)
}

fn route(body: &[u8]) -> Option<Route> {
    const UNICAST: u8 = 1;
    let (prefix, protocol, kind) = (*body.get(1)?, *body.get(5)?, *body.get(7)?);
    let (mut network, mut source, mut priority) = (None, None, 0);
    let (mut only, mut several) = (Hop::default(), Vec::new());
    for (kind, value) in attributes(body.get(12..)?) {
        match kind {
            1 => network = ip(value),
            4 => only.device = u32_at(value, 0)?,
            5 => only.gateway = ip(value),
            6 => priority = u32_at(value, 0)?,
            7 => source = ip(value),
            9 => several = hops(value),
            18 => only.gateway = via(value),
            _ => {}
        }
    }
    let destination = network.filter(|_| prefix > 0).map(|network| (network, prefix));
    let hops = if several.is_empty() { vec![only] } else { several };
    (kind == UNICAST).then_some(Route { destination, source, priority, protocol, hops })
}

/// A list of `struct rtnexthop`, each with attributes of its own.
fn hops(mut rest: &[u8]) -> Vec<Hop> {
    let mut hops = Vec::new();
    while let Some((hop, after)) = hop(rest) {
        hops.push(hop);
        rest = after;
    }
    hops
}

fn hop(rest: &[u8]) -> Option<(Hop, &[u8])> {
    let length = usize::from(u16_at(rest, 0)?);
    let this = rest.get(..length)?;
    let mut hop = Hop { device: u32_at(this, 4)?, gateway: None, weight: Some(u32::from(*this.get(3)?) + 1) };
    for (kind, value) in attributes(this.get(8..)?) {
        match kind {
            5 => hop.gateway = ip(value),
            18 => hop.gateway = via(value),
            _ => {}
        }
    }
    Some((hop, rest.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

/// `struct rtvia`: a router of the other address family.
fn via(value: &[u8]) -> Option<IpAddr> {
    ip(value.get(2..)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::{attribute, message};

    fn body(prefix: u8, kind: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = vec![2, prefix, 0, 0, 254, 3, 0, kind, 0, 0, 0, 0];
        body.extend(attributes.iter().flat_map(|(kind, value)| attribute(*kind, value)));
        body
    }

    #[track_caller]
    fn check(body: &[u8], want: Option<Route>) {
        let mut got = Vec::new();
        assert_eq!(answer(&message(NEW_ROUTE, 9, body), 9, |route| got.push(route)), Ok(false));
        assert_eq!(got, want.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn one_way() {
        let device = 2_u32.to_ne_bytes();
        let attributes: [(u16, &[u8]); 5] =
            [(1, &[10, 1, 0, 0]), (4, &device), (5, &[10, 0, 0, 1]), (6, &100_u32.to_ne_bytes()), (7, &[10, 0, 0, 7])];
        let hop = Hop { device: 2, gateway: "10.0.0.1".parse().ok(), weight: None };
        let destination = Some(("10.1.0.0".parse().unwrap(), 16));
        let source = "10.0.0.7".parse().ok();
        check(
            &body(16, 1, &attributes),
            Some(Route { destination, source, priority: 100, protocol: 3, hops: vec![hop] }),
        );
        check(&body(16, 2, &attributes), None);
    }

    #[test]
    fn everywhere_by_two_ways() {
        let hop = |device: u32, hops: u8, via: &[u8]| {
            let attributes = if via.len() == 4 { attribute(5, via) } else { attribute(18, via) };
            let length = u16::try_from(attributes.len() + 8).unwrap();
            [length.to_ne_bytes().as_slice(), &[0, hops], &device.to_ne_bytes(), &attributes].concat()
        };
        let mut other_family = vec![10, 0];
        other_family.extend(std::net::Ipv6Addr::LOCALHOST.octets());
        let both = [hop(2, 0, &[10, 0, 0, 1]), hop(3, 4, &other_family)].concat();
        let want = [
            Hop { device: 2, gateway: "10.0.0.1".parse().ok(), weight: Some(1) },
            Hop { device: 3, gateway: "::1".parse().ok(), weight: Some(5) },
        ];
        let want = Route { destination: None, source: None, priority: 0, protocol: 3, hops: want.to_vec() };
        check(&body(0, 1, &[(9, &both)]), Some(want));
    }

    #[test]
    fn the_end_and_refusals() {
        assert_eq!(answer(&message(3, 9, &[0; 4]), 9, drop), Ok(true));
        assert_eq!(answer(&message(2, 9, &(-1_i32).to_ne_bytes()), 9, drop), Err(1));
        assert_eq!(answer(&message(NEW_ROUTE, 9, &[2, 0]), 9, drop), Ok(false));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = answer(&bytes, 0, drop);
            let _ = answer(&message(NEW_ROUTE, 0, &bytes), 0, drop);
            let _ = hops(&bytes);
        }
    }
}
