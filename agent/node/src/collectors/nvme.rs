//! NVMe controllers and their namespaces, from `/sys/class/nvme`.

use std::path::PathBuf;
use std::sync::Arc;

use agent_exposition::{Kind, Page};

use crate::attributes::{Attributes, Descriptors};
use crate::devices::Devices;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "nvme",
    help: "NVMe controllers and their namespaces.",
    default_on: true,
    flags: &[],
    build: |context| {
        let controllers = Devices::new(context.root.sys("class/nvme"));
        Ok(Box::new(Nvme { controllers, descriptors: Arc::clone(&context.descriptors) }))
    },
};

struct Nvme {
    controllers: Devices<Controller>,
    descriptors: Arc<Descriptors>,
}

struct Controller {
    attributes: Attributes,
    /// Namespaces, or the paths to them over this controller where several controllers lead to one.
    namespaces: Devices<Namespace>,
}

struct Namespace {
    number: String,
    attributes: Attributes,
}

impl Collector for Nvme {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let descriptors = &self.descriptors;
        self.controllers.refresh(|_, directory| Some(Controller::open(directory, descriptors)))?;
        let mut outcome = Outcome::Nothing;
        for (name, controller) in self.controllers.iter_mut() {
            outcome = Outcome::Collected;
            controller.add(page, name);
            // A controller that vanishes meanwhile costs its namespaces.
            let refreshed =
                controller.namespaces.refresh(|space, directory| Namespace::open(space, directory, descriptors));
            if refreshed.is_ok() {
                controller.namespaces.iter_mut().for_each(|(_, space)| space.add(page, name));
            }
        }
        Ok(outcome)
    }
}

impl Controller {
    fn open(directory: PathBuf, descriptors: &Arc<Descriptors>) -> Self {
        Self { attributes: Attributes::new(directory.clone(), descriptors), namespaces: Devices::new(directory) }
    }

    fn add(&mut self, page: &mut Page, name: &str) {
        const LABELS: [(&str, &str); 5] = [
            ("cntlid", "cntlid"),
            ("firmware_revision", "firmware_rev"),
            ("model", "model"),
            ("serial", "serial"),
            ("state", "state"),
        ];
        let texts = LABELS.map(|(label, file)| (label, self.attributes.text(file).unwrap_or_default()));
        let mut labels: Vec<_> = texts.iter().map(|(label, text)| (*label, text.as_str())).collect();
        labels.insert(1, ("device", name));
        let family = page.family("node_nvme_info", "What the controller is, as labels.", Kind::Gauge);
        page.sample(family, &labels, 1.0);
    }
}

impl Namespace {
    fn open(name: &str, directory: PathBuf, descriptors: &Arc<Descriptors>) -> Option<Self> {
        let in_name = number_in(name)?;
        let mut attributes = Attributes::new(directory, descriptors);
        // Before 6.8 it is in the name alone.
        let number = attributes.text("nsid").unwrap_or_else(|| in_name.to_owned());
        Some(Self { number, attributes })
    }

    fn add(&mut self, page: &mut Page, device: &str) {
        let labels = [("device", device), ("nsid", self.number.as_str())];
        let state = self.attributes.text("ana_state").unwrap_or_else(|| "unknown".to_owned());
        let family = page.family("node_nvme_namespace_info", "Namespaces of the controller, as labels.", Kind::Gauge);
        page.sample(family, &[("ana_state", state.as_str()), ("device", device), ("nsid", &self.number)], 1.0);
        // The size is in sectors of 512 bytes, whatever the namespace's blocks are.
        let size = self.attributes.number("size").map(|sectors| sectors * 512.0);
        let block = self.attributes.number("queue/logical_block_size");
        let used = self.attributes.number("nuse").zip(block).map(|(blocks, size)| blocks * size);
        let mut gauge = |name, help, value: Option<f64>| {
            if let Some(value) = value {
                let family = page.family(name, help, Kind::Gauge);
                page.sample(family, &labels, value);
            }
        };
        gauge("node_nvme_namespace_capacity_bytes", "How much the namespace can hold.", size);
        gauge("node_nvme_namespace_logical_block_size_bytes", "Block size of the namespace.", block);
        gauge("node_nvme_namespace_size_bytes", "Size of the namespace.", size);
        gauge("node_nvme_namespace_used_bytes", "How much of the namespace is in use.", used);
    }
}

/// The number in the name of a namespace such as `nvme0n1`, or of a path to it such as `nvme0c1n1`.
fn number_in(name: &str) -> Option<&str> {
    let (controller, number) = name.strip_prefix("nvme")?.rsplit_once('n')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (controller.split('c').all(is_number) && is_number(number)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_namespaces() {
        #[track_caller]
        fn check(name: &str, want: Option<&str>) {
            assert_eq!(number_in(name), want, "{name}");
        }
        check("nvme0n1", Some("1"));
        check("nvme10c3n12", Some("12"));
        check("nvme0", None);
        check("nvme0n", None);
        check("nvmen1", None);
        check("nvme0n1p2", None);
        check("hwmon1", None);
    }
}
