//! The kernel's caches of objects, from `/proc/slabinfo`, which root alone may read.

use agent_exposition::{Kind, Page};
use agent_procfs::slabinfo;

use crate::pattern::Filter;
use crate::source::Source;
use crate::{CollectError, Collector, FlagSpec, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "slabinfo",
    help: "The kernel's caches of objects; for root alone.",
    default_on: false,
    flags: &[INCLUDE, EXCLUDE],
    build: |context| {
        let filter = Filter::of_both(&context.flags, &INCLUDE, &EXCLUDE)?;
        Ok(Box::new(Slabinfo { file: Source::new(context.root.proc("slabinfo")), filter }))
    },
};

const INCLUDE: FlagSpec =
    FlagSpec::value("collector.slabinfo.slabs-include", "Caches to report: a regular expression.").or(".*");
const EXCLUDE: FlagSpec =
    FlagSpec::value("collector.slabinfo.slabs-exclude", "Caches to leave out of those: a regular expression.");

struct Slabinfo {
    file: Source,
    filter: Filter,
}

impl Collector for Slabinfo {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let slabs = self.file.parse_lossy(slabinfo::parse)?;
        let mut gauge = |name, help| page.family(name, help, Kind::Gauge);
        let families = [
            gauge("node_slabinfo_active_objects", "Objects in use."),
            gauge("node_slabinfo_object_size_bytes", "Bytes of an object."),
            gauge("node_slabinfo_objects", "Objects that there is room for."),
            gauge("node_slabinfo_objects_per_slab", "Objects in a slab."),
            gauge("node_slabinfo_pages_per_slab", "Pages of a slab."),
        ];
        for slab in slabs.iter().filter(|slab| self.filter.allows(slab.name)) {
            let values =
                [slab.active_objects, slab.object_size, slab.objects, slab.objects_per_slab, slab.pages_per_slab];
            for (family, value) in families.into_iter().zip(values) {
                page.sample(family, &[("slab", slab.name)], value as f64);
            }
        }
        Ok(Outcome::Collected)
    }
}
