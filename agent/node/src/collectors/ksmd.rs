//! Pages of equal content that the kernel has merged, from `/sys/kernel/mm/ksm`.

use agent_exposition::{Kind, Page};
use agent_procfs::{Malformed, scan};

use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "ksmd",
    help: "Pages of equal content that the kernel has merged.",
    default_on: false,
    flags: &[],
    build: |context| {
        let directory = context.root.sys("kernel/mm/ksm");
        let file = |file: &'static File| (Source::new(directory.join(file.name)), file);
        Ok(Box::new(Ksmd { files: FILES.iter().map(file).collect() }))
    },
};

struct File {
    name: &'static str,
    metric: &'static str,
    /// What to divide the kernel's number by.
    divisor: f64,
    help: &'static str,
}

const fn file(name: &'static str, metric: &'static str, divisor: f64, help: &'static str) -> File {
    File { name, metric, divisor, help }
}

#[rustfmt::skip]
const FILES: &[File] = &[
    file("full_scans", "node_ksmd_full_scans_total", 1.0, "How often all memory that may be merged was looked through."),
    file("general_profit", "node_ksmd_general_profit_bytes", 1.0, "Memory saved, less what merging itself takes."),
    file("merge_across_nodes", "node_ksmd_merge_across_nodes", 1.0, "1 where pages of different NUMA nodes may be merged."),
    file("pages_shared", "node_ksmd_pages_shared", 1.0, "Pages that stand for several."),
    file("pages_sharing", "node_ksmd_pages_sharing", 1.0, "Pages that were saved."),
    file("pages_to_scan", "node_ksmd_pages_to_scan", 1.0, "Pages to look at before the next rest."),
    file("pages_unshared", "node_ksmd_pages_unshared", 1.0, "Pages looked at and found to be like no other."),
    file("pages_volatile", "node_ksmd_pages_volatile", 1.0, "Pages that change too often to be merged."),
    file("run", "node_ksmd_run", 1.0, "0 stopped, 1 runs, 2 stopped and all pages taken apart again."),
    file("sleep_millisecs", "node_ksmd_sleep_seconds", 1000.0, "How long a rest is."),
];

struct Ksmd {
    files: Vec<(Source, &'static File)>,
}

impl Collector for Ksmd {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let mut outcome = Outcome::Nothing;
        for (source, file) in &mut self.files {
            let value = match source.parse(number) {
                Ok(value) => value as f64 / file.divisor,
                // The kernel has no KSM, or an older one.
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error.into()),
            };
            outcome = Outcome::Collected;
            let kind = if file.metric.ends_with("_total") { Kind::Counter } else { Kind::Gauge };
            page.single(file.metric, file.help, kind, value);
        }
        Ok(outcome)
    }
}

/// The profit may be a loss.
fn number(bytes: &[u8]) -> Result<i64, Malformed> {
    scan::signed(bytes.trim_ascii()).ok_or(Malformed { line: 1, reason: "expected a number" })
}
