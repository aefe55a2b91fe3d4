//! Tasks that hung, from `/proc/sys/kernel/hung_task_detect_count` (kernel 6.13 and later).

use agent_exposition::{Kind, Page};
use agent_procfs::scan;

use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "kernel_hung",
    help: "Tasks that hung.",
    default_on: true,
    flags: &[],
    build: |context| {
        Ok(Box::new(KernelHung {
            file: Source::new(context.root.proc("sys/kernel/hung_task_detect_count")).with_short_lines(),
        }))
    },
};

struct KernelHung {
    file: Source,
}

impl Collector for KernelHung {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let count = match self.file.parse(scan::single) {
            Ok(count) => count,
            Err(error) if error.is_not_found() => return Ok(Outcome::Nothing),
            Err(error) => return Err(error.into()),
        };
        let help = "Tasks that were found to hang, since boot.";
        page.single("node_kernel_hung_tasks_total", help, Kind::Counter, count as f64);
        Ok(Outcome::Collected)
    }
}
