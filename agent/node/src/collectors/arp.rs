//! IPv4 neighbours of each network device, from rtnetlink or `/proc/net/arp`.

use std::collections::BTreeMap;
use std::sync::Arc;

use agent_exposition::{Kind, Page};
use agent_procfs::arp;
use agent_procfs::rtnetlink::{GET_NEIGHBOUR, Message, NO_ARP};

use crate::netlink::Netlink;
use crate::pattern::{Filter, FilterFlags};
use crate::shared::{self, SharedLinks};
use crate::source::Source;
use crate::{BuildError, CollectError, Collector, Context, FlagSpec, Outcome, Scrape, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "arp",
    help: "IPv4 neighbours of network devices.",
    default_on: true,
    flags: &[DEVICE_INCLUDE, DEVICE_EXCLUDE, NETLINK],
    build,
};

const DEVICE_INCLUDE: FlagSpec = FlagSpec::value(
    "collector.arp.device-include",
    "Devices to report: a regular expression. Not beside device-exclude.",
);
const DEVICE_EXCLUDE: FlagSpec = FlagSpec::value(
    "collector.arp.device-exclude",
    "Devices to leave out: a regular expression. Not beside device-include.",
);
const NETLINK: FlagSpec =
    FlagSpec::switch("collector.arp.netlink", true, "Ask over netlink instead of reading /proc/net/arp.");

fn build(context: &Context) -> Result<Box<dyn Collector>, BuildError> {
    let names =
        FilterFlags { include: &DEVICE_INCLUDE, exclude: &DEVICE_EXCLUDE, old_include: None, old_exclude: None };
    Ok(Box::new(Arp {
        filter: Filter::build(&context.flags, &names)?,
        use_netlink: context.flags.is_on(&NETLINK),
        complained: false,
        links: Arc::clone(&context.links),
        netlink: Netlink::default(),
        file: Source::new(context.root.proc("net/arp")),
        scrape: None,
    }))
}

struct Arp {
    filter: Filter,
    use_netlink: bool,
    complained: bool,
    links: Arc<SharedLinks>,
    netlink: Netlink,
    file: Source,
    scrape: Option<Scrape>,
}

impl Collector for Arp {
    fn begin(&mut self, scrape: Scrape) {
        self.scrape = Some(scrape);
    }

    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let entries = match self.ask() {
            Some(entries) => entries,
            None => self.read()?,
        };
        let family = page.family("node_arp_entries", "Neighbours known, answering or not.", Kind::Gauge);
        for (device, count) in entries.iter().filter(|(device, _)| self.filter.allows(device)) {
            page.sample(family, &[("device", device)], f64::from(*count));
        }
        Ok(Outcome::Collected)
    }
}

impl Arp {
    /// `None` when netlink is not to be used, or cannot be: a sandbox may forbid the socket and leave the file.
    fn ask(&mut self) -> Option<BTreeMap<String, u32>> {
        let scrape = self.scrape.unwrap_or_else(Scrape::untold);
        if !self.use_netlink {
            return None;
        }
        match count(&self.links, &mut self.netlink, scrape) {
            Ok(entries) => Some(entries),
            Err(error) => {
                if !std::mem::replace(&mut self.complained, true) {
                    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    tracing::warn!(%error, cause, "reading /proc/net/arp instead");
                }
                None
            }
        }
    }

    fn read(&mut self) -> Result<BTreeMap<String, u32>, CollectError> {
        let mut entries = BTreeMap::new();
        for device in self.file.parse_lossy(|bytes| Ok(arp::devices(bytes)))? {
            *entries.entry(device.to_owned()).or_default() += 1;
        }
        Ok(entries)
    }
}

/// Neighbours by device. One whose device is new since the devices were listed is left to the next scrape.
fn count(links: &SharedLinks, netlink: &mut Netlink, scrape: Scrape) -> Result<BTreeMap<String, u32>, CollectError> {
    let links = links.get(scrape)?;
    let names = shared::names(&links);
    let mut entries = BTreeMap::new();
    netlink.dump(GET_NEIGHBOUR, scrape.deadline, |message| {
        if let Message::Neighbour(neighbour) = message
            && neighbour.state & NO_ARP == 0
            && let Some(device) = names.get(&neighbour.index)
        {
            *entries.entry((*device).to_owned()).or_default() += 1;
        }
    })?;
    Ok(entries)
}
