//! Sensors of temperature, voltage, fans and more, from `/sys/class/hwmon`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agent_exposition::{Kind, Page};
use agent_procfs::scan;

use crate::attributes::{Attributes, Descriptors};
use crate::devices::Devices;
use crate::directory;
use crate::hwmon_sensors::{self, Reading, clean};
use crate::pattern::{Filter, FilterFlags};
use crate::{BuildError, CollectError, Collector, Context, FlagSpec, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "hwmon",
    help: "Sensors of temperature, voltage, fans and more.",
    default_on: true,
    flags: &[CHIP_INCLUDE, CHIP_EXCLUDE, SENSOR_INCLUDE, SENSOR_EXCLUDE],
    build,
};

const CHIP_INCLUDE: FlagSpec =
    FlagSpec::value("collector.hwmon.chip-include", "Chips to report: a regular expression. Not beside chip-exclude.");
const CHIP_EXCLUDE: FlagSpec = FlagSpec::value(
    "collector.hwmon.chip-exclude",
    "Chips to leave out: a regular expression. Not beside chip-include.",
);
const SENSOR_INCLUDE: FlagSpec = FlagSpec::value(
    "collector.hwmon.sensor-include",
    "Sensors to report: a regular expression for CHIP;SENSOR. Not beside sensor-exclude.",
);
const SENSOR_EXCLUDE: FlagSpec = FlagSpec::value(
    "collector.hwmon.sensor-exclude",
    "Sensors to leave out: a regular expression for CHIP;SENSOR. Not beside sensor-include.",
);

fn build(context: &Context) -> Result<Box<dyn Collector>, BuildError> {
    let filter = |include, exclude| {
        let names = FilterFlags { include, exclude, old_include: None, old_exclude: None };
        Filter::build(&context.flags, &names)
    };
    Ok(Box::new(Hwmon {
        chip_filter: filter(&CHIP_INCLUDE, &CHIP_EXCLUDE)?,
        sensor_filter: filter(&SENSOR_INCLUDE, &SENSOR_EXCLUDE)?,
        chips: Devices::new(context.root.sys("class/hwmon")),
        descriptors: Arc::clone(&context.descriptors),
    }))
}

struct Hwmon {
    chip_filter: Filter,
    sensor_filter: Filter,
    chips: Devices<Chip>,
    descriptors: Arc<Descriptors>,
}

/// A chip. A driver sets up its files when it finds the chip; they are looked for once.
struct Chip {
    /// The label `chip`, which two chips of one device share.
    name: String,
    /// What the driver calls it.
    driver: Option<String>,
    readings: Vec<Reading>,
    /// Sensors and what their labels say.
    labels: Vec<(String, String)>,
    attributes: Attributes,
}

impl Collector for Hwmon {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let descriptors = &self.descriptors;
        self.chips.refresh(|name, directory| Chip::open(name, directory, descriptors))?;
        let names: Vec<_> = self.chips.iter_mut().map(|(node, chip)| (node.to_owned(), chip.clone_names())).collect();
        let mut outcome = Outcome::Nothing;
        for (node, chip) in self.chips.iter_mut() {
            let name = unique_name(node, &names);
            if self.chip_filter.allows(&name) {
                outcome = Outcome::Collected;
                chip.add(page, &name, &self.sensor_filter);
            }
        }
        Ok(outcome)
    }
}

/// A chip's name that no other chip has: with the driver's name added where it is shared, or the node's where that is
/// shared as well.
fn unique_name(node: &str, chips: &[(String, (String, Option<String>))]) -> String {
    let Some((_, own)) = chips.iter().find(|(known, _)| known == node) else { return node.to_owned() };
    let (name, driver) = own;
    if chips.iter().filter(|(_, (other, _))| other == name).count() < 2 {
        return name.clone();
    }
    let shared = chips.iter().filter(|(_, other)| other == own).count() > 1;
    match driver {
        Some(driver) if !shared => format!("{name}_{driver}"),
        _ => format!("{name}_{}", clean(node)),
    }
}

