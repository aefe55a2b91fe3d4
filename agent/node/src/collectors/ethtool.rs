//! What drivers of network devices say: who they are, what the link can do, and their own counters.

use std::collections::HashMap;
use std::sync::Arc;

use agent_exposition::{Kind, Page};

use crate::ethtool_calls::{Driver, Ethtool as Calls, LinkSettings};
use crate::link_modes::{ASYMMETRIC_PAUSE, AUTONEGOTIATION, PAUSE, PORTS, SPEEDS, has};
use crate::pattern::{Filter, FilterFlags, Pattern};
use crate::shared::SharedLinks;
use crate::{BuildError, CollectError, Collector, Context, FlagSpec, Outcome, Scrape, Spec, pattern};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "ethtool",
    help: "What drivers of network devices say: links, versions, and their own counters.",
    default_on: false,
    flags: &[DEVICE_INCLUDE, DEVICE_EXCLUDE, METRICS_INCLUDE],
    build,
};

const DEVICE_INCLUDE: FlagSpec = FlagSpec::value(
    "collector.ethtool.device-include",
    "Devices to report: a regular expression. Not beside device-exclude.",
);
const DEVICE_EXCLUDE: FlagSpec = FlagSpec::value(
    "collector.ethtool.device-exclude",
    "Devices to leave out: a regular expression. Not beside device-include.",
);
const METRICS_INCLUDE: FlagSpec =
    FlagSpec::value("collector.ethtool.metrics-include", "Drivers' counters to report: a regular expression.").or(".*");

fn build(context: &Context) -> Result<Box<dyn Collector>, BuildError> {
    let flags = &*context.flags;
    let names =
        FilterFlags { include: &DEVICE_INCLUDE, exclude: &DEVICE_EXCLUDE, old_include: None, old_exclude: None };
    Ok(Box::new(Ethtool {
        filter: Filter::build(flags, &names)?,
        names: Names::new(pattern::of_flag(flags, &METRICS_INCLUDE)?),
        links: Arc::clone(&context.links),
        calls: None,
        scrape: None,
    }))
}

struct Ethtool {
    filter: Filter,
    names: Names,
    links: Arc<SharedLinks>,
    calls: Option<Calls>,
    scrape: Option<Scrape>,
}

impl Collector for Ethtool {
    fn begin(&mut self, scrape: Scrape) {
        self.scrape = Some(scrape);
    }

    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let links = self.links.get(self.scrape.unwrap_or_else(Scrape::untold))?;
        let calls = match &mut self.calls {
            Some(calls) => calls,
            None => {
                let opened = Calls::open();
                let opened = opened.map_err(|errno| CollectError::Call { name: "socket", source: errno.into() })?;
                self.calls.insert(opened)
            }
        };
        for link in links.iter().filter(|link| self.filter.allows(&link.name)) {
            let device = link.name.as_str();
            // Most devices without hardware say nothing, and one that vanishes meanwhile costs itself.
            if let Ok(settings) = calls.link_settings(device) {
                add_link(page, device, &settings);
            }
            if let Ok(driver) = calls.driver(device) {
                add_driver(page, device, &driver);
                if let Ok(counters) = calls.counters(device, &driver) {
                    self.names.add(page, device, counters);
                }
            }
        }
        Ok(if page.sample_count() == 0 { Outcome::Nothing } else { Outcome::Collected })
    }
}

fn add_driver(page: &mut Page, device: &str, driver: &Driver) {
    let family = page.family("node_ethtool_info", "Drivers of network devices, as labels.", Kind::Gauge);
    let labels = [
        ("bus_info", driver.bus.as_str()),
        ("device", device),
        ("driver", &driver.name),
        ("expansion_rom_version", &driver.expansion_rom),
        ("firmware_version", &driver.firmware),
        ("version", &driver.version),
    ];
    page.sample(family, &labels, 1.0);
}

