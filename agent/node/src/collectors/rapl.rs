//! Energy that parts of the machine have used, from `/sys/class/powercap`.

use std::collections::HashMap;
use std::sync::Arc;

use agent_exposition::{Kind, Page};

use crate::attributes::{Attributes, Descriptors};
use crate::devices::Devices;
use crate::{CollectError, Collector, FlagSpec, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "rapl",
    help: "Energy that CPUs and memory have used.",
    default_on: true,
    flags: &[ZONE_LABEL],
    build: |context| {
        Ok(Box::new(Rapl {
            zone_label: context.flags.is_on(&ZONE_LABEL),
            zones: Devices::new(context.root.sys("class/powercap")),
            descriptors: Arc::clone(&context.descriptors),
        }))
    },
};

const ZONE_LABEL: FlagSpec = FlagSpec::switch(
    "collector.rapl.enable-zone-label",
    false,
    "Report one family with the zone as a label, instead of a family for each zone.",
);

struct Rapl {
    zone_label: bool,
    zones: Devices<Zone>,
    descriptors: Arc<Descriptors>,
}

struct Zone {
    name: String,
    /// The number that the zone's name ends with, if there is one.
    number: Option<u32>,
    path: String,
    attributes: Attributes,
}

impl Collector for Rapl {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let descriptors = &self.descriptors;
        self.zones.refresh(|_, directory| {
            let path = directory.to_str()?.to_owned();
            let mut attributes = Attributes::new(directory, descriptors);
            let name = attributes.text("name").filter(|_| attributes.number("max_energy_range_uj").is_some())?;
            let (name, number) = split(&name);
            Some(Zone { name: name.to_owned(), number, path, attributes })
        })?;
        let mut outcome = Outcome::Nothing;
        let mut same_name: HashMap<String, u32> = HashMap::new();
        for (_, zone) in self.zones.iter_mut() {
            let index = zone.number.unwrap_or_else(|| {
                let next = same_name.entry(zone.name.clone()).or_default();
                *next += 1;
                *next - 1
            });
            // Since 5.10 only root may read it.
            let Some(microjoules) = zone.attributes.number("energy_uj") else { continue };
            outcome = Outcome::Collected;
            zone.add(page, index, microjoules / 1e6, self.zone_label);
        }
        Ok(outcome)
    }
}

/// A name and the number that it ends with, as in `package-0`.
fn split(name: &str) -> (&str, Option<u32>) {
    match name.rsplit_once('-').map(|(rest, number)| (rest, number.parse().ok())) {
        Some((rest, Some(number))) => (rest, Some(number)),
        _ => (name, None),
    }
}

impl Zone {
    fn add(&self, page: &mut Page, index: u32, joules: f64, zone_label: bool) {
        let index = index.to_string();
        let labels = [("index", index.as_str()), ("path", &self.path), ("rapl_zone", &self.name)];
        if zone_label {
            let help = "Energy used by a part of the machine, since some time.";
            let family = page.family("node_rapl_joules_total", help, Kind::Counter);
            page.sample(family, &labels, joules);
        } else {
            let is_legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
            let zone: String = self.name.chars().map(|c| if is_legal(c) { c } else { '_' }).collect();
            let help = format!("Energy used by the zone {zone}, since some time.");
            let family = page.family(format!("node_rapl_{zone}_joules_total"), help, Kind::Counter);
            page.sample(family, labels.get(..2).unwrap_or_default(), joules);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        assert_eq!(split("package-0"), ("package", Some(0)));
        assert_eq!(split("package-0-die-1"), ("package-0-die", Some(1)));
        assert_eq!(split("dram"), ("dram", None));
        assert_eq!(split("a-b"), ("a-b", None));
    }
}
