//! Load averages, from `/proc/loadavg`.

use agent_exposition::{Kind, Page};
use agent_procfs::loadavg;

use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "loadavg",
    help: "Load averages.",
    default_on: true,
    flags: &[],
    build: |context| Ok(Box::new(Loadavg { file: Source::new(context.root.proc("loadavg")).with_short_lines() })),
};

struct Loadavg {
    file: Source,
}

impl Collector for Loadavg {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let [one, five, fifteen] = self.file.parse(loadavg::parse)?.averages;
        page.single("node_load1", "Load average over 1 minute.", Kind::Gauge, one);
        page.single("node_load15", "Load average over 15 minutes.", Kind::Gauge, fifteen);
        page.single("node_load5", "Load average over 5 minutes.", Kind::Gauge, five);
        Ok(Outcome::Collected)
    }
}
