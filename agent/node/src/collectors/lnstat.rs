//! What the network's caches have done, from `/proc/net/stat/*`.

use agent_exposition::{Kind, Page};
use agent_procfs::lnstat::{self, Lnstat as File};

use crate::devices::Devices;
use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "lnstat",
    help: "What the network's caches have done.",
    default_on: false,
    flags: &[],
    build: |context| Ok(Box::new(Lnstat { files: Devices::new(context.root.proc("net/stat")) })),
};

struct Lnstat {
    /// They come and go with the modules that have them.
    files: Devices<Source>,
}

impl Collector for Lnstat {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        self.files.refresh(|_, path| Some(Source::new(path)))?;
        let mut outcome = Outcome::Nothing;
        for (name, file) in self.files.iter_mut() {
            let table = match file.parse_lossy(|bytes| Ok(lnstat::parse(bytes))) {
                Ok(table) => table,
                // The module that had it is gone.
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error.into()),
            };
            outcome = Outcome::Collected;
            add(page, name, &table);
        }
        Ok(outcome)
    }
}

fn add(page: &mut Page, subsystem: &str, table: &File) {
    for (column, name) in table.columns.iter().enumerate() {
        let help = format!("Column {name} of the network's caches, by CPU.");
        let family = page.family(format!("node_lnstat_{name}_total"), help, Kind::Counter);
        // Entries come and go: they are under the name where they are looked for, and under the right one.
        let gauge = (*name == "entries").then(|| {
            page.family("node_lnstat_entries", "Entries in the network's caches, the same for each CPU.", Kind::Gauge)
        });
        for (cpu, values) in table.cpus.iter().enumerate() {
            let Some(value) = values.get(column) else { continue };
            let cpu = cpu.to_string();
            for family in [Some(family), gauge].into_iter().flatten() {
                page.sample(family, &[("cpu", &cpu), ("subsystem", subsystem)], *value as f64);
            }
        }
    }
}
