//! Disks that several paths lead to, from `/sys/block/dm-N`.

use std::path::PathBuf;
use std::sync::Arc;

use agent_exposition::{Kind, Page};

use crate::attributes::{Attributes, Descriptors};
use crate::devices::Devices;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "dmmultipath",
    help: "Disks that several paths lead to.",
    default_on: true,
    flags: &[],
    build: |context| {
        let maps = Devices::new(context.root.sys("block"));
        Ok(Box::new(Dmmultipath { maps, descriptors: Arc::clone(&context.descriptors) }))
    },
};

struct Dmmultipath {
    maps: Devices<Map>,
    descriptors: Arc<Descriptors>,
}

/// A disk that the device mapper makes of several paths.
struct Map {
    uuid: String,
    attributes: Attributes,
    paths: Devices<Attributes>,
}

impl Collector for Dmmultipath {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let descriptors = &self.descriptors;
        self.maps
            .refresh(|name, directory| name.starts_with("dm-").then(|| Map::open(directory, descriptors)).flatten())?;
        let mut outcome = Outcome::Nothing;
        for (name, map) in self.maps.iter_mut() {
            outcome = Outcome::Collected;
            map.add(page, name, descriptors);
        }
        Ok(outcome)
    }
}

impl Map {
    /// `None` for what the device mapper makes of other things. It has its name for life.
    fn open(directory: PathBuf, descriptors: &Arc<Descriptors>) -> Option<Self> {
        let paths = Devices::new(directory.join("slaves"));
        let mut attributes = Attributes::new(directory, descriptors);
        let uuid = attributes.text("dm/uuid").filter(|uuid| uuid.starts_with("mpath-"))?;
        Some(Self { uuid, attributes, paths })
    }

    fn add(&mut self, page: &mut Page, sysfs_name: &str, descriptors: &Arc<Descriptors>) {
        let Some(device) = self.attributes.text("dm/name") else { return };
        let labels = [("device", device.as_str()), ("sysfs_name", sysfs_name), ("uuid", &self.uuid)];
        let family = page.family("node_dmmultipath_device_info", "What the disk is, as labels.", Kind::Gauge);
        page.sample(family, &labels, 1.0);
        let labels = labels.get(..2).unwrap_or_default();
        let mut gauge = |name, help, value: Option<f64>| {
            if let Some(value) = value {
                let family = page.family(name, help, Kind::Gauge);
                page.sample(family, labels, value);
            }
        };
        let suspended = self.attributes.number("dm/suspended");
        let active = suspended.map(|suspended| f64::from(u8::from(suspended == 0.0)));
        gauge("node_dmmultipath_device_active", "1 if the disk works, 0 if it is suspended.", active);
        let size = self.attributes.number("size").map(|sectors| sectors * 512.0);
        gauge("node_dmmultipath_device_size_bytes", "Size of the disk.", size);
        // A disk that vanishes meanwhile costs its paths.
        if self.paths.refresh(|_, directory| Some(Attributes::new(directory, descriptors))).is_err() {
            return;
        }
        let state = |path: &mut Attributes| path.text("device/state").unwrap_or_else(|| "unknown".to_owned());
        let states: Vec<_> = self.paths.iter_mut().map(|(name, path)| (name.to_owned(), state(path))).collect();
        // SCSI says running, NVMe says live.
        let good = states.iter().filter(|(_, state)| state == "running" || state == "live").count();
        gauge("node_dmmultipath_device_paths", "Paths to the disk.", Some(states.len() as f64));
        gauge("node_dmmultipath_device_paths_active", "Paths that work.", Some(good as f64));
        let help = "Paths that do not work.";
        gauge("node_dmmultipath_device_paths_failed", help, Some((states.len() - good) as f64));
        let family = page.family("node_dmmultipath_path_state", "States of paths, as labels.", Kind::Gauge);
        for (path, state) in &states {
            page.sample(family, &[("device", device.as_str()), ("path", path), ("state", state)], 1.0);
        }
    }
}
