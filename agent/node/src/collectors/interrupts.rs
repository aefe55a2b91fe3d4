//! Interrupts by source and CPU, from `/proc/interrupts`.

use agent_exposition::{Kind, Page};
use agent_procfs::interrupts;

use crate::pattern::{Filter, FilterFlags};
use crate::source::Source;
use crate::{CollectError, Collector, FlagSpec, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "interrupts",
    help: "Interrupts by source and CPU.",
    default_on: false,
    flags: &[INCLUDE, EXCLUDE, INCLUDE_ZEROS],
    build: |context| {
        let names = FilterFlags { include: &INCLUDE, exclude: &EXCLUDE, old_include: None, old_exclude: None };
        Ok(Box::new(Interrupts {
            file: Source::new(context.root.proc("interrupts")),
            filter: Filter::build(&context.flags, &names)?,
            zeros: context.flags.is_on(&INCLUDE_ZEROS),
        }))
    },
};

const INCLUDE: FlagSpec = FlagSpec::value(
    "collector.interrupts.name-include",
    "Interrupts to report: a regular expression on TYPE;INFO;DEVICES. Not beside name-exclude.",
);
const EXCLUDE: FlagSpec = FlagSpec::value(
    "collector.interrupts.name-exclude",
    "Interrupts to leave out: a regular expression on TYPE;INFO;DEVICES. Not beside name-include.",
);
const INCLUDE_ZEROS: FlagSpec =
    FlagSpec::switch("collector.interrupts.include-zeros", true, "Report a CPU that has served none, too.");

struct Interrupts {
    file: Source,
    filter: Filter,
    zeros: bool,
}

impl Collector for Interrupts {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let table = self.file.parse_lossy(interrupts::parse)?;
        let cpus: Vec<_> = table.cpus.iter().map(u32::to_string).collect();
        let family = page.family("node_interrupts_total", "Interrupts served since boot.", Kind::Counter);
        for source in &table.sources {
            let (info, devices) = describe(source.name, source.description);
            // A row without a word about it is a sum, such as that of errors on a machine with one CPU.
            if info.is_empty() || !self.filter.allows(&format!("{};{info};{devices}", source.name)) {
                continue;
            }
            for (cpu, count) in cpus.iter().zip(table.counts(source)).filter(|(_, count)| self.zeros || **count > 0) {
                let labels = [("cpu", cpu.as_str()), ("devices", &devices), ("info", &info), ("type", source.name)];
                page.sample(family, &labels, *count as f64);
            }
        }
        Ok(Outcome::Collected)
    }
}

/// The labels `info` and `devices`. A line of hardware, which has a number for a name, names its controller first.
fn describe(name: &str, description: &str) -> (String, String) {
    let mut words = description.split_ascii_whitespace();
    match name.bytes().all(|b| b.is_ascii_digit()) {
        true => (words.next().unwrap_or_default().to_owned(), join(words)),
        false => (join(words), String::new()),
    }
}

fn join<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_and_sentences() {
        #[track_caller]
        fn check(name: &str, description: &str, info: &str, devices: &str) {
            assert_eq!(describe(name, description), (info.to_owned(), devices.to_owned()));
        }
        check("24", "IO-APIC   5-edge      ACPI:Ged", "IO-APIC", "5-edge ACPI:Ged");
        check("28", "PCI-MSIX-0000:00:01.0", "PCI-MSIX-0000:00:01.0", "");
        check("NMI", "Non-maskable   interrupts", "Non-maskable interrupts", "");
        check("ERR", "", "", "");
    }
}
