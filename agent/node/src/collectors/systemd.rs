//! What systemd says about its units, over D-Bus.

use std::collections::{BTreeMap, HashMap};

use agent_exposition::{Kind, Page};

use crate::bus::{Address, Bus};
use crate::pattern::{Filter, FilterFlags};
use crate::systemd_units::{self, Answer, Manager, NUMBERS, Number, RESTARTS, START_TIME, TASKS, Unit};
use crate::{BuildError, CollectError, Collector, Context, FlagSpec, Outcome, Scrape, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "systemd",
    help: "The units of systemd.",
    default_on: false,
    flags: &[
        UNIT_INCLUDE,
        UNIT_EXCLUDE,
        TASKS,
        RESTARTS,
        START_TIME,
        UNIT_WHITELIST,
        UNIT_BLACKLIST,
        PRIVATE,
        BUS_ADDRESS,
    ],
    build,
};

const UNIT_INCLUDE: FlagSpec =
    FlagSpec::value("collector.systemd.unit-include", "Units to report: a regular expression for the whole name.")
        .or(".+");
const UNIT_EXCLUDE: FlagSpec = FlagSpec::value(
    "collector.systemd.unit-exclude",
    "Units to leave out of those: a regular expression for the whole name.",
)
.or(r".+\.(automount|device|mount|scope|slice)");
const UNIT_WHITELIST: FlagSpec =
    FlagSpec::value("collector.systemd.unit-whitelist", "Older name of unit-include.").hidden();
const UNIT_BLACKLIST: FlagSpec =
    FlagSpec::value("collector.systemd.unit-blacklist", "Older name of unit-exclude.").hidden();
const PRIVATE: FlagSpec =
    FlagSpec::switch("collector.systemd.private", false, "Ask systemd itself, past the bus; for root alone.").hidden();
const BUS_ADDRESS: FlagSpec =
    FlagSpec::value("collector.systemd.bus-address", "Another bus than the system's, as D-Bus writes it.").hidden();

const SERVICE: &str = "org.freedesktop.systemd1";

fn build(context: &Context) -> Result<Box<dyn Collector>, BuildError> {
    let flags = &*context.flags;
    let names = FilterFlags {
        include: &UNIT_INCLUDE,
        exclude: &UNIT_EXCLUDE,
        old_include: Some(&UNIT_WHITELIST),
        old_exclude: Some(&UNIT_BLACKLIST),
    };
    let address = match (flags.is_on(&PRIVATE), flags.value(&BUS_ADDRESS)) {
        (true, _) => Address::Direct("unix:path=/run/systemd/private".to_owned()),
        (false, Some(address)) => Address::At(address.to_owned()),
        (false, None) => Address::System,
    };
    Ok(Box::new(Systemd {
        bus: Bus::new(address, SERVICE),
        filter: Filter::of_whole_names(flags, &names)?,
        numbers: NUMBERS.iter().filter(|number| number.switch.is_none_or(|flag| flags.is_on(flag))).collect(),
        types: HashMap::new(),
        loaded_at: None,
        scrape: None,
    }))
}

struct Systemd {
    bus: Bus,
    filter: Filter,
    /// What to ask of units.
    numbers: Vec<&'static Number>,
    /// The types of services, which hold until systemd reads its files again.
    types: HashMap<String, String>,
    loaded_at: Option<u64>,
    scrape: Option<Scrape>,
}

impl Collector for Systemd {
    fn begin(&mut self, scrape: Scrape) {
        self.scrape = Some(scrape);
    }

    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let deadline = self.scrape.unwrap_or_else(Scrape::untold).deadline;
        let Self { bus, filter, numbers, types, loaded_at, .. } = self;
        let known = (&*types, *loaded_at);
        let wanted = |name: &str| filter.allows(name);
        let answer = bus.talk(deadline, async |service| systemd_units::ask(service, &wanted, numbers, known).await)?;
        // No bus, or no systemd on it.
        let Some(answer) = answer else { return Ok(Outcome::Nothing) };
        add_manager(page, &answer.manager);
        add_summary(page, &answer.all);
        add_units(page, &answer);
        add_numbers(page, &answer, numbers);
        (*types, *loaded_at) = (answer.types, answer.manager.loaded_at);
        Ok(Outcome::Collected)
    }
}