fn add_link(page: &mut Page, device: &str, link: &LinkSettings) {
    let LinkSettings { autonegotiates, supported, advertised } = link;
    let mut flag = |name: &'static str, help: &'static str, on: bool| {
        let family = page.family(name, help, Kind::Gauge);
        page.sample(family, &[("device", device)], f64::from(u8::from(on)));
    };
    flag("node_network_autonegotiate", "1 if the device finds the speed out with the other end.", *autonegotiates);
    for (bit, [can, does]) in CAPABILITIES {
        flag(can.0, can.1, has(supported, *bit));
        flag(does.0, does.1, has(advertised, *bit));
    }
    let help = "1 for each kind of port that the device may have.";
    let family = page.family("node_network_supported_port_info", help, Kind::Gauge);
    for (_, port) in PORTS.iter().filter(|(bit, _)| has(supported, *bit)) {
        page.sample(family, &[("device", device), ("type", port)], 1.0);
    }
    let speeds = [
        ("node_network_supported_speed_bytes", "Speeds that the device can have, per second.", supported),
        (
            "node_network_advertised_speed_bytes",
            "Speeds that the device offers to the other end, per second.",
            advertised,
        ),
    ];
    for (name, help, words) in speeds {
        let family = page.family(name, help, Kind::Gauge);
        for (_, megabits, duplex, mode) in SPEEDS.iter().filter(|(bit, ..)| has(words, *bit)) {
            let bytes = f64::from(*megabits) * 1_000_000.0 / 8.0;
            page.sample(family, &[("device", device), ("duplex", duplex), ("mode", mode)], bytes);
        }
    }
}

/// A family and its help.
type Row = (&'static str, &'static str);

/// What a bit means where it is supported, and where it is advertised.
#[rustfmt::skip]
const CAPABILITIES: &[(usize, [Row; 2])] = &[
    (AUTONEGOTIATION, [
        ("node_network_autonegotiate_supported", "1 if the device can find the speed out with the other end."),
        ("node_network_autonegotiate_advertised", "1 if the device offers to find the speed out with the other end."),
    ]),
    (PAUSE, [
        ("node_network_pause_supported", "1 if the device can be asked to pause."),
        ("node_network_pause_advertised", "1 if the device offers to pause when asked."),
    ]),
    (ASYMMETRIC_PAUSE, [
        ("node_network_asymmetricpause_supported", "1 if the device can pause in one direction alone."),
        ("node_network_asymmetricpause_advertised", "1 if the device offers to pause in one direction alone."),
    ]),
];

/// What drivers' counters become, decided once per name.
struct Names {
    pick: Option<Pattern>,
    known: HashMap<Box<[u8]>, Option<Family>>,
}

/// The name and help of a family.
type Family = (String, String);

/// More names than all drivers of a machine have; endless new ones get no further.
const MOST: usize = 1 << 16;

impl Names {
    fn new(pick: Option<Pattern>) -> Self {
        Self { pick, known: HashMap::new() }
    }

    /// Adds counters of a device. Those that would come to the same name are left out, as nothing tells them apart.
    fn add<'a>(&mut self, page: &mut Page, device: &str, counters: impl Iterator<Item = (&'a [u8], u64)>) {
        let counters: Vec<_> = counters.collect();
        counters.iter().for_each(|(name, _)| self.decide(name));
        let family = |name: &[u8]| self.known.get(name).and_then(Option::as_ref);
        let mut times = HashMap::<&str, u32>::new();
        for (name, _) in counters.iter().filter_map(|(name, _)| family(name)) {
            *times.entry(name).or_default() += 1;
        }
        for (name, value) in &counters {
            if let Some((name, help)) = family(name).filter(|(name, _)| times.get(name.as_str()) == Some(&1)) {
                let family = page.family(name.clone(), help.clone(), Kind::Untyped);
                page.sample(family, &[("device", device)], *value as f64);
            }
        }
    }

    fn decide(&mut self, name: &[u8]) {
        if self.known.contains_key(name) || self.known.len() >= MOST {
            return;
        }
        let text = String::from_utf8_lossy(name);
        let picked = !text.is_empty() && self.pick.as_ref().is_none_or(|pick| pick.is_match(&text));
        self.known.insert(name.into(), picked.then(|| (family_name(&text), help(&text))));
    }
}

fn help(name: &str) -> String {
    let known = match name {
        "rx_bytes" => "Bytes received, as the driver counts them.",
        "rx_dropped" => "Packets dropped that were received, as the driver counts them.",
        "rx_errors" => "Errors of receiving, as the driver counts them.",
        "rx_packets" => "Packets received, as the driver counts them.",
        "tx_bytes" => "Bytes sent, as the driver counts them.",
        "tx_errors" => "Errors of sending, as the driver counts them.",
        "tx_packets" => "Packets sent, as the driver counts them.",
        name => return format!("Counter {name} of the driver."),
    };
    known.to_owned()
}

