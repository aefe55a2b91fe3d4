//! Traffic of network devices, from rtnetlink or `/proc/net/dev`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use agent_exposition::{FamilyId, Kind, Page};
use agent_procfs::netdev;
use agent_procfs::rtnetlink::{Counter, GET_ADDRESS, Link, Message};
use agent_procfs::{CachedFile, Root};

use crate::netdev_columns::{self, help};
use crate::netlink::Netlink;
use crate::pattern::{Filter, FilterFlags};
use crate::shared::SharedLinks;
use crate::source::Source;
use crate::{BuildError, CollectError, Collector, Context, FlagSpec, Outcome, Scrape, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "netdev",
    help: "Traffic of network devices.",
    default_on: true,
    flags: &[
        DEVICE_INCLUDE,
        DEVICE_EXCLUDE,
        ADDRESS_INFO,
        DETAILED,
        NETLINK,
        LABEL_IFALIAS,
        DEVICE_WHITELIST,
        DEVICE_BLACKLIST,
    ],
    build,
};

const DEVICE_INCLUDE: FlagSpec = FlagSpec::value(
    "collector.netdev.device-include",
    "Devices to report: a regular expression. Not beside device-exclude.",
);
const DEVICE_EXCLUDE: FlagSpec = FlagSpec::value(
    "collector.netdev.device-exclude",
    "Devices to leave out: a regular expression. Not beside device-include.",
);
const ADDRESS_INFO: FlagSpec =
    FlagSpec::switch("collector.netdev.address-info", false, "Report the addresses of each device, as labels.");
const DETAILED: FlagSpec = FlagSpec::switch(
    "collector.netdev.enable-detailed-metrics",
    false,
    "Report the kernel's counters one by one, under other names, instead of the sums in /proc/net/dev.",
);
const NETLINK: FlagSpec =
    FlagSpec::switch("collector.netdev.netlink", true, "Ask over netlink instead of reading /proc/net/dev.");
const LABEL_IFALIAS: FlagSpec =
    FlagSpec::switch("collector.netdev.label-ifalias", false, "Add the alias of a device as the label ifalias.");
const DEVICE_WHITELIST: FlagSpec =
    FlagSpec::value("collector.netdev.device-whitelist", "Older name of device-include.").hidden();
const DEVICE_BLACKLIST: FlagSpec =
    FlagSpec::value("collector.netdev.device-blacklist", "Older name of device-exclude.").hidden();

fn build(context: &Context) -> Result<Box<dyn Collector>, BuildError> {
    let flags = &*context.flags;
    let names = FilterFlags {
        include: &DEVICE_INCLUDE,
        exclude: &DEVICE_EXCLUDE,
        old_include: Some(&DEVICE_WHITELIST),
        old_exclude: Some(&DEVICE_BLACKLIST),
    };
    let (columns, file_columns) = match flags.is_on(&DETAILED) {
        true => (netdev_columns::DETAILED, netdev_columns::DETAILED_FILE),
        false => (netdev_columns::SUMS, netdev_columns::FILE),
    };
    Ok(Box::new(Netdev {
        filter: Filter::build(flags, &names)?,
        links: Arc::clone(&context.links),
        netlink: Netlink::default(),
        use_netlink: flags.is_on(&NETLINK),
        complained: false,
        file: Source::new(context.root.proc("net/dev")),
        alias: flags.is_on(&LABEL_IFALIAS).then(|| context.root.clone()),
        columns: columns.iter().map(|(name, counters)| (*name, help(name), *counters)).collect(),
        file_columns: file_columns.iter().map(|name| (*name, help(name))).collect(),
        addresses: flags.is_on(&ADDRESS_INFO),
        scrape: None,
    }))
}

struct Netdev {
    filter: Filter,
    links: Arc<SharedLinks>,
    netlink: Netlink,
    use_netlink: bool,
    complained: bool,
    file: Source,
    /// Where to look for aliases, if they are to be labels.
    alias: Option<Root>,
    columns: Vec<(&'static str, &'static str, &'static [Counter])>,
    file_columns: Vec<(&'static str, &'static str)>,
    addresses: bool,
    scrape: Option<Scrape>,
}

impl Collector for Netdev {
    fn begin(&mut self, scrape: Scrape) {
        self.scrape = Some(scrape);
    }

    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let scrape = self.scrape.unwrap_or_else(Scrape::untold);
        let links = self.links(scrape);
        match &links {
            Some(links) => self.add_links(page, links),
            None => self.add_file(page)?,
        }
        if self.addresses {
            let links = match links {
                Some(links) => links,
                None => self.links.get(scrape)?,
            };
            add_addresses(page, &links, &mut self.netlink, scrape)?;
        }
        Ok(Outcome::Collected)
    }
}

