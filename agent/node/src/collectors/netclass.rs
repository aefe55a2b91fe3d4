//! What network devices are and what state they are in, from rtnetlink and `/sys/class/net`.
//!
//! One dump of rtnetlink says for all devices most of what twenty files each say. What only files say is read from
//! them: what cannot change, once, and the speed of the line at every scrape, but for pairs of virtual devices.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use agent_exposition::{FamilyId, Kind, Page};
use agent_procfs::Root;
use agent_procfs::rtnetlink::{Link, UP};

use crate::attributes::{Attributes, Descriptors};
use crate::devices::Devices;
use crate::netclass_columns::{COLUMNS, Origin, SPEED, Words, admin_state};
use crate::pattern::Pattern;
use crate::shared::SharedLinks;
use crate::{BuildError, CollectError, Collector, Context, FlagSpec, Outcome, Scrape, Spec, pattern};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "netclass",
    help: "State and properties of network devices.",
    default_on: true,
    flags: &[IGNORED, IGNORE_INVALID_SPEED, NETLINK],
    build,
};

const IGNORED: FlagSpec =
    FlagSpec::value("collector.netclass.ignored-devices", "Devices to leave out: a regular expression.").or("^$");
const IGNORE_INVALID_SPEED: FlagSpec = FlagSpec::switch(
    "collector.netclass.ignore-invalid-speed",
    false,
    "Leave out the speed of devices that do not know it, instead of reporting -125000.",
);
const NETLINK: FlagSpec = FlagSpec::switch(
    "collector.netclass.netlink",
    false,
    "Report the other names of devices, too. Netlink is asked in any case, except with --no-collector.netclass.netlink.",
);

fn build(context: &Context) -> Result<Box<dyn Collector>, BuildError> {
    let flags = &*context.flags;
    let files_alone = flags.get(NETLINK.name) == Some("false");
    Ok(Box::new(Netclass {
        ignored: pattern::of_flag(flags, &IGNORED)?,
        ignore_invalid_speed: flags.is_on(&IGNORE_INVALID_SPEED),
        alternative_names: flags.is_on(&NETLINK),
        directory: context.root.sys("class/net"),
        descriptors: Arc::clone(&context.descriptors),
        links: Some(Arc::clone(&context.links)).filter(|_| !files_alone && is_of_this_network(&context.root)),
        complained: false,
        by_number: BTreeMap::new(),
        by_name: Devices::new(context.root.sys("class/net")),
        scrape: None,
    }))
}

/// Whether the tree shows the devices that rtnetlink shows to this process. sysfs has one file system for each network
/// namespace, and `/sys` is that of this process.
fn is_of_this_network(root: &Root) -> bool {
    let file_system = |path: PathBuf| std::fs::metadata(path).map(|metadata| metadata.dev()).ok();
    let theirs = file_system(root.sysfs.clone());
    theirs.is_some() && theirs == file_system(Root::default().sysfs)
}

struct Netclass {
    ignored: Option<Pattern>,
    ignore_invalid_speed: bool,
    alternative_names: bool,
    directory: PathBuf,
    descriptors: Arc<Descriptors>,
    /// Nothing when files alone are to be read.
    links: Option<Arc<SharedLinks>>,
    complained: bool,
    /// What is kept of the devices that rtnetlink shows, by their numbers.
    by_number: BTreeMap<u32, Files>,
    /// The devices where files alone are read.
    by_name: Devices<Attributes>,
    scrape: Option<Scrape>,
}

/// The files of a device that rtnetlink shows.
struct Files {
    name: String,
    address: Option<Vec<u8>>,
    /// Nothing where the directory of that name is another device's.
    attributes: Option<Attributes>,
    /// Values of the files that cannot have changed, in the order of the columns.
    fixed: Vec<Option<f64>>,
    /// The line as it stays while the device's state does.
    line: Option<(State, Line)>,
}

/// What changes when the line comes or goes: flags, operational state, and how often the carrier changed.
type State = (u32, Option<u8>, Option<u32>);

/// Speed (in Mbit/s) and duplex.
type Line = (Option<f64>, &'static str);

impl Collector for Netclass {
    fn begin(&mut self, scrape: Scrape) {
        self.scrape = Some(scrape);
    }

    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let families = Families::of(page);
        let found = match self.links() {
            Some(links) => self.add_links(page, &families, &links),
            None => self.add_files(page, &families)?,
        };
        Ok(if found { Outcome::Collected } else { Outcome::Nothing })
    }
}

