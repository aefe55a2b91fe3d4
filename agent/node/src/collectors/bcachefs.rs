//! What bcachefs file systems have done, from `/sys/fs/bcachefs`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use agent_exposition::{Kind, Page};
use agent_procfs::bcachefs;

use crate::attributes::{Attributes, Descriptors, Row};
use crate::devices::Devices;
use crate::directory;
use crate::fields::word;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "bcachefs",
    help: "What bcachefs file systems have done.",
    default_on: true,
    flags: &[],
    build: |context| {
        let file_systems = Devices::new(context.root.sys("fs/bcachefs"));
        Ok(Box::new(Bcachefs { file_systems, descriptors: Arc::clone(&context.descriptors) }))
    },
};

struct Bcachefs {
    file_systems: Devices<FileSystem>,
    descriptors: Arc<Descriptors>,
}

struct FileSystem {
    attributes: Attributes,
    /// Files of counters with their families and what these mean. Which ones there are depends on the kernel.
    counters: Vec<(String, String, String)>,
    devices: Devices<Attributes>,
}

const CACHE: Row =
    Row::gauge("btree_cache_size", "node_bcachefs_btree_cache_size_bytes", "Memory that the trees take.");

const DEVICE: &[Row] = &[
    Row::gauge("bucket_size", "node_bcachefs_device_bucket_size_bytes", "Size of a bucket of the device."),
    Row::gauge("nbuckets", "node_bcachefs_device_buckets", "Buckets of the device."),
    Row::gauge("durability", "node_bcachefs_device_durability", "How many copies one on the device counts as."),
];

impl Collector for Bcachefs {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let descriptors = &self.descriptors;
        self.file_systems
            .refresh(|_, directory| directory.is_dir().then(|| FileSystem::open(directory, descriptors)))?;
        let mut outcome = Outcome::Nothing;
        for (uuid, file_system) in self.file_systems.iter_mut() {
            outcome = Outcome::Collected;
            file_system.add(page, uuid, descriptors);
        }
        Ok(outcome)
    }
}

impl FileSystem {
    fn open(directory: PathBuf, descriptors: &Arc<Descriptors>) -> Self {
        let names = directory::names(&directory.join("counters")).unwrap_or_default();
        let counters: BTreeMap<_, _> =
            names.iter().map(|name| (format!("node_bcachefs_{}_total", word(name)), name)).collect();
        let counters = counters.into_iter().map(|(family, name)| {
            let help = format!("Counter {name} of the file system, since it was made.");
            (format!("counters/{name}"), family, help)
        });
        let counters = counters.collect();
        let devices = Devices::new(directory.clone());
        Self { attributes: Attributes::new(directory, descriptors), counters, devices }
    }

    fn add(&mut self, page: &mut Page, uuid: &str, descriptors: &Arc<Descriptors>) {
        let family = page.family("node_bcachefs_info", "File systems, as labels.", Kind::Gauge);
        page.sample(family, &[("uuid", uuid)], 1.0);
        let files = &mut self.attributes;
        if let Some(size) = files.get(CACHE.file(), bcachefs::amount) {
            CACHE.add(page, &[("uuid", uuid)], size);
        }
        for (file, family, help) in &self.counters {
            if let Some(value) = files.get(file, bcachefs::counter) {
                let family = page.family(family.clone(), help.clone(), Kind::Counter);
                page.sample(family, &[("uuid", uuid)], value);
            }
        }
        files.get("compression_stats", |content| {
            let help = "What data takes, by algorithm.";
            let compressed = ("node_bcachefs_compression_compressed_bytes", help, Kind::Gauge);
            let help = "What data would take uncompressed, by algorithm.";
            let uncompressed = ("node_bcachefs_compression_uncompressed_bytes", help, Kind::Gauge);
            add_table(page, [compressed, uncompressed], content, ("algorithm", uuid))
        });
        files.get("btree_write_stats", |content| {
            let writes = ("node_bcachefs_btree_writes_total", "Nodes of trees written, by reason.", Kind::Counter);
            let help = "Size of the nodes of trees written, on average, by reason.";
            let sizes = ("node_bcachefs_btree_write_average_size_bytes", help, Kind::Gauge);
            add_table(page, [writes, sizes], content, ("type", uuid))
        });
        files.get("errors", |content| {
            let family = page.family("node_bcachefs_errors_total", "Errors, by type.", Kind::Counter);
            for (name, count) in unique(bcachefs::errors(content)) {
                page.sample(family, &[("error_type", name), ("uuid", uuid)], count as f64);
            }
            Some(())
        });
        let refreshed = self
            .devices
            .refresh(|name, directory| name.starts_with("dev-").then(|| Attributes::new(directory, descriptors)));
        // A file system that is unmounted meanwhile costs its devices.
        if refreshed.is_ok() {
            for (name, files) in self.devices.iter_mut() {
                add_device(page, files, name.trim_start_matches("dev-"), uuid);
            }
        }
    }
}

/// Adds the two columns of a table to their families: name, help and kind. The label's name is given for those of rows.
fn add_table(
    page: &mut Page,
    families: [(&'static str, &'static str, Kind); 2],
    content: &[u8],
    (label, uuid): (&str, &str),
) -> Option<()> {
    let families = families.map(|(name, help, kind)| page.family(name, help, kind));
    for (name, values) in unique(bcachefs::table(content)) {
        for (family, value) in families.iter().zip(values) {
            page.sample(*family, &[(label, name), ("uuid", uuid)], value);
        }
    }
    Some(())
}

fn add_device(page: &mut Page, files: &mut Attributes, device: &str, uuid: &str) {
    let (label, state) = (files.text("label").unwrap_or_default(), files.text("state").unwrap_or_default());
    let family = page.family("node_bcachefs_device_info", "Devices of file systems, as labels.", Kind::Gauge);
    page.sample(family, &[("device", device), ("label", &label), ("state", &state), ("uuid", uuid)], 1.0);
    for row in DEVICE {
        if let Some(value) = files.get(row.file(), bcachefs::amount) {
            row.add(page, &[("device", device), ("uuid", uuid)], value);
        }
    }
    files.get("io_done", |content| {
        let help = "Bytes read and written, by kind of data.";
        let family = page.family("node_bcachefs_device_io_done_bytes_total", help, Kind::Counter);
        let done = bcachefs::io_done(content).map(|(operation, kind, bytes)| ((operation, kind), bytes));
        for ((operation, kind), bytes) in unique(done) {
            let labels = [("data_type", kind), ("device", device), ("operation", operation), ("uuid", uuid)];
            page.sample(family, &labels, bytes as f64);
        }
        Some(())
    });
    files.get("io_errors", |content| {
        let family =
            page.family("node_bcachefs_device_io_errors_total", "Errors of the device, by type.", Kind::Counter);
        for (kind, count) in unique(bcachefs::io_errors(content)) {
            page.sample(family, &[("device", device), ("type", kind), ("uuid", uuid)], count as f64);
        }
        Some(())
    });
}

/// Each name once, as a series may be there only once.
fn unique<K: Ord, V>(pairs: impl Iterator<Item = (K, V)>) -> BTreeMap<K, V> {
    pairs.collect()
}
