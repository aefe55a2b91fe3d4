//! PCI devices, from `/sys/bus/pci/devices`: what they are, their links, their power, their virtual functions.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use agent_exposition::{Kind, Page};
use agent_procfs::{Root, scan};

use crate::attributes::{Attributes, Descriptors, Row};
use crate::devices::Devices;
use crate::pci_names::{self, Numbers};
use crate::{BuildError, CollectError, Collector, Context, FlagSpec, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "pcidevice",
    help: "PCI devices: what they are, their links, power and virtual functions.",
    default_on: false,
    flags: &[NAMES, IDS_FILE],
    build,
};

const NAMES: FlagSpec = FlagSpec::switch(
    "collector.pcidevice.names",
    false,
    "Report the names of devices beside their numbers; needs Debian's pci.ids or the like.",
);
const IDS_FILE: FlagSpec = FlagSpec::value(
    "collector.pcidevice.idsfile",
    "The list of names, instead of /usr/share/misc/pci.ids or /usr/share/hwdata/pci.ids.",
);

const USUAL_LISTS: [&str; 2] = ["usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids"];

fn build(context: &Context) -> Result<Box<dyn Collector>, BuildError> {
    let names = if context.flags.is_on(&NAMES) { Some(list_of_names(context)?) } else { None };
    Ok(Box::new(PciDevice {
        devices: Devices::new(context.root.sys("bus/pci/devices")),
        names,
        descriptors: Arc::clone(&context.descriptors),
    }))
}

/// The list of names; nothing in it where there is none in the usual places.
fn list_of_names(context: &Context) -> Result<PathBuf, BuildError> {
    let Root { rootfs, .. } = &context.root;
    let given = context.flags.value(&IDS_FILE).filter(|path| !path.is_empty());
    if let Some(path) = given {
        return match std::fs::File::open(path) {
            Ok(_) => Ok(path.into()),
            Err(error) => Err(BuildError {
                flag: IDS_FILE.name.to_owned(),
                value: path.to_owned(),
                reason: format!("cannot read it: {error}"),
            }),
        };
    }
    let mut usual = USUAL_LISTS.map(|path| rootfs.join(path)).into_iter();
    let found = usual.find(|path| path.exists());
    if found.is_none() {
        tracing::warn!("no list of names of PCI devices (pci.ids), they keep their numbers");
    }
    Ok(found.unwrap_or_default())
}

struct PciDevice {
    devices: Devices<Device>,
    /// The list of names, if devices are to have names. It is read when a device appears.
    names: Option<PathBuf>,
    descriptors: Arc<Descriptors>,
}

