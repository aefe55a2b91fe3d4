//! Pages of equal content that the kernel has merged, from `/sys/kernel/mm/ksm`.

use agent_exposition::Page;
use agent_procfs::Malformed;

use crate::attributes::{Row, number};
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
        let files = ROWS.iter().map(|row| (row, Source::new(directory.join(row.file())))).collect();
        Ok(Box::new(Ksmd { files }))
    },
};

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row::counter("full_scans", "node_ksmd_full_scans_total", "How often all memory that may be merged was looked through."),
    Row::gauge("general_profit", "node_ksmd_general_profit_bytes", "Memory saved, less what merging itself takes."),
    Row::gauge("merge_across_nodes", "node_ksmd_merge_across_nodes", "1 where pages of different NUMA nodes may be merged."),
    Row::gauge("pages_shared", "node_ksmd_pages_shared", "Pages that stand for several."),
    Row::gauge("pages_sharing", "node_ksmd_pages_sharing", "Pages that were saved."),
    Row::gauge("pages_to_scan", "node_ksmd_pages_to_scan", "Pages to look at before the next rest."),
    Row::gauge("pages_unshared", "node_ksmd_pages_unshared", "Pages looked at and found to be like no other."),
    Row::gauge("pages_volatile", "node_ksmd_pages_volatile", "Pages that change too often to be merged."),
    Row::gauge("run", "node_ksmd_run", "0 stopped, 1 runs, 2 stopped and all pages taken apart again."),
    Row::gauge("sleep_millisecs", "node_ksmd_sleep_seconds", "How long a rest is.").over(1000.0),
];

struct Ksmd {
    files: Vec<(&'static Row, Source)>,
}

impl Collector for Ksmd {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        for (row, file) in &mut self.files {
            let value = file.parse(|content| {
                number(content.trim_ascii()).ok_or(Malformed { line: 1, reason: "expected a number" })
            });
            match value {
                Ok(value) => row.add(page, &[], value),
                // The kernel has no KSM, or an older one with fewer files.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(if page.sample_count() == 0 { Outcome::Nothing } else { Outcome::Collected })
    }
}