impl Netclass {
    /// `None` when netlink is not to be used, or cannot be: a sandbox may forbid the socket and leave the files.
    fn links(&mut self) -> Option<Arc<Vec<Link>>> {
        let scrape = self.scrape.unwrap_or_else(Scrape::untold);
        match self.links.as_ref()?.get(scrape) {
            Ok(links) => Some(links),
            Err(error) => {
                if !std::mem::replace(&mut self.complained, true) {
                    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    tracing::warn!(%error, cause, "reading /sys/class/net alone");
                }
                None
            }
        }
    }

    fn is_ignored(&self, name: &str) -> bool {
        self.ignored.as_ref().is_some_and(|ignored| ignored.is_match(name))
    }

    fn add_links(&mut self, page: &mut Page, families: &Families, links: &[Link]) -> bool {
        self.by_number.retain(|number, files| links.iter().any(|l| l.index == *number && l.name == files.name));
        let wanted: Vec<_> = links.iter().filter(|link| !self.is_ignored(&link.name)).collect();
        wanted.iter().for_each(|link| self.add_link(page, families, link));
        !wanted.is_empty()
    }

    fn add_link(&mut self, page: &mut Page, families: &Families, link: &Link) {
        let mut files = match self.by_number.remove(&link.index) {
            Some(files) if files.address == link.address => files,
            _ => Files::open(link, self.directory.join(&link.name), &self.descriptors),
        };
        let (speed, duplex) = files.line(link);
        let (mut fixed, attributes) = (files.fixed.iter(), &mut files.attributes);
        let values = COLUMNS.iter().map(|(row, origin)| match origin {
            Origin::Link(said) => said(link),
            Origin::LinkOrFile(said) => said(link).or_else(|| attributes.as_mut()?.number(row.file())),
            Origin::FixedFile => fixed.next().copied().flatten(),
            Origin::File => speed,
        });
        families.add(page, &link.name, values, self.ignore_invalid_speed);
        families.add_words(page, &link.name, &Words::of(link), duplex);
        if self.alternative_names {
            let help = "Other names of network devices, as labels.";
            let family = page.family("node_network_altnames_info", help, Kind::Gauge);
            for other in &link.alternative_names {
                page.sample(family, &[("altname", other), ("device", &link.name)], 1.0);
            }
        }
        self.by_number.insert(link.index, files);
    }

    fn add_files(&mut self, page: &mut Page, families: &Families) -> Result<bool, CollectError> {
        let (ignored, descriptors) = (self.ignored.as_ref(), &self.descriptors);
        self.by_name.refresh(|name, directory| {
            let is_wanted = !ignored.is_some_and(|ignored| ignored.is_match(name)) && directory.is_dir();
            is_wanted.then(|| Attributes::new(directory, descriptors))
        })?;
        let mut found = false;
        for (name, files) in self.by_name.iter_mut() {
            // One that has vanished since the directory was listed has no number any more.
            if files.number("ifindex").is_none() {
                continue;
            }
            found = true;
            let mut is_up = None;
            let values = COLUMNS.iter().map(|(row, _)| {
                let value = files.number(row.file());
                if row.file() == "flags" {
                    is_up = value.map(|flags| flags as u32 & UP != 0);
                }
                value
            });
            families.add(page, name, values, self.ignore_invalid_speed);
            let mut word = |file| files.text(file).unwrap_or_default();
            let words = Words {
                address: word("address"),
                admin_state: admin_state(is_up),
                broadcast: word("broadcast"),
                alias: word("ifalias"),
                operational_state: word("operstate"),
            };
            families.add_words(page, name, &words, &word("duplex"));
        }
        Ok(found)
    }
}

impl Files {
    fn open(link: &Link, directory: PathBuf, descriptors: &Arc<Descriptors>) -> Self {
        let mut attributes = Attributes::new(directory, descriptors);
        let is_its_own = attributes.number("ifindex") == Some(link.index.into());
        let mut attributes = Some(attributes).filter(|_| is_its_own);
        let is_fixed = |origin: &Origin| matches!(origin, Origin::FixedFile);
        let fixed = COLUMNS.iter().filter(|(_, origin)| is_fixed(origin));
        let fixed = fixed.map(|(row, _)| attributes.as_mut().and_then(|files| files.number(row.file()))).collect();
        // They are not read again, and need not stay open.
        if let Some(attributes) = &mut attributes {
            attributes.forget();
        }
        Self { name: link.name.clone(), address: link.address.clone(), attributes, fixed, line: None }
    }