impl Chip {
    fn open(node: &str, directory: PathBuf, descriptors: &Arc<Descriptors>) -> Option<Self> {
        let mut files = directory::names(&directory).ok().filter(|names| !names.is_empty())?;
        let of_device = directory::names(&directory.join("device")).unwrap_or_default();
        files.extend(of_device.into_iter().map(|name| format!("device/{name}")));
        let device = std::fs::canonicalize(directory.join("device")).ok();
        let mut attributes = Attributes::new(directory, descriptors);
        let driver = attributes.text("name").map(|name| clean(&name)).filter(|name| !name.is_empty());
        let name = device.as_deref().and_then(name_of_device).or_else(|| driver.clone());
        let (mut readings, mut labels, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for (name, sensor) in hwmon_sensors::sensors(files) {
            let label = sensor.label().and_then(|file| attributes.text(file));
            let clean_label = label.as_deref().map(clean).filter(|label| !label.is_empty());
            // Two properties may come to the same family.
            let new = sensor.readings(&name, clean_label.as_deref());
            readings.extend(new.into_iter().filter(|r| seen.insert((r.family.clone(), r.sensor.clone()))));
            labels.extend(label.map(|label| (name, label)));
        }
        Some(Self { name: name.unwrap_or_else(|| clean(node)), driver, readings, labels, attributes })
    }

    fn clone_names(&self) -> (String, Option<String>) {
        (self.name.clone(), self.driver.clone())
    }

    fn add(&mut self, page: &mut Page, chip: &str, filter: &Filter) {
        if let Some(driver) = &self.driver {
            let family = page.family("node_hwmon_chip_names", "What drivers call chips, as labels.", Kind::Gauge);
            page.sample(family, &[("chip", chip), ("chip_name", driver)], 1.0);
        }
        let is_allowed = |sensor: &str| filter.allows(&format!("{chip};{sensor}"));
        let help = "What sensors are for, as labels.";
        let family = page.family("node_hwmon_sensor_label", help, Kind::Gauge);
        for (sensor, label) in self.labels.iter().filter(|(sensor, _)| is_allowed(sensor)) {
            page.sample(family, &[("chip", chip), ("label", label), ("sensor", sensor)], 1.0);
        }
        for reading in self.readings.iter().filter(|reading| is_allowed(&reading.sensor)) {
            if let Some(value) = self.attributes.get(&reading.file, scan::fraction) {
                let family = page.family(reading.family.clone(), reading.help.clone(), reading.kind);
                page.sample(family, &[("chip", chip), ("sensor", &reading.sensor)], value / reading.divisor);
            }
        }
    }
}

/// The name of the device that a chip belongs to, with that of its bus: it is the same after every boot.
fn name_of_device(path: &Path) -> Option<String> {
    let part = |path: &Path| path.file_name().and_then(|name| name.to_str()).map(clean).unwrap_or_default();
    let (bus, device) = (path.parent().map(part).unwrap_or_default(), part(path));
    match (bus.as_str(), device.as_str()) {
        (_, "") => None,
        ("", device) => Some(device.to_owned()),
        (bus, device) => Some(format!("{bus}_{device}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_stable_names() {
        #[track_caller]
        fn check(path: &str, want: Option<&str>) {
            assert_eq!(name_of_device(Path::new(path)).as_deref(), want);
        }
        check("/sys/devices/platform/coretemp.0", Some("platform_coretemp_0"));
        check("/sys/devices/pci0000:00/0000:00:18.3", Some("pci0000:00_0000:00:18_3"));
        check("/nvme0", Some("nvme0"));
        check("/", None);
    }

    #[test]
    fn chips_that_share_a_device_are_told_apart() {
        let chips = [("hwmon0", "a", Some("x")), ("hwmon1", "a", Some("y")), ("hwmon2", "b", Some("x"))];
        let shared = [("hwmon0", "a", Some("x")), ("hwmon1", "a", Some("x")), ("hwmon2", "a", None)];
        #[track_caller]
        fn check(chips: &[(&str, &str, Option<&str>)], want: &[&str]) {
            let owned = |name: &str| name.to_owned();
            let chips: Vec<_> = chips.iter().map(|(n, c, d)| (owned(n), (owned(c), d.map(owned)))).collect();
            assert_eq!(chips.iter().map(|(node, _)| unique_name(node, &chips)).collect::<Vec<_>>(), want);
        }
        check(&chips, &["a_x", "a_y", "b"]);
        check(&shared, &["a_hwmon0", "a_hwmon1", "a_hwmon2"]);
    }
}
