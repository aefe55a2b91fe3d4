//! What ZFS has done, and its pools and datasets, from `/proc/spl/kstat/zfs`.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use agent_exposition::{Kind, Page};
use agent_procfs::kstat::{self, Value};

use crate::attributes::{Attributes, Descriptors};
use crate::devices::Devices;
use crate::fields::word;
use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "zfs",
    help: "What ZFS has done, and its pools and datasets.",
    default_on: true,
    flags: &[],
    build: |context| {
        let directory = context.root.proc("spl/kstat/zfs");
        let lists = LISTS.map(|(file, prefix)| (file, prefix, Source::new(directory.join(file))));
        let descriptors = Arc::clone(&context.descriptors);
        Ok(Box::new(Zfs { lists, pools: Devices::new(directory), descriptors }))
    },
};

/// Files with statistics of the whole machine, and what stands before their names in the names of families.
const LISTS: [(&str, &str); 11] = [
    ("abdstats", "abd"),
    ("arcstats", "arc"),
    ("dbufstats", "dbuf"),
    ("dmu_tx", "dmu_tx"),
    ("dnodestats", "dnode"),
    ("fm", "fm"),
    ("vdev_cache_stats", "vdev_cache"),
    ("vdev_mirror_stats", "vdev_mirror"),
    ("xuio_stats", "xuio"),
    ("zfetchstats", "zfetch"),
    ("zil", "zil"),
];

/// States of a pool.
const STATES: [&str; 7] = ["degraded", "faulted", "offline", "online", "removed", "suspended", "unavail"];

struct Zfs {
    lists: [(&'static str, &'static str, Source); 11],
    pools: Devices<Pool>,
    descriptors: Arc<Descriptors>,
}

struct Pool {
    attributes: Attributes,
    /// Each with a single file, so that one that is gone leaves nothing behind.
    datasets: Devices<Attributes>,
}

impl Collector for Zfs {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let descriptors = &self.descriptors;
        if !self.pools.refresh(|_, directory| directory.is_dir().then(|| Pool::open(directory, descriptors)))? {
            return Ok(Outcome::Nothing);
        }
        let mut outcome = Outcome::Nothing;
        for (file, prefix, source) in &mut self.lists {
            match source.parse_lossy(|bytes| Ok(kstat::list(bytes))) {
                Ok(list) => {
                    outcome = Outcome::Collected;
                    add_list(page, file, prefix, &list);
                }
                // Which files there are depends on the version.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        for (name, pool) in self.pools.iter_mut() {
            outcome = Outcome::Collected;
            pool.add(page, name, descriptors);
        }
        Ok(outcome)
    }
}

fn add_list(page: &mut Page, file: &str, prefix: &str, list: &[(&str, Value)]) {
    let mut seen = HashSet::new();
    for (name, value) in list {
        let Value::Number(value) = value else { continue };
        let family = format!("node_zfs_{prefix}_{}", word(name));
        if seen.insert(family.clone()) {
            page.single(family, format!("Field {name} of /proc/spl/kstat/zfs/{file}."), Kind::Untyped, *value);
        }
    }
}

impl Pool {
    fn open(directory: PathBuf, descriptors: &Arc<Descriptors>) -> Self {
        Self { attributes: Attributes::new(directory.clone(), descriptors), datasets: Devices::new(directory) }
    }

    fn add(&mut self, page: &mut Page, name: &str, descriptors: &Arc<Descriptors>) {
        if let Some(state) = self.attributes.text("state") {
            let family = page.family("node_zfs_zpool_state", "1 for the state that the pool is in.", Kind::Gauge);
            for known in STATES {
                let is_in = f64::from(u8::from(state.eq_ignore_ascii_case(known)));
                page.sample(family, &[("state", known), ("zpool", name)], is_in);
            }
        }
        // Newer versions do not have it.
        self.attributes.get("io", |content| {
            for (field, value) in kstat::table(content).ok()? {
                let help = format!("Field {field} of /proc/spl/kstat/zfs/POOL/io.");
                let family = page.family(format!("node_zfs_zpool_{field}"), help, Kind::Untyped);
                page.sample(family, &[("zpool", name)], value as f64);
            }
            Some(())
        });
        let opened = self.datasets.refresh(|file, path| {
            let directory = path.parent().filter(|_| file.starts_with("objset-"))?;
            Some(Attributes::new(directory.to_owned(), descriptors))
        });
        // A pool that vanishes meanwhile costs its datasets.
        if opened.is_ok() {
            let mut seen = HashSet::new();
            for (file, dataset) in self.datasets.iter_mut() {
                dataset.get(file, |content| add_dataset(page, name, &kstat::list(content).value, &mut seen));
            }
        }
    }
}

fn add_dataset(page: &mut Page, pool: &str, list: &[(&str, Value)], seen: &mut HashSet<String>) -> Option<()> {
    let dataset = list.iter().find_map(|(name, value)| match value {
        Value::Text(text) if *name == "dataset_name" => Some(*text),
        _ => None,
    })?;
    if !seen.insert(dataset.to_owned()) {
        return None;
    }
    for (name, value) in list {
        let Value::Number(value) = value else { continue };
        let help = format!("Field {name} of /proc/spl/kstat/zfs/POOL/objset-ID.");
        let family = page.family(format!("node_zfs_zpool_dataset_{}", word(name)), help, Kind::Untyped);
        page.sample(family, &[("dataset", dataset), ("zpool", pool)], *value);
    }
    Some(())
}
