//! Answers of nl80211: wireless devices, the networks that they are in, and the stations at the other end.
//!
//! It is a family of generic netlink, whose number the kernel tells. Layouts are those of `linux/genetlink.h` and
//! `linux/nl80211.h`.

use crate::netlink::{self, Reply, attributes, string, u16_at, u32_at, u64_at};

/// The header that follows netlink's: command, version, and two bytes of nothing.
const HEADER: usize = 4;

/// The request for the families of generic netlink.
pub fn families_request(sequence: u32) -> Vec<u8> {
    const CONTROL: u16 = 16;
    const GET_FAMILY: u8 = 3;
    netlink::dump_request(CONTROL, sequence, &[GET_FAMILY, 2, 0, 0])
}

/// Hands over the number of nl80211, if it is in one datagram of the answer. Gives whether the answer is complete.
///
/// # Errors
/// The kernel's `errno`, when it refuses.
pub fn family_answer(datagram: &[u8], sequence: u32, take: &mut dyn FnMut(u16)) -> Result<bool, i32> {
    const ID: u16 = 1;
    const NAME: u16 = 2;
    answer(datagram, sequence, |_, body| {
        let (mut id, mut is_ours) = (None, false);
        for (kind, value) in attributes(body) {
            match kind {
                ID => id = u16_at(value, 0),
                NAME => is_ours = string(value) == Some("nl80211"),
                _ => {}
            }
        }
        id.filter(|_| is_ours).into_iter().for_each(&mut *take);
    })
}

/// What to ask nl80211 for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// All devices.
    Interfaces,
    /// The stations that a device, by its number, is connected to.
    Stations(u32),
    /// The networks that a device, by its number, has seen.
    Networks(u32),
}

/// The request, for nl80211's number.
pub fn request(family: u16, question: Question, sequence: u32) -> Vec<u8> {
    let (command, device) = match question {
        Question::Interfaces => (5, None),
        Question::Stations(device) => (17, Some(device)),
        Question::Networks(device) => (32, Some(device)),
    };
    let mut body = vec![command, 0, 0, 0];
    if let Some(device) = device {
        body.extend([8, 0, 3, 0]);
        body.extend(device.to_ne_bytes());
    }
    netlink::dump_request(family, sequence, &body)
}

/// One part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A device.
    Interface(Interface),
    /// A station.
    Station(Box<Station>),
    /// The network that a device is in; others are left out.
    Network(Network),
}

/// A wireless device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its number.
    pub index: u32,
    /// Such as `wlan0`.
    pub name: String,
    /// Of its channel, in MHz.
    pub frequency: Option<u32>,
}

/// What the station at the other end has done. What the driver does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Station {
    /// Its hardware address.
    pub address: Vec<u8>,
    /// Since it was connected, in seconds.
    pub connected: Option<u32>,
    /// Since it was last heard of, in milliseconds.
    pub inactive: Option<u32>,
    /// Bytes that came from it.
    pub received_bytes: Option<u64>,
    /// Bytes sent to it.
    pub sent_bytes: Option<u64>,
    /// Packets that came from it.
    pub received_packets: Option<u32>,
    /// Packets sent to it.
    pub sent_packets: Option<u32>,
    /// How strong it is heard, in dBm.
    pub signal: Option<i8>,
    /// Rate at which it is heard, in 100 kbit/s.
    pub receive_rate: Option<u32>,
    /// Rate at which it is sent to, in 100 kbit/s.
    pub send_rate: Option<u32>,
    /// How often something was sent again.
    pub retries: Option<u32>,
    /// How often sending failed.
    pub failed: Option<u32>,
    /// How often its beacon was missed.
    pub beacon_losses: Option<u32>,
}

/// A network that a device is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The hardware address of its access point.
    pub address: Vec<u8>,
    /// Its name; bytes that are no UTF-8 are replaced.
    pub name: String,
    /// `NL80211_BSS_STATUS_*`: 0 authenticated, 1 associated, 2 joined (without an access point).
    pub status: u32,
}

/// Hands over what one datagram of the answer holds. Gives whether the answer is complete.
///
/// # Errors
/// The kernel's `errno`, when it refuses.
pub fn answer_of(datagram: &[u8], sequence: u32, take: &mut dyn FnMut(Found)) -> Result<bool, i32> {
    answer(datagram, sequence, |command, body| {
        let found = match command {
            7 => interface(body).map(Found::Interface),
            19 => station(body).map(|station| Found::Station(Box::new(station))),
            34 => network(body).map(Found::Network),
            _ => None,
        };
        found.into_iter().for_each(&mut *take);
    })
}

