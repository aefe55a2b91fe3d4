//! What each zone of memory holds, from `/proc/zoneinfo`.

use agent_exposition::{Kind, Page};
use agent_procfs::zoneinfo::{self, Zone};

use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "zoneinfo",
    help: "What each zone of memory holds.",
    default_on: false,
    flags: &[],
    build: |context| Ok(Box::new(Zoneinfo { file: Source::new(context.root.proc("zoneinfo")) })),
};

struct Zoneinfo {
    file: Source,
}

impl Collector for Zoneinfo {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let zones = self.file.parse_lossy(|bytes| Ok(zoneinfo::parse(bytes)))?;
        for (name, field, help) in FIELDS {
            let kind = if name.ends_with("_total") { Kind::Counter } else { Kind::Gauge };
            let family = page.family(*name, *help, kind);
            for zone in &zones {
                if let Some(value) = zone.field(field) {
                    page.sample(family, &[("node", zone.node), ("zone", zone.zone)], value as f64);
                }
            }
        }
        zones.iter().for_each(|zone| add_protection(page, zone));
        Ok(if zones.is_empty() { Outcome::Nothing } else { Outcome::Collected })
    }
}

fn add_protection(page: &mut Page, zone: &Zone) {
    for (lower, pages) in zone.protection.iter().enumerate() {
        let help = format!("Pages kept back from those who could use zone {lower}, counted from the lowest.");
        let family = page.family(format!("node_zoneinfo_protection_{lower}"), help, Kind::Gauge);
        page.sample(family, &[("node", zone.node), ("zone", zone.zone)], *pages as f64);
    }
}

/// A metric, the kernel's name of its field, and what it says.
#[rustfmt::skip]
const FIELDS: &[(&str, &str, &str)] = &[
    ("node_zoneinfo_high_pages", "high", "Free pages at which the zone is well again."),
    ("node_zoneinfo_low_pages", "low", "Free pages below which memory is reclaimed in the background."),
    ("node_zoneinfo_managed_pages", "managed", "Pages that the zone can hand out."),
    ("node_zoneinfo_min_pages", "min", "Free pages below which those who want memory have to reclaim it."),
    ("node_zoneinfo_nr_active_anon_pages", "nr_active_anon", "Pages of programs used lately."),
    ("node_zoneinfo_nr_active_file_pages", "nr_active_file", "Pages of files used lately."),
    ("node_zoneinfo_nr_anon_pages", "nr_anon_pages", "Pages of programs that are no file."),
    ("node_zoneinfo_nr_anon_transparent_hugepages", "nr_anon_transparent_hugepages", "Transparent huge pages of programs."),
    ("node_zoneinfo_nr_dirtied_total", "nr_dirtied", "Pages changed since boot, to be written."),
    ("node_zoneinfo_nr_dirty_pages", "nr_dirty", "Pages waiting to be written."),
    ("node_zoneinfo_nr_file_pages", "nr_file_pages", "Pages of files."),
    ("node_zoneinfo_nr_free_pages", "nr_free_pages", "Pages that nobody uses."),
    ("node_zoneinfo_nr_inactive_anon_pages", "nr_inactive_anon", "Pages of programs not used lately."),
    ("node_zoneinfo_nr_inactive_file_pages", "nr_inactive_file", "Pages of files not used lately."),
    ("node_zoneinfo_nr_isolated_anon_pages", "nr_isolated_anon", "Pages of programs that are being reclaimed."),
    ("node_zoneinfo_nr_isolated_file_pages", "nr_isolated_file", "Pages of files that are being reclaimed."),
    ("node_zoneinfo_nr_kernel_stacks", "nr_kernel_stack", "Stacks of tasks in the kernel, in KiB."),
    ("node_zoneinfo_nr_mapped_pages", "nr_mapped", "Pages of files mapped into programs."),
    ("node_zoneinfo_nr_mlock_stack_pages", "nr_mlock_stack", "Locked pages found while memory was reclaimed."),
    ("node_zoneinfo_nr_shmem_pages", "nr_shmem", "Pages of shared memory and tmpfs."),
    ("node_zoneinfo_nr_slab_reclaimable_pages", "nr_slab_reclaimable", "Pages of kernel objects that can be given up."),
    ("node_zoneinfo_nr_slab_unreclaimable_pages", "nr_slab_unreclaimable", "Pages of kernel objects that cannot be given up."),
    ("node_zoneinfo_nr_unevictable_pages", "nr_unevictable", "Pages that cannot be given up."),
    ("node_zoneinfo_nr_writeback_pages", "nr_writeback", "Pages being written."),
    ("node_zoneinfo_nr_written_total", "nr_written", "Pages written since boot."),
    ("node_zoneinfo_numa_foreign_total", "numa_foreign", "Pages wanted here and taken from another node, since boot."),
    ("node_zoneinfo_numa_hit_total", "numa_hit", "Pages taken where they were wanted, since boot."),
    ("node_zoneinfo_numa_interleave_total", "numa_interleave", "Pages taken here because nodes take turns, since boot."),
    ("node_zoneinfo_numa_local_total", "numa_local", "Pages given to tasks that run on this node, since boot."),
    ("node_zoneinfo_numa_miss_total", "numa_miss", "Pages taken here and wanted on another node, since boot."),
    ("node_zoneinfo_numa_other_total", "numa_other", "Pages given to tasks that run on other nodes, since boot."),
    ("node_zoneinfo_present_pages", "present", "Pages that the zone has."),
    ("node_zoneinfo_scanned_pages", "scanned", "Pages looked at since one was last reclaimed."),
    ("node_zoneinfo_spanned_pages", "spanned", "Pages from the zone's first to its last, holes included."),
];