impl Netdev {
    /// `None` when netlink is not to be used, or cannot be: a sandbox may forbid the socket and leave the file.
    fn links(&mut self, scrape: Scrape) -> Option<Arc<Vec<Link>>> {
        if !self.use_netlink {
            return None;
        }
        match self.links.get(scrape) {
            Ok(links) => Some(links),
            Err(error) => {
                if !std::mem::replace(&mut self.complained, true) {
                    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    tracing::warn!(%error, cause, "reading /proc/net/dev instead");
                }
                None
            }
        }
    }

    fn add_links(&self, page: &mut Page, links: &[Link]) {
        let families: Vec<_> =
            self.columns.iter().map(|(name, help, _)| page.family(*name, *help, Kind::Counter)).collect();
        for link in links.iter().filter(|link| self.filter.allows(&link.name)) {
            let alias = self.alias.as_ref().map(|_| link.alias.clone().unwrap_or_default());
            for (family, (.., counters)) in families.iter().zip(&self.columns) {
                // The first counter decides whether this kernel has the column at all.
                let Some(first) = counters.first().and_then(|c| link.counter(*c)) else { continue };
                let others = counters.iter().skip(1).filter_map(|c| link.counter(*c));
                let sum = others.fold(first, u64::wrapping_add);
                add(page, *family, &link.name, alias.as_deref(), sum);
            }
        }
    }

    fn add_file(&mut self, page: &mut Page) -> Result<(), CollectError> {
        let families: Vec<_> =
            self.file_columns.iter().map(|(name, help)| page.family(*name, *help, Kind::Counter)).collect();
        for device in self.file.parse_lossy(|bytes| Ok(netdev::parse(bytes)))? {
            if !self.filter.allows(device.name) {
                continue;
            }
            let alias = self.alias.as_ref().map(|root| alias_of(root, device.name));
            for (family, value) in families.iter().zip(device.receive.into_iter().chain(device.transmit)) {
                add(page, *family, device.name, alias.as_deref(), value);
            }
        }
        Ok(())
    }
}

fn alias_of(root: &Root, device: &str) -> String {
    let mut file = CachedFile::new(root.sys(format!("class/net/{device}/ifalias")));
    file.read().map(|bytes| String::from_utf8_lossy(bytes.trim_ascii()).into_owned()).unwrap_or_default()
}

fn add(page: &mut Page, family: FamilyId, device: &str, alias: Option<&str>, value: u64) {
    match alias {
        None => page.sample(family, &[("device", device)], value as f64),
        Some(alias) => page.sample(family, &[("device", device), ("ifalias", alias)], value as f64),
    }
}

fn add_addresses(page: &mut Page, links: &[Link], netlink: &mut Netlink, scrape: Scrape) -> Result<(), CollectError> {
    let names: HashMap<u32, &str> = links.iter().map(|link| (link.index, link.name.as_str())).collect();
    let family = page.family("node_network_address_info", "Addresses of network devices, as labels.", Kind::Gauge);
    netlink.dump(GET_ADDRESS, scrape.deadline, |message| {
        let Message::Address(found) = message else { return };
        let Some(device) = names.get(&found.index) else { return };
        let (address, netmask) = (found.address.to_string(), found.prefix.to_string());
        let labels =
            [("address", &*address), ("device", device), ("netmask", &netmask), ("scope", scope(found.address))];
        page.sample(family, &labels, 1.0);
    })
}

/// How far an address reaches, in node_exporter's words.
fn scope(address: IpAddr) -> &'static str {
    let (link_local, interface_local) = match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            (v4.is_link_local() || (a, b, c) == (224, 0, 0), false)
        }
        IpAddr::V6(v6) => {
            let [first, ..] = v6.segments();
            (v6.is_unicast_link_local() || first & 0xff0f == 0xff02, first & 0xff0f == 0xff01)
        }
    };
    let is_broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    if address.is_loopback() || link_local {
        "link-local"
    } else if interface_local {
        "interface-local"
    } else if address.is_unspecified() || address.is_multicast() || is_broadcast {
        ""
    } else {
        "global"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_of_addresses() {
        #[track_caller]
        fn check(address: &str, want: &str) {
            assert_eq!(scope(address.parse().unwrap()), want, "{address}");
        }
        check("127.0.0.1", "link-local");
        check("169.254.3.4", "link-local");
        check("224.0.0.1", "link-local");
        check("10.0.0.1", "global");
        check("239.1.2.3", "");
        check("0.0.0.0", "");
        check("255.255.255.255", "");
        check("::1", "link-local");
        check("fe80::1", "link-local");
        check("ff02::1", "link-local");
        check("ff01::1", "interface-local");
        check("2001:db8::1", "global");
        check("fd00::1", "global");
        check("ff0e::1", "");
    }
}
