//! Open file handles of the whole system, from `/proc/sys/fs/file-nr`.

use agent_exposition::{Kind, Page};
use agent_procfs::file_nr;

use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "filefd",
    help: "Open file handles and their limit.",
    default_on: true,
    flags: &[],
    build: |context| Ok(Box::new(Filefd { file: Source::new(context.root.proc("sys/fs/file-nr")).with_short_lines() })),
};

struct Filefd {
    file: Source,
}

impl Collector for Filefd {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let file_nr = self.file.parse(file_nr::parse)?;
        page.single("node_filefd_allocated", "File handles that are open.", Kind::Gauge, file_nr.allocated as f64);
        page.single(
            "node_filefd_maximum",
            "Most file handles that may be open at once.",
            Kind::Gauge,
            file_nr.maximum as f64,
        );
        Ok(Outcome::Collected)
    }
}
