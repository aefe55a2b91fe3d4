//! Routes, from rtnetlink.

use std::collections::{BTreeMap, HashMap, HashSet};

use agent_exposition::{Kind, Page};
use agent_procfs::route::{self, Hop, Route};

use crate::shared::{self, LinkQuestion};
use crate::{CollectError, Collector, Outcome, Scrape, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "network_route",
    help: "Routes, a series for each.",
    default_on: false,
    flags: &[],
    build: |context| Ok(Box::new(NetworkRoute { question: LinkQuestion::new(&context.links) })),
};

struct NetworkRoute {
    question: LinkQuestion,
}

impl Collector for NetworkRoute {
    fn begin(&mut self, scrape: Scrape) {
        self.question.begin(scrape);
    }

    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let (links, routes) =
            self.question.ask(route::request, |datagram, sequence, take| route::answer(datagram, sequence, take))?;
        add(page, &shared::names(&links), &routes);
        Ok(if routes.is_empty() { Outcome::Nothing } else { Outcome::Collected })
    }
}

fn add(page: &mut Page, devices: &HashMap<u32, &str>, routes: &[Route]) {
    let family = page.family("node_network_route_info", "A route.", Kind::Gauge);
    let mut by_device = BTreeMap::<&str, u64>::new();
    // Tables may hold the same route, and it has no label to tell them apart.
    let mut seen = HashSet::new();
    for route in routes {
        for hop in &route.hops {
            let device = devices.get(&hop.device).copied().unwrap_or_default();
            *by_device.entry(device).or_default() += 1;
            let labels = labels(route, hop, device);
            if seen.insert(labels.clone()) {
                page.sample(family, &labels.each_ref().map(|(name, value)| (*name, value.as_str())), 1.0);
            }
        }
    }
    let family = page.family("node_network_routes", "Routes through a device.", Kind::Gauge);
    for (device, count) in by_device {
        page.sample(family, &[("device", device)], count as f64);
    }
}

fn labels(route: &Route, hop: &Hop, device: &str) -> [(&'static str, String); 7] {
    let text = |address: Option<std::net::IpAddr>| address.map(|a| a.to_string()).unwrap_or_default();
    let destination = route.destination.map(|(network, prefix)| format!("{network}/{prefix}"));
    [
        ("dest", destination.unwrap_or_else(|| "default".to_owned())),
        ("device", device.to_owned()),
        ("gw", text(hop.gateway)),
        ("priority", route.priority.to_string()),
        ("proto", protocol(route.protocol).to_owned()),
        ("src", text(route.source)),
        ("weight", hop.weight.map(|weight| weight.to_string()).unwrap_or_default()),
    ]
}

/// Who made a route: `RTPROT_*` of `linux/rtnetlink.h`.
fn protocol(number: u8) -> &'static str {
    match number {
        0 => "unspec",
        1 => "redirect",
        2 => "kernel",
        3 => "boot",
        4 => "static",
        8 => "gated",
        9 => "ra",
        10 => "mrt",
        11 => "zebra",
        12 => "bird",
        13 => "dnrouted",
        14 => "xorp",
        15 => "ntk",
        16 => "dhcp",
        17 => "mrouted",
        42 => "babel",
        186 => "bgp",
        187 => "isis",
        188 => "ospf",
        189 => "rip",
        192 => "eigrp",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use agent_exposition::Format;

    use super::*;

    #[test]
    fn the_same_route_of_two_tables_is_one_series() {
        let hop = |weight| Hop { device: 2, gateway: "10.0.0.1".parse().ok(), weight };
        let route = |hops| Route { destination: None, source: None, priority: 0, protocol: 3, hops };
        let routes = [route(vec![hop(None)]), route(vec![hop(None)]), route(vec![hop(Some(1)), hop(Some(2))])];
        let mut page = Page::new();
        add(&mut page, &HashMap::from([(2, "eth0")]), &routes);
        let mut text = String::new();
        page.write(Format::Text004, &mut text);
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let route = |weight: &str| {
            format!(
                "node_network_route_info{{dest=\"default\",device=\"eth0\",gw=\"10.0.0.1\",priority=\"0\",proto=\"boot\",src=\"\",weight=\"{weight}\"}} 1"
            )
        };
        let routes = "node_network_routes{device=\"eth0\"} 4".to_owned();
        assert_eq!(samples, [route(""), route("1"), route("2"), routes]);
    }
}
