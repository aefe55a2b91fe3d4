//! Wireless devices, the networks they are in and the stations they are connected to, from nl80211.

use agent_exposition::{Kind, Page};
use agent_procfs::nl80211::{self, Found, Interface, Network, Question, Station};

use crate::netclass_columns::hardware_address;
use crate::netlink::Netlink;
use crate::{CollectError, Collector, Outcome, Scrape, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "wifi",
    help: "Wireless devices, their networks and stations.",
    default_on: false,
    flags: &[],
    build: |_| Ok(Box::new(Wifi { netlink: Netlink::generic(), scrape: None })),
};

struct Wifi {
    netlink: Netlink,
    scrape: Option<Scrape>,
}

impl Collector for Wifi {
    fn begin(&mut self, scrape: Scrape) {
        self.scrape = Some(scrape);
    }

    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let scrape = self.scrape.unwrap_or_else(Scrape::untold);
        let mut family = None;
        self.netlink.ask(nl80211::families_request, scrape.deadline, |datagram, sequence| {
            nl80211::family_answer(datagram, sequence, &mut |number| family = Some(number))
        })?;
        // The kernel has no wireless devices, and may have them later.
        let Some(family) = family else { return Ok(Outcome::Nothing) };
        let mut interfaces = self.ask(family, Question::Interfaces, scrape)?;
        interfaces.sort_unstable_by(|a, b| name(a).cmp(name(b)));
        for found in &interfaces {
            let Found::Interface(interface) = found else { continue };
            add_interface(page, interface);
            // A device of another kind, or one that is down or has just gone, has neither.
            for question in [Question::Networks(interface.index), Question::Stations(interface.index)] {
                for found in self.ask(family, question, scrape).unwrap_or_default() {
                    match found {
                        Found::Network(network) => add_network(page, &interface.name, &network),
                        Found::Station(station) => add_station(page, &interface.name, &station),
                        Found::Interface(_) => {}
                    }
                }
            }
        }
        Ok(if interfaces.is_empty() { Outcome::Nothing } else { Outcome::Collected })
    }
}

impl Wifi {
    fn ask(&mut self, family: u16, question: Question, scrape: Scrape) -> Result<Vec<Found>, CollectError> {
        let mut all = Vec::new();
        self.netlink.ask(
            |sequence| nl80211::request(family, question, sequence),
            scrape.deadline,
            |datagram, sequence| nl80211::answer_of(datagram, sequence, &mut |found| all.push(found)),
        )?;
        Ok(all)
    }
}

fn name(found: &Found) -> &str {
    match found {
        Found::Interface(interface) => &interface.name,
        _ => "",
    }
}

fn add_interface(page: &mut Page, interface: &Interface) {
    if let Some(megahertz) = interface.frequency {
        let help = "Frequency of the device's channel.";
        let family = page.family("node_wifi_interface_frequency_hertz", help, Kind::Gauge);
        page.sample(family, &[("device", &interface.name)], f64::from(megahertz) * 1e6);
    }
}

fn add_network(page: &mut Page, device: &str, network: &Network) {
    const JOINED: u32 = 2;
    let mode = match network.status {
        0 | 1 => "client",
        JOINED => "ad-hoc",
        _ => "unknown",
    };
    let family = page.family("node_wifi_station_info", "The network that a device is in, as labels.", Kind::Gauge);
    let address = hardware_address(&network.address);
    let labels = [("bssid", address.as_str()), ("device", device), ("mode", mode), ("ssid", &network.name)];
    page.sample(family, &labels, 1.0);
}

fn add_station(page: &mut Page, device: &str, station: &Station) {
    let address = hardware_address(&station.address);
    let labels = [("device", device), ("mac_address", address.as_str())];
    let rate = |hundreds: Option<u32>| hundreds.map(|hundreds| f64::from(hundreds) * 100_000.0);
    let rows = [
        ("node_wifi_station_beacon_loss_total", "Beacons missed.", station.beacon_losses.map(f64::from)),
        ("node_wifi_station_connected_seconds_total", "Time since it was connected.", station.connected.map(f64::from)),
        (
            "node_wifi_station_inactive_seconds",
            "Time since it was last heard of.",
            station.inactive.map(|milliseconds| f64::from(milliseconds) / 1000.0),
        ),
        ("node_wifi_station_receive_bits_per_second", "Rate at which it is heard.", rate(station.receive_rate)),
        (
            "node_wifi_station_receive_bytes_total",
            "Bytes that came from it.",
            station.received_bytes.map(|bytes| bytes as f64),
        ),
        (
            "node_wifi_station_received_packets_total",
            "Packets that came from it.",
            station.received_packets.map(f64::from),
        ),
        ("node_wifi_station_signal_dbm", "How strong it is heard.", station.signal.map(f64::from)),
        ("node_wifi_station_transmit_bits_per_second", "Rate at which it is sent to.", rate(station.send_rate)),
        ("node_wifi_station_transmit_bytes_total", "Bytes sent to it.", station.sent_bytes.map(|bytes| bytes as f64)),
        ("node_wifi_station_transmit_failed_total", "How often sending failed.", station.failed.map(f64::from)),
        (
            "node_wifi_station_transmit_retries_total",
            "How often something was sent again.",
            station.retries.map(f64::from),
        ),
        ("node_wifi_station_transmitted_packets_total", "Packets sent to it.", station.sent_packets.map(f64::from)),
    ];
    for (name, help, value) in rows {
        let kind = if name.ends_with("_total") { Kind::Counter } else { Kind::Gauge };
        let family = page.family(name, help, kind);
        if let Some(value) = value {
            page.sample(family, &labels, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use agent_exposition::Format;

    use super::*;

    #[test]
    fn a_device_its_network_and_its_station() {
        let mut page = Page::new();
        let interface = Interface { index: 3, name: "wlan0".to_owned(), frequency: Some(2412) };
        add_interface(&mut page, &interface);
        add_interface(&mut page, &Interface { frequency: None, ..interface });
        let network = Network { address: vec![0, 0x11, 0x22, 0x33, 0x44, 0x55], name: "Home".to_owned(), status: 1 };
        add_network(&mut page, "wlan0", &network);
        let station = Station {
            address: vec![0x1e, 0xde, 0xad, 0xbe, 0xef, 1],
            connected: Some(30),
            inactive: Some(400),
            signal: Some(-52),
            receive_rate: Some(2560),
            sent_bytes: Some(20),
            ..Station::default()
        };
        add_station(&mut page, "wlan0", &station);
        let mut text = String::new();
        page.write(Format::Text004, &mut text);
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let of = |name: &str, value: &str| {
            format!("node_wifi_station_{name}{{device=\"wlan0\",mac_address=\"1e:de:ad:be:ef:01\"}} {value}")
        };
        let info =
            "node_wifi_station_info{bssid=\"00:11:22:33:44:55\",device=\"wlan0\",mode=\"client\",ssid=\"Home\"} 1";
        let want = [
            "node_wifi_interface_frequency_hertz{device=\"wlan0\"} 2.412e+09".to_owned(),
            of("connected_seconds_total", "30"),
            of("inactive_seconds", "0.4"),
            info.to_owned(),
            of("receive_bits_per_second", "2.56e+08"),
            of("signal_dbm", "-52"),
            of("transmit_bytes_total", "20"),
        ];
        assert_eq!(samples, want);
    }

    #[test]
    fn this_machine_answers() {
        let mut wifi = Wifi { netlink: Netlink::generic(), scrape: None };
        assert!(wifi.collect(&mut Page::new()).is_ok());
    }
}
