//! Batteries and other power supplies, from `/sys/class/power_supply`.

use std::sync::Arc;

use agent_exposition::{Kind, Page};

use crate::attributes::{Attributes, Descriptors, Row};
use crate::devices::Devices;
use crate::pattern::Pattern;
use crate::power_supply_rows::{MILLIONTHS, PLAIN, TENTHS};
use crate::{CollectError, Collector, FlagSpec, Outcome, Spec, pattern};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "powersupplyclass",
    help: "Batteries and other power supplies.",
    default_on: true,
    flags: &[IGNORED],
    build: |context| {
        Ok(Box::new(PowerSupplyClass {
            ignored: pattern::of_flag(&context.flags, &IGNORED)?,
            supplies: Devices::new(context.root.sys("class/power_supply")),
            descriptors: Arc::clone(&context.descriptors),
        }))
    },
};

const IGNORED: FlagSpec =
    FlagSpec::value("collector.powersupply.ignored-supplies", "Supplies to leave out: a regular expression.").or("^$");

/// Files that become labels of the same name.
const LABELS: [&str; 11] = [
    "capacity_level",
    "charge_type",
    "health",
    "manufacturer",
    "model_name",
    "scope",
    "serial_number",
    "status",
    "technology",
    "type",
    "usb_type",
];

struct PowerSupplyClass {
    ignored: Option<Pattern>,
    supplies: Devices<Attributes>,
    descriptors: Arc<Descriptors>,
}

impl Collector for PowerSupplyClass {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let (ignored, descriptors) = (self.ignored.as_ref(), &self.descriptors);
        self.supplies.refresh(|name, directory| {
            let is_ignored = ignored.is_some_and(|ignored| ignored.is_match(name));
            (!is_ignored).then(|| Attributes::new(directory, descriptors))
        })?;
        let mut outcome = Outcome::Nothing;
        for (name, supply) in self.supplies.iter_mut() {
            outcome = Outcome::Collected;
            for rows in [PLAIN, MILLIONTHS, TENTHS] {
                Row::add_all(rows, supply, &[("power_supply", name)], page);
            }
            add_labels(page, name, supply);
        }
        Ok(outcome)
    }
}

fn add_labels(page: &mut Page, name: &str, supply: &mut Attributes) {
    let texts: Vec<_> = LABELS.iter().filter_map(|file| Some((*file, supply.text(file)?))).collect();
    let mut labels: Vec<_> = texts.iter().map(|(label, text)| (*label, text.as_str())).collect();
    labels.push(("power_supply", name));
    labels.sort_unstable();
    let family = page.family("node_power_supply_info", "What the supply is and does, as labels.", Kind::Gauge);
    page.sample(family, &labels, 1.0);
}
