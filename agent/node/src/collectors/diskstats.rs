//! What each disk has done, from `/proc/diskstats`; what it is, from udev's data and `/sys/block`.

use std::collections::HashMap;

use agent_exposition::{FamilyId, Kind, Page};
use agent_procfs::diskstats::{self, Disk};

use crate::disk_identity::{Identities, Identity};
use crate::pattern::{Filter, FilterFlags};
use crate::source::Source;
use crate::{CollectError, Collector, FlagSpec, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "diskstats",
    help: "What each disk has done.",
    default_on: true,
    flags: &[DEVICE_EXCLUDE, DEVICE_INCLUDE, IGNORED_DEVICES],
    build: |context| {
        Ok(Box::new(Diskstats {
            file: Source::new(context.root.proc("diskstats")).with_short_lines(),
            filter: Filter::build(
                &context.flags,
                &FilterFlags {
                    include: &DEVICE_INCLUDE,
                    exclude: &DEVICE_EXCLUDE,
                    old_include: None,
                    old_exclude: Some(&IGNORED_DEVICES),
                },
            )?,
            identities: Identities::new(&context.root),
            allowed: HashMap::new(),
        }))
    },
};

const DEVICE_EXCLUDE: FlagSpec = FlagSpec::value(
    "collector.diskstats.device-exclude",
    "Devices to leave out: a regular expression. Not beside device-include.",
)
.or(r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$");
const DEVICE_INCLUDE: FlagSpec = FlagSpec::value(
    "collector.diskstats.device-include",
    "Devices to report: a regular expression. Not beside device-exclude.",
);
const IGNORED_DEVICES: FlagSpec =
    FlagSpec::value("collector.diskstats.ignored-devices", "Older name of device-exclude.").hidden();

struct Diskstats {
    file: Source,
    filter: Filter,
    identities: Identities,
    /// What the filter says, by name.
    allowed: HashMap<String, bool>,
}

/// In what the kernel counts.
#[derive(Clone, Copy)]
enum Unit {
    One,
    /// 512 bytes, whatever the disk has.
    Sector,
    Millisecond,
}

impl Unit {
    /// The number in base units.
    fn of(self, number: u64) -> f64 {
        match self {
            Self::One => number as f64,
            Self::Sector => number as f64 * 512.0,
            Self::Millisecond => number as f64 / 1000.0,
        }
    }
}

/// The families of the columns, in their order.
const COLUMNS: [(&str, &str, Kind, Unit); diskstats::COLUMNS] = [
    ("node_disk_reads_completed_total", "Reads done.", Kind::Counter, Unit::One),
    ("node_disk_reads_merged_total", "Reads that were joined to another one.", Kind::Counter, Unit::One),
    ("node_disk_read_bytes_total", "Bytes read.", Kind::Counter, Unit::Sector),
    ("node_disk_read_time_seconds_total", "Time that reads took, summed over all.", Kind::Counter, Unit::Millisecond),
    ("node_disk_writes_completed_total", "Writes done.", Kind::Counter, Unit::One),
    ("node_disk_writes_merged_total", "Writes that were joined to another one.", Kind::Counter, Unit::One),
    ("node_disk_written_bytes_total", "Bytes written.", Kind::Counter, Unit::Sector),
    ("node_disk_write_time_seconds_total", "Time that writes took, summed over all.", Kind::Counter, Unit::Millisecond),
    ("node_disk_io_now", "Requests that the disk is busy with.", Kind::Gauge, Unit::One),
    ("node_disk_io_time_seconds_total", "Time in which the disk was busy.", Kind::Counter, Unit::Millisecond),
    (
        "node_disk_io_time_weighted_seconds_total",
        "Time in which the disk was busy, times the requests at each moment.",
        Kind::Counter,
        Unit::Millisecond,
    ),
    ("node_disk_discards_completed_total", "Discards done.", Kind::Counter, Unit::One),
    ("node_disk_discards_merged_total", "Discards that were joined to another one.", Kind::Counter, Unit::One),
    ("node_disk_discarded_sectors_total", "Sectors of 512 bytes discarded.", Kind::Counter, Unit::One),
    (
        "node_disk_discard_time_seconds_total",
        "Time that discards took, summed over all.",
        Kind::Counter,
        Unit::Millisecond,
    ),
    ("node_disk_flush_requests_total", "Flushes done.", Kind::Counter, Unit::One),
    (
        "node_disk_flush_requests_time_seconds_total",
        "Time that flushes took, summed over all.",
        Kind::Counter,
        Unit::Millisecond,
    ),
];

impl Collector for Diskstats {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let Self { file, filter, identities, allowed } = self;
        let mut disks = file.parse_lossy(|bytes| Ok(diskstats::parse(bytes)))?;
        if allowed.len() > 2 * disks.len() + 64 {
            allowed.clear();
        }
        let known = allowed.len();
        disks.retain(|disk| match allowed.get(disk.name) {
            Some(allows) => *allows,
            None => *allowed.entry(disk.name.to_owned()).or_insert_with(|| filter.allows(disk.name)),
        });
        if allowed.len() == known {
            filter.rest();
        }
        let columns = COLUMNS.map(|(name, help, kind, _)| page.family(name, help, kind));
        let infos = Infos::of(page);
        identities.refresh(&disks);
        for disk in &disks {
            add_columns(page, &columns, disk);
            if let Some(identity) = identities.get(disk) {
                infos.add(page, disk.name, identity);
            }
        }
        Ok(if disks.is_empty() { Outcome::Nothing } else { Outcome::Collected })
    }
}

