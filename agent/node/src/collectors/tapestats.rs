//! What tape drives have done, from `/sys/class/scsi_tape`.

use std::sync::Arc;

use agent_exposition::Page;

use crate::attributes::{Attributes, Descriptors, Row};
use crate::devices::Devices;
use crate::pattern::Pattern;
use crate::{CollectError, Collector, FlagSpec, Outcome, Spec, pattern};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "tapestats",
    help: "What tape drives have done.",
    default_on: true,
    flags: &[IGNORED],
    build: |context| {
        Ok(Box::new(Tapestats {
            ignored: pattern::of_flag(&context.flags, &IGNORED)?,
            drives: Devices::new(context.root.sys("class/scsi_tape")),
            descriptors: Arc::clone(&context.descriptors),
        }))
    },
};

const IGNORED: FlagSpec =
    FlagSpec::value("collector.tapestats.ignored-devices", "Drives to leave out: a regular expression.").or("^$");

const ROWS: &[Row] = &[
    Row::gauge("stats/in_flight", "node_tape_io_now", "Operations under way."),
    Row::counter("stats/io_ns", "node_tape_io_time_seconds_total", "Time spent in operations.").over(1e9),
    Row::counter("stats/other_cnt", "node_tape_io_others_total", "Operations that neither read nor write."),
    Row::counter("stats/read_byte_cnt", "node_tape_read_bytes_total", "Bytes read."),
    Row::counter("stats/read_cnt", "node_tape_reads_completed_total", "Reads."),
    Row::counter("stats/read_ns", "node_tape_read_time_seconds_total", "Time spent reading.").over(1e9),
    Row::counter("stats/resid_cnt", "node_tape_residual_total", "Reads and writes of less than was asked for."),
    Row::counter("stats/write_byte_cnt", "node_tape_written_bytes_total", "Bytes written."),
    Row::counter("stats/write_cnt", "node_tape_writes_completed_total", "Writes."),
    Row::counter("stats/write_ns", "node_tape_write_time_seconds_total", "Time spent writing.").over(1e9),
];

struct Tapestats {
    ignored: Option<Pattern>,
    drives: Devices<Attributes>,
    descriptors: Arc<Descriptors>,
}

impl Collector for Tapestats {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let (ignored, descriptors) = (self.ignored.as_ref(), &self.descriptors);
        self.drives.refresh(|name, directory| {
            let is_ignored = ignored.is_some_and(|ignored| ignored.is_match(name));
            (is_drive(name) && !is_ignored).then(|| Attributes::new(directory, descriptors))
        })?;
        let mut outcome = Outcome::Nothing;
        for (name, drive) in self.drives.iter_mut() {
            outcome = Outcome::Collected;
            Row::add_all(ROWS, drive, &[("device", name)], page);
        }
        Ok(outcome)
    }
}

/// Whether it is a drive, and not one of its other modes such as `nst0a`.
fn is_drive(name: &str) -> bool {
    name.strip_prefix("st").is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}
