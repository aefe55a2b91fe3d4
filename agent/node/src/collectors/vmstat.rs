//! Paging, swapping and OOM kills, from `/proc/vmstat`.

use agent_exposition::{Kind, Page};
use agent_procfs::vmstat;

use crate::fields::Fields;
use crate::source::Source;
use crate::{CollectError, Collector, FlagSpec, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "vmstat",
    help: "Paging, swapping, page faults and OOM kills.",
    default_on: true,
    flags: &[FIELDS],
    build: |context| {
        let fields = Fields::build(&context.flags, &FIELDS, "node_vmstat_", help)?;
        Ok(Box::new(Vmstat { file: Source::new(context.root.proc("vmstat")).with_short_lines(), fields }))
    },
};

const FIELDS: FlagSpec = FlagSpec::value("collector.vmstat.fields", "Which fields to report: a regular expression.")
    .or("^(oom_kill|pgpg|pswp|pg.*fault).*");

struct Vmstat {
    file: Source,
    fields: Fields,
}

impl Collector for Vmstat {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        for (name, value) in self.file.parse_lossy(vmstat::parse)? {
            if let Some((name, help)) = self.fields.wanted(name) {
                page.single(name, help, Kind::Untyped, value as f64);
            }
        }
        Ok(Outcome::Collected)
    }
}

fn help(field: &str) -> String {
    let known = match field {
        "oom_kill" => "Tasks killed for want of memory, since boot.",
        "pgfault" => "Page faults since boot.",
        "pgmajfault" => "Page faults that had to wait for I/O, since boot.",
        "pgpgin" => "KiB read from block devices since boot.",
        "pgpgout" => "KiB written to block devices since boot.",
        "pswpin" => "Pages brought in from swap since boot.",
        "pswpout" => "Pages sent out to swap since boot.",
        field => return format!("Field {field} of /proc/vmstat."),
    };
    known.to_owned()
}
