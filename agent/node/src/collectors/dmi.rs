//! What machine this is, from `/sys/class/dmi/id`.

use agent_exposition::{Kind, Page};

use crate::attributes::Attributes;
use crate::{BuildError, CollectError, Collector, Context, Outcome, Spec};

/// Registration.
pub const SPEC: Spec =
    Spec { name: "dmi", help: "Maker, model and firmware of the machine.", default_on: true, flags: &[], build };

/// Labels and files. Only root may read those with serial numbers.
const LABELS: &[(&str, &str)] = &[
    ("bios_date", "bios_date"),
    ("bios_release", "bios_release"),
    ("bios_vendor", "bios_vendor"),
    ("bios_version", "bios_version"),
    ("board_name", "board_name"),
    ("board_serial", "board_serial"),
    ("board_vendor", "board_vendor"),
    ("board_version", "board_version"),
    ("chassis_asset_tag", "chassis_asset_tag"),
    ("chassis_serial", "chassis_serial"),
    ("chassis_vendor", "chassis_vendor"),
    ("chassis_version", "chassis_version"),
    ("product_family", "product_family"),
    ("product_name", "product_name"),
    ("product_serial", "product_serial"),
    ("product_sku", "product_sku"),
    ("product_uuid", "product_uuid"),
    ("product_version", "product_version"),
    ("system_vendor", "sys_vendor"),
];

fn build(context: &Context) -> Result<Box<dyn Collector>, BuildError> {
    let mut files = Attributes::new(context.root.sys("class/dmi/id"), &context.descriptors);
    let labels = LABELS.iter().filter_map(|(label, file)| Some((*label, files.text(file)?))).collect();
    Ok(Box::new(Dmi { labels }))
}

/// The firmware says it once, and it is read once.
struct Dmi {
    labels: Vec<(&'static str, String)>,
}

impl Collector for Dmi {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        if self.labels.is_empty() {
            return Ok(Outcome::Nothing);
        }
        let labels: Vec<_> = self.labels.iter().map(|(label, value)| (*label, value.as_str())).collect();
        let help = "Maker, model and firmware of the machine, as labels.";
        let family = page.family("node_dmi_info", help, Kind::Gauge);
        page.sample(family, &labels, 1.0);
        Ok(Outcome::Collected)
    }
}
