//! Software RAID arrays, from `/proc/mdstat` and `/sys/block/NAME/md`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use agent_exposition::{Kind, Page};
use agent_procfs::mdstat::{self, Array, State};
use agent_procfs::scan;

use crate::attributes::{Attributes, Descriptors};
use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "mdadm",
    help: "Software RAID arrays.",
    default_on: true,
    flags: &[],
    build: |context| {
        Ok(Box::new(Mdadm {
            file: Source::new(context.root.proc("mdstat")),
            blocks: context.root.sys("block"),
            attributes: BTreeMap::new(),
            descriptors: Arc::clone(&context.descriptors),
        }))
    },
};

struct Mdadm {
    file: Source,
    blocks: PathBuf,
    /// By the array's name.
    attributes: BTreeMap<String, Attributes>,
    descriptors: Arc<Descriptors>,
}

impl Collector for Mdadm {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let arrays = match self.file.parse_lossy(|bytes| Ok(mdstat::parse(bytes))) {
            Ok(arrays) => arrays,
            Err(error) if error.is_not_found() => return Ok(Outcome::Nothing),
            Err(error) => return Err(error.into()),
        };
        self.attributes.retain(|name, _| arrays.iter().any(|array| array.name == name));
        for array in &arrays {
            add(page, array);
            let open = || Attributes::new(self.blocks.join(array.name).join("md"), &self.descriptors);
            let attributes = self.attributes.entry(array.name.to_owned()).or_insert_with(open);
            add_attributes(page, array.name, attributes);
        }
        Ok(Outcome::Collected)
    }
}

fn add(page: &mut Page, array: &Array) {
    let device = ("device", array.name);
    let help = "1 for what the array does now.";
    let family = page.family("node_md_state", help, Kind::Gauge);
    const STATES: [(&str, State); 5] = [
        ("active", State::Active),
        ("check", State::Checking),
        ("inactive", State::Inactive),
        ("recovering", State::Recovering),
        ("resync", State::Resyncing),
    ];
    for (name, state) in STATES {
        page.sample(family, &[device, ("state", name)], f64::from(u8::from(array.state == state)));
    }
    let family = page.family("node_md_disks", "Disks of the array, by state.", Kind::Gauge);
    let disks = [("active", array.disks_active), ("failed", array.disks_failed), ("spare", array.disks_spare)];
    for (state, count) in disks {
        page.sample(family, &[device, ("state", state)], count as f64);
    }
    let mut gauge = |name, help, value: u64| {
        let family = page.family(name, help, Kind::Gauge);
        page.sample(family, &[device], value as f64);
    };
    gauge("node_md_disks_required", "Disks that the array should have.", array.disks_required);
    gauge("node_md_blocks", "Size of the array, in blocks of 1024 bytes.", array.blocks);
    gauge("node_md_blocks_synced", "Blocks that are in sync, or reached by what goes on.", array.blocks_synced);
}

fn add_attributes(page: &mut Page, device: &str, attributes: &mut Attributes) {
    let mut gauge = |file, name, help| {
        // While the array is reshaped, the old number of disks follows the new one.
        let Some(value) = attributes.get(file, |content| scan::fields(content).next().and_then(scan::number)) else {
            return;
        };
        let family = page.family(name, help, Kind::Gauge);
        page.sample(family, &[("device", device)], value as f64);
    };
    gauge("raid_disks", "node_md_raid_disks", "Disks that the whole array has.");
    gauge("degraded", "node_md_degraded", "Disks that the array lacks.");
}
