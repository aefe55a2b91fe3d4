//! Temperatures and cooling, from `/sys/class/thermal`.

use std::sync::Arc;

use agent_exposition::Page;

use crate::attributes::{Attributes, Descriptors, Row};
use crate::devices::Devices;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "thermal_zone",
    help: "Temperatures of thermal zones, and cooling devices.",
    default_on: true,
    flags: &[],
    build: |context| {
        let devices = Devices::new(context.root.sys("class/thermal"));
        Ok(Box::new(ThermalZone { devices, descriptors: Arc::clone(&context.descriptors) }))
    },
};

const TEMPERATURE: &[Row] =
    &[Row::gauge("temp", "node_thermal_zone_temp", "Temperature of the zone in degrees Celsius.").over(1000.0)];

const COOLING: &[Row] = &[
    Row::gauge("cur_state", "node_cooling_device_cur_state", "How much the device cools."),
    Row::gauge("max_state", "node_cooling_device_max_state", "How much the device can cool."),
];

struct ThermalZone {
    devices: Devices<Device>,
    descriptors: Arc<Descriptors>,
}

struct Device {
    rows: &'static [Row],
    /// The label for the number, the number, and the device's type.
    labels: (&'static str, String, String),
    attributes: Attributes,
}

impl Collector for ThermalZone {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let descriptors = &self.descriptors;
        self.devices.refresh(|name, directory| Device::open(name, Attributes::new(directory, descriptors)))?;
        let mut outcome = Outcome::Nothing;
        for (_, device) in self.devices.iter_mut() {
            outcome = Outcome::Collected;
            let (label, number, kind) = &device.labels;
            let mut labels = [(*label, number.as_str()), ("type", kind)];
            labels.sort_unstable();
            Row::add_all(device.rows, &mut device.attributes, &labels, page);
        }
        Ok(outcome)
    }
}

impl Device {
    fn open(name: &str, mut attributes: Attributes) -> Option<Self> {
        let zone = name.strip_prefix("thermal_zone").map(|number| ("zone", TEMPERATURE, number));
        let (label, rows, number) =
            zone.or_else(|| name.strip_prefix("cooling_device").map(|number| ("name", COOLING, number)))?;
        let kind = attributes.text("type").unwrap_or_default();
        Some(Self { rows, labels: (label, number.to_owned(), kind), attributes })
    }
}
