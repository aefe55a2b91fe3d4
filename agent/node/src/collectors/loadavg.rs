//! Load averages, from `/proc/loadavg`.

use agent_exposition::{Kind, Page};

use crate::{CollectError, Collector, Context, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "loadavg",
    help: "Load averages.",
    default_on: true,
    flags: &[],
    build: |context| Ok(Box::new(Loadavg { root: context.root.clone() })),
};

struct Loadavg {
    root: agent_procfs::Root,
}

impl Collector for Loadavg {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let _ = (&self.root, Kind::Gauge, page);
        Ok(Outcome::Nothing)
    }
}