struct Device {
    /// Where it is.
    location: [(&'static str, String); 4],
    /// What it is.
    info: Vec<(&'static str, String)>,
    attributes: Attributes,
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row::gauge("max_link_width", "node_pcidevice_max_link_width", "Most lanes of the link."),
    Row::gauge("current_link_width", "node_pcidevice_current_link_width", "Lanes that the link uses."),
    Row::gauge("d3cold_allowed", "node_pcidevice_d3cold_allowed", "1 if its power may be cut."),
    Row::gauge("sriov_drivers_autoprobe", "node_pcidevice_sriov_drivers_autoprobe", "1 if virtual functions get a driver by themselves."),
    Row::gauge("sriov_numvfs", "node_pcidevice_sriov_numvfs", "Virtual functions in use."),
    Row::gauge("sriov_totalvfs", "node_pcidevice_sriov_totalvfs", "Virtual functions that it can have."),
    Row::gauge("sriov_vf_total_msix", "node_pcidevice_sriov_vf_total_msix", "MSI-X vectors for all virtual functions."),
];

const SPEEDS: &[Row] = &[
    Row::gauge(
        "max_link_speed",
        "node_pcidevice_max_link_transfers_per_second",
        "Most transfers of the link per second; -1 where the kernel does not know.",
    ),
    Row::gauge(
        "current_link_speed",
        "node_pcidevice_current_link_transfers_per_second",
        "Transfers of the link per second; -1 where the kernel does not know.",
    ),
];

const NUMA_NODE: Row = Row::gauge("numa_node", "node_pcidevice_numa_node", "The NUMA node that it is at.");

const POWER_STATES: [&str; 7] = ["D0", "D1", "D2", "D3cold", "D3hot", "error", "unknown"];

impl Collector for PciDevice {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let (names, descriptors) = (self.names.as_deref(), &self.descriptors);
        self.devices.refresh(|name, directory| Device::open(name, directory, names, descriptors))?;
        let mut outcome = Outcome::Nothing;
        for (_, device) in self.devices.iter_mut() {
            outcome = Outcome::Collected;
            device.add(page);
        }
        Ok(outcome)
    }
}

impl Device {
    /// Nothing for what is no device.
    fn open(name: &str, directory: PathBuf, names: Option<&Path>, descriptors: &Arc<Descriptors>) -> Option<Self> {
        let [segment, bus, device, function] = location(name)?;
        let location = [("bus", bus), ("device", device), ("function", function), ("segment", segment)];
        let parent = std::fs::read_link(&directory).ok();
        let parent = parent.as_deref().and_then(Path::parent).and_then(Path::file_name).and_then(|name| name.to_str());
        let [parent_segment, parent_bus, parent_device, parent_function] =
            parent.and_then(self::location).unwrap_or_else(|| ["*"; 4].map(str::to_owned));
        let mut attributes = Attributes::new(directory, descriptors);
        let mut number = |file: &str, digits: usize| {
            let value = attributes.get(file, |content| scan::hex(content.strip_prefix(b"0x")?));
            value.map(|value| format!("{value:0digits$x}")).unwrap_or_default()
        };
        let numbers = Numbers {
            class: number("class", 6),
            vendor: number("vendor", 4),
            device: number("device", 4),
            subsystem_vendor: number("subsystem_vendor", 4),
            subsystem_device: number("subsystem_device", 4),
        };
        let revision = number("revision", 2);
        // They are not read again, and need not stay open.
        attributes.forget();
        let with_prefix = |number: &str| if number.is_empty() { String::new() } else { format!("0x{number}") };
        let mut info = vec![
            ("class_id", with_prefix(&numbers.class)),
            ("device_id", with_prefix(&numbers.device)),
            ("parent_bus", parent_bus),
            ("parent_device", parent_device),
            ("parent_function", parent_function),
            ("parent_segment", parent_segment),
            ("revision", with_prefix(&revision)),
            ("subsystem_device_id", with_prefix(&numbers.subsystem_device)),
            ("subsystem_vendor_id", with_prefix(&numbers.subsystem_vendor)),
            ("vendor_id", with_prefix(&numbers.vendor)),
        ];
        info.extend(location.iter().cloned());
        if let Some(list) = names {
            let list = std::fs::read(list).unwrap_or_default();
            let names = pci_names::look_up(&String::from_utf8_lossy(&list), &numbers);
            info.extend([
                ("class_name", names.class),
                ("device_name", names.device),
                ("subsystem_device_name", names.subsystem_device),
                ("subsystem_vendor_name", names.subsystem_vendor),
                ("vendor_name", names.vendor),
            ]);
        }
        info.sort_unstable_by_key(|(label, _)| *label);
        Some(Self { location, info, attributes })
    }

    fn add(&mut self, page: &mut Page) {
        let Self { location, info, attributes } = self;
        let family = page.family("node_pcidevice_info", "What a device is, as labels.", Kind::Gauge);
        page.sample(family, &info.iter().map(|(label, value)| (*label, value.as_str())).collect::<Vec<_>>(), 1.0);
        let location = location.each_ref().map(|(label, value)| (*label, value.as_str()));
        Row::add_all(ROWS, attributes, &location, page);
        for row in SPEEDS {
            if let Some(speed) = attributes.get(row.file(), transfers) {
                row.add(page, &location, speed);
            }
        }
        // A machine without NUMA says -1.
        if let Some(node) = attributes.number(NUMA_NODE.file()).filter(|node| *node >= 0.0) {
            NUMA_NODE.add(page, &location, node);
        }
        if let Some(state) = attributes.text("power_state") {
            let family = page.family("node_pcidevice_power_state", "1 for the state of its power.", Kind::Gauge);
            let [bus, device, function, segment] = location;
            for known in POWER_STATES {
                let labels = [bus, device, function, segment, ("state", known)];
                page.sample(family, &labels, f64::from(u8::from(known == state)));
            }
        }
    }
}

/// Segment, bus, device and function of a name such as `0000:00:01.3`, in hexadecimal digits.
fn location(name: &str) -> Option<[String; 4]> {
    let (segment, rest) = name.split_once(':')?;
    let (bus, rest) = rest.split_once(':')?;
    let (device, function) = rest.split_once('.')?;
    let parts = [segment, bus, device, function];
    let is_hex = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    parts.iter().all(is_hex).then(|| parts.map(str::to_owned))
}

/// The number in `8.0 GT/s PCIe`, per second; -1 for `Unknown`.
fn transfers(content: &[u8]) -> Option<f64> {
    if content.starts_with(b"Unknown") {
        return Some(-1.0);
    }
    let (number, unit) = scan::cut(content, b' ')?;
    let number = scan::fraction(number).filter(|_| unit.starts_with(b"GT/s"))?;
    Some(number * 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_places() {
        #[track_caller]
        fn check(name: &str, want: Option<[&str; 4]>) {
            assert_eq!(location(name), want.map(|parts| parts.map(str::to_owned)), "{name}");
        }
        check("0000:00:1f.3", Some(["0000", "00", "1f", "3"]));
        check("10000:e1:00.0", Some(["10000", "e1", "00", "0"]));
        check("pci0000:00", None);
        check("0000:00:1f", None);
        check("0000:00:xx.0", None);
        check("0000:00:.0", None);
    }

    #[test]
    fn speeds_of_links() {
        #[track_caller]
        fn check(content: &str, want: Option<f64>) {
            assert_eq!(transfers(content.as_bytes()), want, "{content}");
        }
        check("8.0 GT/s PCIe", Some(8e9));
        check("2.5 GT/s PCIe", Some(2.5e9));
        check("Unknown", Some(-1.0));
        check("Unknown speed", Some(-1.0));
        check("8.0 GB/s", None);
        check("fast", None);
        check("", None);
    }
}
