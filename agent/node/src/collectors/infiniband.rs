//! InfiniBand and RDMA devices and their ports, from `/sys/class/infiniband`.

use std::path::PathBuf;
use std::sync::Arc;

use agent_exposition::{Kind, Page};
use agent_procfs::scan;

use crate::attributes::{Attributes, Descriptors, Row};
use crate::devices::Devices;
use crate::infiniband_rows::COUNTERS;
use crate::pattern::{Filter, FilterFlags};
use crate::{CollectError, Collector, FlagSpec, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "infiniband",
    help: "InfiniBand and RDMA devices.",
    default_on: true,
    flags: &[DEVICE_INCLUDE, DEVICE_EXCLUDE],
    build: |context| {
        let names =
            FilterFlags { include: &DEVICE_INCLUDE, exclude: &DEVICE_EXCLUDE, old_include: None, old_exclude: None };
        Ok(Box::new(Infiniband {
            filter: Filter::build(&context.flags, &names)?,
            devices: Devices::new(context.root.sys("class/infiniband")),
            descriptors: Arc::clone(&context.descriptors),
        }))
    },
};

const DEVICE_INCLUDE: FlagSpec = FlagSpec::value(
    "collector.infiniband.device-include",
    "Devices to report: a regular expression. Not beside device-exclude.",
);
const DEVICE_EXCLUDE: FlagSpec = FlagSpec::value(
    "collector.infiniband.device-exclude",
    "Devices to leave out: a regular expression. Not beside device-include.",
);

/// Labels and files.
const LABELS: [(&str, &str); 3] = [("board_id", "board_id"), ("firmware_version", "fw_ver"), ("hca_type", "hca_type")];

struct Infiniband {
    filter: Filter,
    devices: Devices<Device>,
    descriptors: Arc<Descriptors>,
}

struct Device {
    attributes: Attributes,
    ports: Devices<Attributes>,
}

impl Collector for Infiniband {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let (filter, descriptors) = (&self.filter, &self.descriptors);
        self.devices.refresh(|name, directory| filter.allows(name).then(|| Device::open(directory, descriptors)))?;
        let mut outcome = Outcome::Nothing;
        for (name, device) in self.devices.iter_mut() {
            outcome = Outcome::Collected;
            device.add_labels(page, name);
            // A device that vanishes meanwhile costs its ports.
            if device.ports.refresh(|_, directory| Some(Attributes::new(directory, descriptors))).is_ok() {
                device
                    .ports
                    .iter_mut()
                    .for_each(|(port, files)| add_port(page, files, &[("device", name), ("port", port)]));
            }
        }
        Ok(outcome)
    }
}

impl Device {
    fn open(directory: PathBuf, descriptors: &Arc<Descriptors>) -> Self {
        Self { ports: Devices::new(directory.join("ports")), attributes: Attributes::new(directory, descriptors) }
    }

    fn add_labels(&mut self, page: &mut Page, name: &str) {
        let texts = LABELS.map(|(label, file)| (label, self.attributes.text(file).unwrap_or_default()));
        let mut labels: Vec<_> = texts.iter().map(|(label, text)| (*label, text.as_str())).collect();
        labels.insert(1, ("device", name));
        let family = page.family("node_infiniband_info", "What the device is, as labels.", Kind::Gauge);
        page.sample(family, &labels, 1.0);
    }
}

fn add_port(page: &mut Page, port: &mut Attributes, labels: &[(&str, &str)]) {
    let mut gauge = |name, help, value: Option<f64>| {
        if let Some(value) = value {
            let family = page.family(name, help, Kind::Gauge);
            page.sample(family, labels, value);
        }
    };
    let help = "1 down, 2 initialising, 3 armed, 4 active, 5 active but with errors.";
    gauge("node_infiniband_state_id", help, port.get("state", number_before_colon));
    let help = "1 sleeping, 2 polling, 3 disabled, 4 training, 5 up, 6 recovering, 7 testing.";
    gauge("node_infiniband_physical_state_id", help, port.get("phys_state", number_before_colon));
    let help = "How much the port can send, as a signal.";
    gauge("node_infiniband_rate_bytes_per_second", help, port.get("rate", bytes_per_second));
    Row::add_all(COUNTERS, port, labels, page);
}

/// The number of a state such as `4: ACTIVE`.
fn number_before_colon(content: &[u8]) -> Option<f64> {
    scan::cut(content, b':').and_then(|(number, _)| scan::number(number)).map(|number| number as f64)
}

/// A rate such as `100 Gb/sec (4X EDR)`.
fn bytes_per_second(content: &[u8]) -> Option<f64> {
    let mut fields = scan::fields(content);
    let gigabits = fields.next().and_then(scan::fraction)?;
    (fields.next() == Some(b"Gb/sec")).then_some(gigabits * 1e9 / 8.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_and_rates() {
        assert_eq!(number_before_colon(b"4: ACTIVE"), Some(4.0));
        assert_eq!(number_before_colon(b"ACTIVE"), None);
        assert_eq!(bytes_per_second(b"2.5 Gb/sec (1X SDR)"), Some(312_500_000.0));
        assert_eq!(bytes_per_second(b"100 Gb/sec (4X EDR)"), Some(12_500_000_000.0));
        assert_eq!(bytes_per_second(b"100"), None);
    }
}
