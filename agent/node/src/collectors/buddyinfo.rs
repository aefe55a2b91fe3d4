//! Free blocks of memory by size, from `/proc/buddyinfo`.

use agent_exposition::{Kind, Page};
use agent_procfs::buddyinfo;

use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "buddyinfo",
    help: "Free blocks of memory by size.",
    default_on: false,
    flags: &[],
    build: |context| Ok(Box::new(Buddyinfo { file: Source::new(context.root.proc("buddyinfo")) })),
};

struct Buddyinfo {
    file: Source,
}

impl Collector for Buddyinfo {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let zones = self.file.parse_lossy(|bytes| Ok(buddyinfo::parse(bytes)))?;
        let help = "Free blocks of memory; size n means 2 to the power of n pages.";
        let family = page.family("node_buddyinfo_blocks", help, Kind::Gauge);
        for zone in &zones {
            for (size, blocks) in zone.blocks.iter().enumerate() {
                let labels = [("node", zone.node), ("size", &size.to_string()), ("zone", zone.zone)];
                page.sample(family, &labels, *blocks as f64);
            }
        }
        Ok(Outcome::Collected)
    }
}
