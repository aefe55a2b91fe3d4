//! What volumes and logs of containers take, as the disk thread found it, and how full it is where volumes lie.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use agent_exposition::{Kind, Page, SharedId};

use crate::background::disk::{FileSystem, Found};
use crate::catalogue::Metric;
use crate::described::{Described, Volume};
use crate::sets::{Set, Sets};
use crate::sheet::Sheet;
use crate::stats::results;

/// What volumes lie on, by where that is mounted: each once, however many volumes it holds.
pub(crate) type Under = BTreeMap<Arc<str>, FileSystem>;

/// Whether anything is mounted into a container that is to be measured.
pub(crate) fn is_wanted(volume: &Volume, sets: Sets) -> bool {
    sets.has(if volume.name.is_some() { Set::Volume } else { Set::Bind })
}

/// Adds the volumes and the log of a container, and what the volumes lie on to `under`.
pub(crate) fn put(
    sheet: &mut Sheet<'_>,
    labels: SharedId,
    described: &Described,
    sets: Sets,
    found: &Found,
    under: &mut Under,
) {
    let now = Instant::now();
    if let Some(bytes) = described.log.as_ref().filter(|_| sets.has(Set::Log)).and_then(|log| found.log(log, now)) {
        sheet.put(Metric::LogUsage, labels, &[], bytes as f64);
    }
    for volume in described.volumes.iter().filter(|volume| is_wanted(volume, sets)) {
        let Some(place) = found.place(&volume.source, now) else { continue };
        let Some((mount, file_system)) = found.under(place, now) else { continue };
        let source = volume.source.to_string_lossy();
        let its_labels = [
            ("device", &*file_system.device),
            ("driver", volume.driver.as_str()),
            ("mountpoint", volume.destination.as_str()),
            ("volume", volume.name.as_deref().unwrap_or(&source)),
        ];
        // A folder of the machine has no driver.
        let its_labels: Vec<_> = its_labels.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        sheet.put(Metric::VolumeUsage, labels, &its_labels, place.used.bytes as f64);
        sheet.put(Metric::VolumeUsageInodes, labels, &its_labels, place.used.inodes as f64);
        sheet.put(Metric::VolumeUsageTimestamp, labels, &its_labels, results::seconds(place));
        under.entry(name(mount)).or_insert_with(|| file_system.clone());
    }
}

fn name(mount: &Path) -> Arc<str> {
    mount.to_string_lossy().into()
}

/// Adds what volumes lie on. The figures are of the file system, so they bear no container's labels.
pub(crate) fn put_under(page: &mut Page, under: &Under) {
    for (mount, file_system) in under {
        let labels = &[("device", &*file_system.device), ("mountpoint", &**mount)];
        let size = page.family(
            "container_volume_filesystem_size_bytes",
            "Size of a file system that volumes of containers lie on, in bytes.",
            Kind::Gauge,
        );
        page.sample(size, labels, file_system.size as f64);
        let available = page.family(
            "container_volume_filesystem_available_bytes",
            "Bytes that are left for volumes on that file system.",
            Kind::Gauge,
        );
        page.sample(available, labels, file_system.available as f64);
    }
}