fn answer(datagram: &[u8], sequence: u32, mut take: impl FnMut(u8, &[u8])) -> Result<bool, i32> {
    for reply in netlink::replies(datagram, sequence) {
        match reply {
            Reply::Done => return Ok(true),
            Reply::Refused(errno) => return Err(errno),
            Reply::Message { body, .. } => {
                if let (Some(command), Some(attributes)) = (body.first(), body.get(HEADER..)) {
                    take(*command, attributes);
                }
            }
        }
    }
    Ok(false)
}

fn interface(body: &[u8]) -> Option<Interface> {
    let mut interface = Interface::default();
    for (kind, value) in attributes(body) {
        match kind {
            3 => interface.index = u32_at(value, 0)?,
            4 => interface.name = string(value)?.to_owned(),
            38 => interface.frequency = u32_at(value, 0),
            _ => {}
        }
    }
    // Some that are no network devices have no name.
    (!interface.name.is_empty()).then_some(interface)
}

fn station(body: &[u8]) -> Option<Station> {
    let mut station = Station::default();
    for (kind, value) in attributes(body) {
        match kind {
            6 => station.address = value.to_vec(),
            21 => station.take(value),
            _ => {}
        }
    }
    (!station.address.is_empty()).then_some(station)
}

impl Station {
    fn take(&mut self, nested: &[u8]) {
        let (mut received, mut sent) = (None, None);
        for (kind, value) in attributes(nested) {
            let number = || u32_at(value, 0);
            match kind {
                1 => self.inactive = number(),
                2 => received = number(),
                3 => sent = number(),
                7 => self.signal = value.first().map(|byte| byte.cast_signed()),
                8 => self.send_rate = rate(value),
                9 => self.received_packets = number(),
                10 => self.sent_packets = number(),
                11 => self.retries = number(),
                12 => self.failed = number(),
                14 => self.receive_rate = rate(value),
                16 => self.connected = number(),
                18 => self.beacon_losses = number(),
                23 => self.received_bytes = u64_at(value, 0),
                24 => self.sent_bytes = u64_at(value, 0),
                _ => {}
            }
        }
        // Older drivers have 32 bits alone.
        self.received_bytes = self.received_bytes.or(received.map(u64::from));
        self.sent_bytes = self.sent_bytes.or(sent.map(u64::from));
    }
}

/// A rate in 100 kbit/s: the first attribute has 16 bits, the fifth 32.
fn rate(nested: &[u8]) -> Option<u32> {
    let (mut short, mut long) = (None, None);
    for (kind, value) in attributes(nested) {
        match kind {
            1 => short = u16_at(value, 0).map(u32::from),
            5 => long = u32_at(value, 0),
            _ => {}
        }
    }
    long.or(short)
}

fn network(body: &[u8]) -> Option<Network> {
    let (_, nested) = attributes(body).find(|(kind, _)| *kind == 47)?;
    let (mut network, mut status) = (Network::default(), None);
    for (kind, value) in attributes(nested) {
        match kind {
            1 => network.address = value.to_vec(),
            6 => network.name = network_name(value).unwrap_or_default(),
            9 => status = u32_at(value, 0),
            _ => {}
        }
    }
    // One that the device is not in has no status.
    network.status = status?;
    Some(network)
}