    /// The line of the device. One that knew neither speed nor duplex will not before its state changes, and those of
    /// a pair of virtual devices are always the same; others may change their line with nobody told, as a bond does
    /// that gets another device.
    fn line(&mut self, link: &Link) -> Line {
        let state = (link.flags, link.operational_state, link.carrier_changes);
        if let Some((known, line)) = self.line
            && known == state
        {
            return line;
        }
        let Some(files) = &mut self.attributes else { return (None, "") };
        let line = (files.number(SPEED.file()), files.get("duplex", duplex).unwrap_or_default());
        self.line = (link.is_veth || line == (None, "")).then_some((state, line));
        line
    }
}

/// All words that the kernel has for it.
fn duplex(content: &[u8]) -> Option<&'static str> {
    ["full", "half", "unknown"].into_iter().find(|word| word.as_bytes() == content)
}

/// The families of one page.
struct Families {
    numbers: Vec<FamilyId>,
    up: FamilyId,
    info: FamilyId,
}

impl Families {
    fn of(page: &mut Page) -> Self {
        let help = "What network devices are, as labels.";
        Self {
            numbers: COLUMNS.iter().map(|(row, _)| row.family(page)).collect(),
            up: page.family("node_network_up", "1 for a device that works, as it says itself.", Kind::Gauge),
            info: page.family("node_network_info", help, Kind::Gauge),
        }
    }

    /// Adds what the columns say of a device, in their order.
    fn add(
        &self,
        page: &mut Page,
        device: &str,
        values: impl Iterator<Item = Option<f64>>,
        ignore_invalid_speed: bool,
    ) {
        for ((family, (row, origin)), value) in self.numbers.iter().zip(COLUMNS).zip(values) {
            let is_left_out = |value: f64| ignore_invalid_speed && matches!(origin, Origin::File) && value < 0.0;
            if let Some(value) = value.filter(|value| !is_left_out(*value)) {
                page.sample(*family, &[("device", device)], row.scaled(value));
            }
        }
    }

    fn add_words(&self, page: &mut Page, device: &str, words: &Words, duplex: &str) {
        let is_up = words.operational_state == "up";
        page.sample(self.up, &[("device", device)], f64::from(u8::from(is_up)));
        let labels = [
            ("address", words.address.as_str()),
            ("adminstate", words.admin_state),
            ("broadcast", &words.broadcast),
            ("device", device),
            ("duplex", duplex),
            ("ifalias", &words.alias),
            ("operstate", &words.operational_state),
        ];
        page.sample(self.info, &labels, 1.0);
    }
}

#[cfg(test)]
mod tests {
    use agent_exposition::Format;

    use super::*;
    use crate::Flags;

    fn page(netlink: &str) -> Vec<String> {
        let mut flags = Flags::default();
        flags.push(NETLINK.name, netlink);
        let mut collector = build(&Context::new(Root::default(), Arc::new(flags))).unwrap();
        let mut text = String::new();
        // The second time comes from what was kept of the first.
        for _ in 0..2 {
            let mut page = Page::new();
            text.clear();
            collector.collect(&mut page).unwrap();
            page.write(Format::Text004, &mut text);
        }
        // Other devices come and go, and so do carriers.
        text.lines().filter(|line| line.contains("device=\"lo\"")).map(str::to_owned).collect()
    }

    #[test]
    fn lines_that_cannot_change_are_read_once() {
        let directory = tempfile::tempdir().unwrap();
        let write = |file: &str, content: &str| std::fs::write(directory.path().join(file), content).unwrap();
        let descriptors = Arc::new(Descriptors::new());
        let lines = |is_veth: bool| {
            write("ifindex", "0\n");
            write("speed", "10000\n");
            write("duplex", "full\n");
            let mut link = Link::default();
            link.is_veth = is_veth;
            let mut files = Files::open(&link, directory.path().to_owned(), &descriptors);
            let first = files.line(&link);
            write("speed", "100\n");
            write("duplex", "half\n");
            let second = files.line(&link);
            link.flags = UP;
            [first, second, files.line(&link)]
        };
        let (fast, slow) = ((Some(10_000.0), "full"), (Some(100.0), "half"));
        assert_eq!(lines(true), [fast, fast, slow]);
        assert_eq!(lines(false), [fast, slow, slow]);
    }

    #[test]
    fn netlink_says_what_the_files_say() {
        let files = page("false");
        assert!(files.len() > 10, "{files:#?}");
        assert_eq!(page("true"), files);
    }
}
