//! Boot time, context switches, interrupts and processes, from `/proc/stat`.

use std::sync::Arc;

use agent_exposition::{Kind, Page};
use agent_procfs::stat::SOFTIRQS;

use crate::shared::SharedStat;
use crate::{CollectError, Collector, FlagSpec, Outcome, Scrape, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "stat",
    help: "Boot time, context switches, interrupts, forks and tasks.",
    default_on: true,
    flags: &[SOFTIRQ],
    build: |context| {
        Ok(Box::new(Stat { stat: Arc::clone(&context.stat), scrape: 0, softirq: context.flags.is_on(&SOFTIRQ) }))
    },
};

const SOFTIRQ: FlagSpec = FlagSpec::switch("collector.stat.softirq", false, "Report soft interrupts by kind.");

struct Stat {
    stat: Arc<SharedStat>,
    scrape: u64,
    softirq: bool,
}

impl Collector for Stat {
    fn begin(&mut self, scrape: Scrape) {
        self.scrape = scrape.number;
    }

    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let stat = self.stat.get(self.scrape)?;
        let singles = [
            ("node_boot_time_seconds", "Unix time at which the kernel booted.", Kind::Gauge, stat.boot_time),
            (
                "node_context_switches_total",
                "Switches from one task to another, since boot.",
                Kind::Counter,
                stat.context_switches,
            ),
            ("node_forks_total", "Processes and threads made since boot.", Kind::Counter, stat.forks),
            ("node_intr_total", "Interrupts served since boot.", Kind::Counter, stat.interrupts),
            ("node_procs_blocked", "Tasks that wait for I/O.", Kind::Gauge, stat.procs_blocked),
            ("node_procs_running", "Tasks that run or could run.", Kind::Gauge, stat.procs_running),
        ];
        for (name, help, kind, value) in singles {
            if let Some(value) = value {
                page.single(name, help, kind, value as f64);
            }
        }
        if self.softirq {
            let family =
                page.family("node_softirqs_total", "Soft interrupts served since boot, by kind.", Kind::Counter);
            for (vector, count) in SOFTIRQS.iter().zip(&stat.softirqs) {
                page.sample(family, &[("vector", vector)], *count as f64);
            }
        }
        Ok(Outcome::Collected)
    }
}