/// The first of a beacon's elements, each of which is a number, a length, and so many bytes.
fn network_name(mut elements: &[u8]) -> Option<String> {
    const NAME: u8 = 0;
    loop {
        let (kind, length) = (*elements.first()?, usize::from(*elements.get(1)?));
        let value = elements.get(2..2 + length)?;
        if kind == NAME {
            return Some(String::from_utf8_lossy(value).into_owned());
        }
        elements = elements.get(2 + length..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::{attribute, message};

    fn body(command: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = vec![command, 1, 0, 0];
        body.extend(attributes.iter().flat_map(|(kind, value)| attribute(*kind, value)));
        body
    }

    fn nested(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        attributes.iter().flat_map(|(kind, value)| attribute(*kind, value)).collect()
    }

    #[track_caller]
    fn found(command: u8, attributes: &[(u16, &[u8])]) -> Vec<Found> {
        let mut found = Vec::new();
        let datagram = message(28, 9, &body(command, attributes));
        assert_eq!(answer_of(&datagram, 9, &mut |item| found.push(item)), Ok(false));
        found
    }

    #[test]
    fn the_number_of_the_family() {
        let mut ids = Vec::new();
        let other = message(16, 9, &body(1, &[(1, &16_u16.to_ne_bytes()), (2, b"nlctrl\0")]));
        let ours = message(16, 9, &body(1, &[(2, b"nl80211\0"), (1, &28_u16.to_ne_bytes())]));
        let datagram = [other, ours, message(3, 9, &[0; 4])].concat();
        assert_eq!(family_answer(&datagram, 9, &mut |id| ids.push(id)), Ok(true));
        assert_eq!(ids, [28]);
        assert_eq!(family_answer(&message(2, 9, &(-1_i32).to_ne_bytes()), 9, &mut |_| {}), Err(1));
    }

    #[test]
    fn devices_with_a_name() {
        let index = 4_u32.to_ne_bytes();
        let named: &[(u16, &[u8])] = &[(3, &index), (4, b"wlan0\0"), (38, &2412_u32.to_ne_bytes())];
        let want = Interface { index: 4, name: "wlan0".to_owned(), frequency: Some(2412) };
        assert_eq!(found(7, named), [Found::Interface(want)]);
        assert_eq!(found(7, &[(3, &index)]), []);
        assert_eq!(found(8, named), []);
    }

    #[test]
    fn stations_of_new_and_old_drivers() {
        let rate = nested(&[(1, &540_u16.to_ne_bytes()), (5, &8667_u32.to_ne_bytes())]);
        let old_rate = nested(&[(1, &540_u16.to_ne_bytes())]);
        let new = nested(&[
            (1, &40_u32.to_ne_bytes()),
            (2, &7_u32.to_ne_bytes()),
            (23, &(1_u64 << 33).to_ne_bytes()),
            (7, &[(-52_i8).cast_unsigned()]),
            (8, &rate),
            (14, &old_rate),
            (16, &3600_u32.to_ne_bytes()),
        ]);
        let old = nested(&[(2, &7_u32.to_ne_bytes()), (3, &8_u32.to_ne_bytes())]);
        let address = [2, 0, 0, 0, 0, 1];
        let of = |nested: &[u8]| match found(19, &[(6, &address), (21, nested)]).remove(0) {
            Found::Station(station) => *station,
            other => panic!("{other:?}"),
        };
        let station = of(&new);
        assert_eq!((station.inactive, station.connected, station.signal), (Some(40), Some(3600), Some(-52)));
        assert_eq!((station.send_rate, station.receive_rate), (Some(8667), Some(540)));
        assert_eq!((station.received_bytes, station.sent_bytes, station.retries), (Some(1 << 33), None, None));
        let station = of(&old);
        assert_eq!((station.received_bytes, station.sent_bytes), (Some(7), Some(8)));
        assert_eq!(found(19, &[(21, &new)]), []);
    }

    #[test]
    fn the_network_that_the_device_is_in() {
        let elements = [1, 2, 0x82, 0x84, 0, 4, b'h', b'o', b'm', b'e', 3, 1, 6];
        let in_it = nested(&[(1, &[2, 0, 0, 0, 0, 1]), (6, &elements), (9, &1_u32.to_ne_bytes())]);
        let want = Network { address: vec![2, 0, 0, 0, 0, 1], name: "home".to_owned(), status: 1 };
        assert_eq!(found(34, &[(47, &in_it)]), [Found::Network(want)]);
        let seen = nested(&[(1, &[2, 0, 0, 0, 0, 2]), (6, &elements)]);
        assert_eq!(found(34, &[(47, &seen)]), []);
        assert_eq!(network_name(&[0, 9, b'x']), None);
        assert_eq!(network_name(&[]), None);
    }

    #[test]
    fn requests_name_the_device() {
        let request = request(28, Question::Stations(7), 5);
        assert_eq!((request.len(), u16_at(&request, 4), request[16]), (28, Some(28), 17));
        assert_eq!((u16_at(&request, 20), u16_at(&request, 22), u32_at(&request, 24)), (Some(8), Some(3), Some(7)));
        assert_eq!(super::request(28, Question::Interfaces, 5).len(), 20);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, sequence: u32) {
            let _ = answer_of(&bytes, sequence, &mut |_| {});
            let _ = family_answer(&bytes, sequence, &mut |_| {});
        }

        #[test]
        fn never_panics_inside_a_message(attributes: Vec<u8>, command in 0_u8..40) {
            let mut body = vec![command, 0, 0, 0];
            body.extend(attributes);
            let _ = answer_of(&message(28, 9, &body), 9, &mut |_| {});
        }
    }
}