fn add_manager(page: &mut Page, manager: &Manager) {
    if let Some(version) = &manager.version
        && let Some(number) = version_number(version)
    {
        let family = page.family("node_systemd_version", "Version of systemd.", Kind::Gauge);
        page.sample(family, &[("version", version)], number);
    }
    if let Some(virtualization) = &manager.virtualization {
        let help = "What the machine runs in, as systemd sees it; none is bare metal.";
        let family = page.family("node_systemd_virtualization_info", help, Kind::Gauge);
        let kind = if virtualization.is_empty() { "none" } else { virtualization };
        page.sample(family, &[("virtualization_type", kind)], 1.0);
    }
    if let Some(state) = &manager.state {
        let help = "1 when the system is up and no unit has failed.";
        page.single("node_systemd_system_running", help, Kind::Gauge, f64::from(u8::from(state == "running")));
    }
}

const STATES: [&str; 5] = ["activating", "active", "deactivating", "failed", "inactive"];

fn add_summary(page: &mut Page, all: &[Unit]) {
    let mut counts: BTreeMap<&str, u64> = STATES.into_iter().map(|state| (state, 0)).collect();
    all.iter().for_each(|unit| *counts.entry(&unit.active_state).or_default() += 1);
    let family = page.family("node_systemd_units", "Units by state, those left out included.", Kind::Gauge);
    for (state, count) in counts {
        page.sample(family, &[("state", state)], count as f64);
    }
}

fn add_units(page: &mut Page, answer: &Answer) {
    let family = page.family("node_systemd_unit_state", "1 for the state that the unit is in.", Kind::Gauge);
    for unit in &answer.wanted {
        let kind =
            answer.types.get(&unit.name).or_else(|| answer.mount_types.get(&unit.name)).map_or("", String::as_str);
        for state in STATES {
            let labels = [("name", unit.name.as_str()), ("state", state), ("type", kind)];
            page.sample(family, &labels, f64::from(u8::from(unit.active_state == state)));
        }
    }
}

fn add_numbers(page: &mut Page, answer: &Answer, numbers: &[&'static Number]) {
    for (number, values) in numbers.iter().zip(&answer.numbers) {
        let family = page.family(number.metric, number.help, number.kind);
        for (unit, value) in values {
            if let Some(unit) = answer.wanted.get(*unit) {
                page.sample(family, &[("name", &unit.name)], value / number.divisor);
            }
        }
    }
}

/// The version as a number, of texts such as `252.19-1~deb12u1`, `v249` and `systemd 239`: at least three digits,
/// and perhaps a point and more.
fn version_number(text: &str) -> Option<f64> {
    let mut words = text.split(|c: char| !c.is_ascii_digit() && c != '.');
    words.find_map(|word| {
        let mut parts = word.split('.').skip_while(|part| part.len() < 3);
        let major = parts.next()?;
        match parts.next().filter(|minor| !minor.is_empty()) {
            Some(minor) => format!("{major}.{minor}").parse().ok(),
            None => major.parse().ok(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        #[track_caller]
        fn check(text: &str, want: Option<f64>) {
            assert_eq!(version_number(text), want, "{text}");
        }
        check("252.19-1~deb12u1", Some(252.19));
        check("v249", Some(249.0));
        check("systemd 239 (239-58.el8)", Some(239.0));
        check("255.4-1ubuntu8", Some(255.4));
        check("257~rc1", Some(257.0));
        check("12.300.1", Some(300.1));
        check("", None);
        check("unknown", None);
    }
}
