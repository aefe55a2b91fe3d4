//! How btrfs file systems use their devices, from `/sys/fs/btrfs` and from the file systems themselves.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agent_exposition::{Kind, Page};
use agent_procfs::mountinfo::Mount;
use agent_procfs::{Root, counter_lines};

use crate::attributes::{Attributes, Descriptors, Row};
use crate::btrfs_devices::{self, Device};
use crate::devices::Devices;
use crate::shared::FromMounts;
use crate::{CollectError, Collector, Outcome, Scrape, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "btrfs",
    help: "How btrfs file systems use their devices.",
    default_on: true,
    flags: &[],
    build: |context| {
        let root = &context.root;
        Ok(Box::new(Btrfs {
            mount_points: FromMounts::new(&context.mounts),
            scrape: 0,
            file_systems: Devices::new(root.sys("fs/btrfs")),
            descriptors: Arc::clone(&context.descriptors),
            root: root.clone(),
        }))
    },
};

struct Btrfs {
    root: Root,
    /// The list of mounts is asked for only where there is a file system to be found.
    mount_points: FromMounts<Vec<MountPoint>>,
    scrape: u64,
    file_systems: Devices<FileSystem>,
    descriptors: Arc<Descriptors>,
}

/// What block groups are for.
const TYPES: [&str; 3] = ["data", "metadata", "system"];

struct FileSystem {
    attributes: Attributes,
    /// The profiles of the block groups of each type.
    profiles: [(&'static str, Devices<Attributes>); 3],
    devices: Devices<Attributes>,
}

const GLOBAL_RESERVE: &[Row] = &[Row::gauge(
    "allocation/global_rsv_size",
    "node_btrfs_global_rsv_size_bytes",
    "Space kept for when there is no other.",
)];

/// Lines of `commit_stats`: name, family, help, kind, and how many of the kernel's units make one of the metric's.
const COMMITS: &[(&str, &str, &str, Kind, f64)] = &[
    ("commits", "node_btrfs_commits_total", "Commits.", Kind::Counter, 1.0),
    ("last_commit_ms", "node_btrfs_last_commit_seconds", "How long the last commit took.", Kind::Gauge, 1000.0),
    ("max_commit_ms", "node_btrfs_max_commit_seconds", "How long the longest commit took.", Kind::Gauge, 1000.0),
    ("total_commit_ms", "node_btrfs_commit_seconds_total", "How long all commits took.", Kind::Counter, 1000.0),
];

const PROFILE: &[Row] = &[
    Row::gauge("total_bytes", "node_btrfs_size_bytes", "Space for that type of block groups of that profile."),
    Row::gauge("used_bytes", "node_btrfs_used_bytes", "Space in use by that type of block groups of that profile."),
];

impl Collector for Btrfs {
    fn begin(&mut self, scrape: Scrape) {
        self.scrape = scrape.number;
    }

    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let descriptors = &self.descriptors;
        // File systems are named by their UUIDs; beside them are the features of the kernel.
        self.file_systems
            .refresh(|name, directory| name.contains('-').then(|| FileSystem::open(directory, descriptors)))?;
        if self.file_systems.iter_mut().next().is_none() {
            return Ok(Outcome::Nothing);
        }
        let asked = self.ask();
        for (uuid, file_system) in self.file_systems.iter_mut() {
            file_system.add(page, uuid, &self.descriptors);
            match asked.get(uuid) {
                Some(devices) => devices.iter().for_each(|device| add_device(page, uuid, device)),
                None => file_system.add_sizes(page, uuid),
            }
        }
        Ok(Outcome::Collected)
    }
}

impl Btrfs {
    /// What mounted file systems say about their devices, by UUID. One that cannot be asked is left out.
    fn ask(&mut self) -> BTreeMap<String, Vec<Device>> {
        let root = &self.root;
        let mount_points = self.mount_points.get(self.scrape, |mounts| mount_points(root, mounts));
        let (mut asked, mut seen) = (BTreeMap::new(), HashSet::new());
        for (number, mount_point) in mount_points.map(|points| points.as_slice()).unwrap_or_default() {
            // A file system may be mounted in many places.
            if !seen.contains(number)
                && let Some((uuid, devices)) = btrfs_devices::devices(mount_point)
            {
                seen.insert(*number);
                asked.insert(uuid, devices);
            }
        }
        asked
    }
}

/// The device number of a file system, and where it is mounted.
type MountPoint = ((u32, u32), PathBuf);

fn mount_points(root: &Root, mounts: &[Mount]) -> Vec<MountPoint> {
    let path = |mount: &Mount| {
        let mount_point = Path::new(OsStr::from_bytes(&mount.mount_point));
        root.rootfs.join(mount_point.strip_prefix("/").unwrap_or(mount_point))
    };
    let mounted = mounts.iter().filter(|mount| mount.fs_type == b"btrfs");
    mounted.map(|mount| ((mount.major, mount.minor), path(mount))).collect()
}

impl FileSystem {
    fn open(directory: PathBuf, descriptors: &Arc<Descriptors>) -> Self {
        let profiles = TYPES.map(|kind| (kind, Devices::new(directory.join("allocation").join(kind))));
        let devices = Devices::new(directory.join("devices"));
        Self { attributes: Attributes::new(directory, descriptors), profiles, devices }
    }