/// The name of a counter's family: the driver's in lower case and in the alphabet of metrics, with `rx` and `tx` written
/// out.
fn family_name(name: &str) -> String {
    const KNOWN: [&str; 7] =
        ["rx_bytes", "rx_dropped", "rx_errors", "rx_packets", "tx_bytes", "tx_errors", "tx_packets"];
    let total = if KNOWN.contains(&name) { "_total" } else { "" };
    let mut plain = String::new();
    // Runs of other characters, with the underscores around them, are one underscore.
    let mut rest = name;
    while let Some(at) = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        let (before, odd) = rest.split_at(at);
        plain.push_str(before.trim_end_matches('_'));
        plain.push('_');
        let is_odd = |c: char| !c.is_ascii_alphanumeric() && c != '_';
        rest = odd.trim_start_matches(is_odd).trim_start_matches('_');
    }
    plain.push_str(rest);
    let plain = plain.to_ascii_lowercase();
    let written_out = write_out(&write_out(plain.trim_start_matches('_'), "rx", "received"), "tx", "transmitted");
    format!("node_ethtool_{written_out}{total}")
}

/// Replaces a word between underscores. Two that share the underscore between them are one occurrence, as in
/// node_exporter, on whose names people's boards rest.
fn write_out(name: &str, word: &str, long: &str) -> String {
    let (mut out, mut shares) = (Vec::new(), false);
    for part in name.split('_') {
        shares = part == word && !shares;
        out.push(if shares { long } else { part });
    }
    out.join("_")
}

#[cfg(test)]
mod tests {
    use agent_exposition::Format;

    use super::*;

    #[test]
    fn names_of_counters() {
        #[track_caller]
        fn check(name: &str, want: &str) {
            assert_eq!(family_name(name), format!("node_ethtool_{want}"), "{name}");
        }
        check("rx_bytes", "received_bytes_total");
        check("tx_packets", "transmitted_packets_total");
        check("rx0_drops", "rx0_drops");
        check("tx_tx_timeouts", "transmitted_tx_timeouts");
        check("tx0_tx_timeouts", "tx0_transmitted_timeouts");
        check("xdp_tx", "xdp_transmitted");
        check("Rx Queue#0: drops", "received_queue_0_drops");
        check("__port.rx_fec", "port_received_fec");
        check("[0]: tx_bytes", "0_transmitted_bytes");
        check("a_-_b", "a_b");
        check("", "");
    }

    #[test]
    fn counters_of_one_name_are_left_out() {
        let mut names = Names::new(Pattern::new("^[^x]").ok());
        let counters: [(&[u8], u64); 6] = [(b"a.b", 1), (b"a-b", 2), (b"c", 3), (b"x", 4), (b"", 5), (b"a:b", 6)];
        let mut page = Page::new();
        names.add(&mut page, "eth0", counters.into_iter());
        let mut text = String::new();
        page.write(Format::Text004, &mut text);
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(samples, ["node_ethtool_c{device=\"eth0\"} 3"]);
    }

    #[test]
    fn links_of_today_and_of_tomorrow() {
        let mut page = Page::new();
        let link = LinkSettings {
            autonegotiates: true,
            supported: vec![1 << 5 | 1 << 6 | 1 << 7, 1 << 6],
            advertised: vec![1 << 13],
        };
        add_link(&mut page, "eth0", &link);
        let mut text = String::new();
        page.write(Format::Text004, &mut text);
        for want in [
            "node_network_autonegotiate{device=\"eth0\"} 1",
            "node_network_autonegotiate_supported{device=\"eth0\"} 1",
            "node_network_autonegotiate_advertised{device=\"eth0\"} 0",
            "node_network_pause_advertised{device=\"eth0\"} 1",
            "node_network_supported_port_info{device=\"eth0\",type=\"TP\"} 1",
            "node_network_supported_speed_bytes{device=\"eth0\",duplex=\"full\",mode=\"1000baseT\"} 1.25e+08",
            "node_network_supported_speed_bytes{device=\"eth0\",duplex=\"full\",mode=\"100000baseCR4\"} 1.25e+10",
        ] {
            assert!(text.lines().any(|line| line == want), "{want} is not in {text}");
        }
        assert!(!text.contains("node_network_advertised_speed_bytes"));
    }
}