fn add_columns(page: &mut Page, families: &[FamilyId], disk: &Disk) {
    for ((family, (.., unit)), number) in families.iter().zip(COLUMNS).zip(disk.columns()) {
        page.sample(*family, &[("device", disk.name)], unit.of(*number));
    }
}

/// The families that say what a disk is.
struct Infos {
    disk: FamilyId,
    filesystem: FamilyId,
    device_mapper: FamilyId,
    ata: [FamilyId; 3],
}

impl Infos {
    fn of(page: &mut Page) -> Self {
        let mut family = |name, help| page.family(name, help, Kind::Gauge);
        Self {
            disk: family("node_disk_info", "What a disk is, as labels."),
            filesystem: family("node_disk_filesystem_info", "The file system on a disk, as labels."),
            device_mapper: family("node_disk_device_mapper_info", "The mapped device that a disk is, as labels."),
            ata: [
                family("node_disk_ata_rotation_rate_rpm", "Turns of an ATA disk per minute; 0 for one without."),
                family("node_disk_ata_write_cache", "1 for an ATA disk with a write cache."),
                family("node_disk_ata_write_cache_enabled", "1 for an ATA disk with its write cache turned on."),
            ],
        }
    }

    fn add(&self, page: &mut Page, device: &str, identity: &Identity) {
        let of = |name: &str| identity.udev.get(name).unwrap_or_default();
        let serial = ["SCSI_IDENT_SERIAL", "ID_SERIAL_SHORT", "ID_SERIAL"].map(of).into_iter().find(|s| !s.is_empty());
        let labels = [
            ("device", device),
            ("major", &identity.major),
            ("minor", &identity.minor),
            ("model", of("ID_MODEL")),
            ("path", of("ID_PATH")),
            ("revision", of("ID_REVISION")),
            ("rotational", if identity.rotational { "1" } else { "0" }),
            ("serial", serial.unwrap_or_default()),
            ("wwn", of("ID_WWN")),
        ];
        page.sample(self.disk, &labels, 1.0);
        if !of("ID_FS_TYPE").is_empty() {
            let labels = [
                ("device", device),
                ("type", of("ID_FS_TYPE")),
                ("usage", of("ID_FS_USAGE")),
                ("uuid", of("ID_FS_UUID")),
                ("version", of("ID_FS_VERSION")),
            ];
            page.sample(self.filesystem, &labels, 1.0);
        }
        if !of("DM_NAME").is_empty() {
            let labels = [
                ("device", device),
                ("lv_layer", of("DM_LV_LAYER")),
                ("lv_name", of("DM_LV_NAME")),
                ("name", of("DM_NAME")),
                ("uuid", of("DM_UUID")),
                ("vg_name", of("DM_VG_NAME")),
            ];
            page.sample(self.device_mapper, &labels, 1.0);
        }
        if !of("ID_ATA").is_empty() {
            const ATA: [&str; 3] = ["ID_ATA_ROTATION_RATE_RPM", "ID_ATA_WRITE_CACHE", "ID_ATA_WRITE_CACHE_ENABLED"];
            for (family, property) in self.ata.into_iter().zip(ATA) {
                if let Ok(value) = of(property).parse() {
                    page.sample(family, &[("device", device)], value);
                }
            }
        }
    }
}