    fn add(&mut self, page: &mut Page, uuid: &str, descriptors: &Arc<Descriptors>) {
        let label = self.attributes.text("label").unwrap_or_default();
        let family = page.family("node_btrfs_info", "Labels of file systems, as labels.", Kind::Gauge);
        page.sample(family, &[("label", label.as_str()), ("uuid", uuid)], 1.0);
        Row::add_all(GLOBAL_RESERVE, &mut self.attributes, &[("uuid", uuid)], page);
        // Since 6.0.
        self.attributes.get("commit_stats", |content| {
            let lines = counter_lines::parse(content).value;
            for (line, name, help, kind, divisor) in COMMITS {
                let value = counter_lines::find(&lines, line).first()?;
                let family = page.family(*name, *help, *kind);
                page.sample(family, &[("uuid", uuid)], *value as f64 / divisor);
            }
            Some(())
        });
        // A file system that is unmounted meanwhile costs its parts.
        let _ = self.devices.refresh(|_, directory| Some(Attributes::new(directory, descriptors)));
        let devices = self.devices.iter_mut().count();
        for (kind, profiles) in &mut self.profiles {
            let reserved = self.attributes.number(&format!("allocation/{kind}/bytes_reserved"));
            let help = "Space promised, by type of block groups.";
            let family = page.family("node_btrfs_reserved_bytes", help, Kind::Gauge);
            if let Some(reserved) = reserved {
                page.sample(family, &[("block_group_type", kind), ("uuid", uuid)], reserved);
            }
            let refreshed =
                profiles.refresh(|_, directory| directory.is_dir().then(|| Attributes::new(directory, descriptors)));
            if refreshed.is_ok() {
                profiles.iter_mut().for_each(|(mode, files)| add_profile(page, files, (kind, mode, uuid), devices));
            }
        }
    }

    /// The sizes of the devices, as the block layer has them.
    fn add_sizes(&mut self, page: &mut Page, uuid: &str) {
        for (device, files) in self.devices.iter_mut() {
            if let Some(sectors) = files.number("size") {
                let family = page.family(DEVICE_SIZE.0, DEVICE_SIZE.1, Kind::Gauge);
                page.sample(family, &[("device", device), ("uuid", uuid)], sectors * 512.0);
            }
        }
    }
}

const DEVICE_SIZE: (&str, &str) = ("node_btrfs_device_size_bytes", "Size of the device.");

fn add_profile(page: &mut Page, files: &mut Attributes, (kind, mode, uuid): (&str, &str, &str), devices: usize) {
    let labels = [("block_group_type", kind), ("mode", mode), ("uuid", uuid)];
    Row::add_all(PROFILE, files, &labels, page);
    if let Some(ratio) = ratio(mode, devices) {
        let help = "Space on devices that a byte takes.";
        let family = page.family("node_btrfs_allocation_ratio", help, Kind::Gauge);
        page.sample(family, &labels, ratio);
    }
}

/// How many bytes of devices a byte takes. `None` for a profile that is not known, or needs more devices.
fn ratio(profile: &str, devices: usize) -> Option<f64> {
    let devices = devices as f64;
    let with_parity = |parity| Some(devices / (devices - parity)).filter(|_| devices > parity);
    match profile {
        "single" | "raid0" => Some(1.0),
        "dup" | "raid1" | "raid10" => Some(2.0),
        "raid1c3" => Some(3.0),
        "raid1c4" => Some(4.0),
        "raid5" => with_parity(1.0),
        "raid6" => with_parity(2.0),
        _ => None,
    }
}

fn add_device(page: &mut Page, uuid: &str, device: &Device) {
    let labels = [("btrfs_dev_uuid", device.uuid.as_str()), ("device", &device.name), ("uuid", uuid)];
    let family = page.family(DEVICE_SIZE.0, DEVICE_SIZE.1, Kind::Gauge);
    page.sample(family, &labels, device.size as f64);
    let help = "Space of the device that no block group has.";
    let family = page.family("node_btrfs_device_unused_bytes", help, Kind::Gauge);
    page.sample(family, &labels, device.size.saturating_sub(device.used) as f64);
    let help = "Errors of the device, by type.";
    let family = page.family("node_btrfs_device_errors_total", help, Kind::Counter);
    for (kind, count) in ["write", "read", "flush", "corruption", "generation"].iter().zip(device.errors) {
        let [dev_uuid, name, uuid] = labels;
        page.sample(family, &[dev_uuid, name, ("type", kind), uuid], count as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_of_profiles() {
        #[track_caller]
        fn check(profile: &str, devices: usize, want: Option<f64>) {
            assert_eq!(ratio(profile, devices), want, "{profile}");
        }
        check("single", 1, Some(1.0));
        check("raid10", 4, Some(2.0));
        check("raid1c4", 4, Some(4.0));
        check("raid5", 3, Some(1.5));
        check("raid6", 4, Some(2.0));
        check("raid5", 1, None);
        check("raid7", 4, None);
    }
}
