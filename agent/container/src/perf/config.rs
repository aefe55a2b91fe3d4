//! The file of `--perf_events_config`, in cAdvisor's form:
//!
//! ```json
//! { "core":   { "events": ["page-faults", ["instructions", "cycles"], "stalls"],
//!               "custom_events": [{ "type": 4, "config": ["0x5301a2"], "name": "stalls" }] },
//!   "uncore": { "events": ["uncore_imc/cas_count_read"] } }
//! ```
//!
//! Events of one list in the list are counted at the same time. `custom_events` say what a name means; what is counted
//! is named in `events`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agent_procfs::perf_event::{Event, MOST_IN_GROUP};
use agent_procfs::{Root, scan};
use serde::Deserialize;
use serde_json::Value;

use super::names;
use super::units::{self, Unit};

/// The file of events cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PerfError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not of the form that it should be.
    #[error("{}: {error}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        error: serde_json::Error,
    },
    /// A key's value cannot be used.
    #[error("{}: {key}: {reason}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Where in it, such as `core.events[2]`.
        key: String,
        /// What is wrong and what would be right.
        reason: String,
    },
}

/// Which events are counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PerfEvents {
    /// Those of each cgroup; the ones of a group are counted at the same time.
    pub(crate) core: Vec<Vec<Named>>,
    /// Those of parts of the machine that belong to no CPU.
    pub(crate) uncore: Vec<Uncore>,
    /// What the file names and this machine does not count, and why.
    pub(crate) left_out: Vec<String>,
}

/// An event and its name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Named {
    pub(crate) name: Arc<str>,
    pub(crate) event: Event,
}

/// An event of one unit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Uncore {
    pub(crate) named: Named,
    pub(crate) unit: Arc<str>,
    /// CPUs on which it is counted, with their sockets.
    pub(crate) places: Vec<(u32, u32)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    core: Option<Part>,
    uncore: Option<Part>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    events: Option<Vec<Value>>,
    custom_events: Option<Vec<Custom>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Custom {
    #[serde(default, rename = "type")]
    kind: u32,
    config: Vec<String>,
    name: String,
}

/// A reason, and the key that it belongs to below `core` or `uncore`.
struct Wrong {
    key: String,
    reason: String,
}

fn wrong<T>(key: impl Into<String>, reason: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { key: key.into(), reason: reason.into() })
}

impl PerfEvents {
    /// Reads the file, and looks up in `root` what its names mean on this machine.
    ///
    /// # Errors
    /// See [`PerfError`].
    pub fn load(path: &Path, root: &Root) -> Result<Self, PerfError> {
        let content = std::fs::read(path).map_err(|source| PerfError::Read { path: path.to_owned(), source })?;
        Self::parse(&content, path, root)
    }

    fn parse(content: &[u8], path: &Path, root: &Root) -> Result<Self, PerfError> {
        let form = |error| PerfError::Form { path: path.to_owned(), error };
        let file: File = serde_json::from_slice(content).map_err(form)?;
        let machine = Machine { root, units: units::all(root) };
        let mut events = Self::default();
        let core = machine.core(file.core.unwrap_or_default(), &mut events).map_err(|wrong| ("core", wrong));
        let both = core.and_then(|()| {
            machine.uncore(file.uncore.unwrap_or_default(), &mut events).map_err(|wrong| ("uncore", wrong))
        });
        match both {
            Ok(()) => Ok(events),
            Err((part, Wrong { key, reason })) => {
                Err(PerfError::Value { path: path.to_owned(), key: format!("{part}.{key}"), reason })
            }
        }
    }

    /// Whether there is nothing to count.
    pub(crate) fn is_empty(&self) -> bool {
        self.core.is_empty() && self.uncore.is_empty()
    }
}

struct Machine<'a> {
    root: &'a Root,
    units: Vec<Unit>,
}

/// What a name came to.
enum Found<T> {
    Here(T),
    /// With the reason.
    NotHere(String),
}

impl Machine<'_> {
    fn core(&self, part: Part, events: &mut PerfEvents) -> Result<(), Wrong> {
        let customs = customs(part.custom_events.unwrap_or_default())?;
        let mut used = HashSet::new();
        for (at, entry) in part.events.unwrap_or_default().iter().enumerate() {
            let names = names_of(entry, at)?;
            let mut group = Vec::with_capacity(names.len());
            let mut missing = None;
            for (name, key) in names {
                if !used.insert(name.to_owned()) {
                    return wrong(key, format!("{name:?} is named twice, its series would be the same"));
                }
                match self.core_event(name, &customs) {
                    Ok(Found::Here(event)) => group.push(Named { name: name.into(), event }),
                    Ok(Found::NotHere(reason)) => missing = Some(format!("{name}: {reason}")),
                    Err(reason) => return wrong(key, reason),
                }
            }
            match missing {
                None => events.core.push(group),
                Some(reason) => events.left_out.push(reason),
            }
        }
        events.left_out.extend(unused(&customs, &used));
        Ok(())
    }

    fn core_event(&self, name: &str, customs: &[(Custom, Event)]) -> Result<Found<Event>, String> {
        if let Some((_, event)) = customs.iter().find(|(custom, _)| custom.name == name) {
            return Ok(Found::Here(*event));
        }
        if let Some((unit, event)) = name.trim_end_matches('/').split_once('/') {
            let Some(unit) = self.units.iter().find(|known| known.name == unit) else {
                return Ok(Found::NotHere(format!("this machine has no unit {unit}")));
            };
            if unit.cpus.is_some() {
                return Err(format!("the unit {} counts for no CPU but for more: name it in uncore.events", unit.name));
            }
            return unit.event(event).map(Found::Here);
        }
        if let Some(event) = names::event(name) {
            return Ok(Found::Here(event));
        }
        let is_of_cpus =
            |unit: &&Unit| unit.cpus.is_none() && (unit.name.starts_with("cpu") || unit.name.contains("arm"));
        let of_cpus = self.units.iter().filter(is_of_cpus).find_map(|unit| unit.event(name).ok());
        of_cpus.map(Found::Here).ok_or_else(|| {
            format!(
                "unknown event {name:?}: expected a name of `perf list` such as instructions, page-faults, LLC-loads or \
                 cpu/EVENT/; names of libpfm's own are told in core.custom_events, with type and config"
            )
        })
    }

    fn uncore(&self, part: Part, events: &mut PerfEvents) -> Result<(), Wrong> {
        let customs = customs(part.custom_events.unwrap_or_default())?;
        let mut used = HashSet::new();
        let mut series = HashSet::new();
        for (at, entry) in part.events.unwrap_or_default().iter().enumerate() {
            // Units are counted apart from each other, so a group has no meaning here.
            for (name, key) in names_of(entry, at)? {
                used.insert(name.to_owned());
                let found = match self.uncore_events(name, &customs) {
                    Ok(Found::Here(found)) => found,
                    Ok(Found::NotHere(reason)) => {
                        events.left_out.push(format!("{name}: {reason}"));
                        continue;
                    }
                    Err(reason) => return wrong(key, reason),
                };
                for uncore in found {
                    if !series.insert((uncore.named.name.clone(), uncore.unit.clone())) {
                        return wrong(key, format!("{} of {} is named twice", uncore.named.name, uncore.unit));
                    }
                    events.uncore.push(uncore);
                }
            }
        }
        events.left_out.extend(unused(&customs, &used));
        Ok(())
    }

    fn uncore_events(&self, name: &str, customs: &[(Custom, Event)]) -> Result<Found<Vec<Uncore>>, String> {
        let parts = name.trim_end_matches('/').split_once('/');
        let custom = customs.iter().find(|(custom, _)| custom.name == name);
        if let Some((custom, event)) = custom.filter(|(custom, _)| custom.kind != 0) {
            let units: Vec<_> = self.units.iter().filter(|unit| unit.kind == custom.kind).collect();
            let found = units.iter().filter_map(|unit| self.uncore_of(unit, name, *event)).collect();
            return Ok(here_or(found, || format!("this machine has no unit of type {} with a cpumask", custom.kind)));
        }
        let Some((prefix, own_name)) = parts.filter(|(prefix, own_name)| !prefix.is_empty() && !own_name.is_empty())
        else {
            return Err(format!("{name:?} names no unit: expected UNIT/EVENT, such as uncore_imc/cas_count_read"));
        };
        let units: Vec<_> =
            self.units.iter().filter(|unit| unit.cpus.is_some() && unit.name.starts_with(prefix)).collect();
        if units.is_empty() {
            return Ok(Found::NotHere(format!("this machine has no unit {prefix}")));
        }
        if let Some((_, event)) = custom {
            let of_unit = |unit: &&Unit| self.uncore_of(unit, name, Event { kind: unit.kind, ..*event });
            return Ok(here_or(units.iter().filter_map(of_unit).collect(), || "no CPU of its is online".to_owned()));
        }
        let mut reason = String::new();
        let mut found = Vec::new();
        for unit in units {
            match unit.event(own_name) {
                Ok(event) => found.extend(self.uncore_of(unit, own_name, event)),
                Err(error) => reason = error,
            }
        }
        match found.is_empty() && !reason.is_empty() {
            true => Err(format!("{reason}; others are told in uncore.custom_events")),
            false => Ok(here_or(found, || "no CPU of its is online".to_owned())),
        }
    }

    fn uncore_of(&self, unit: &Unit, name: &str, event: Event) -> Option<Uncore> {
        let socket = |cpu: &u32| {
            let path = self.root.sys(format!("devices/system/cpu/cpu{cpu}/topology/physical_package_id"));
            let text = std::fs::read(path).ok()?;
            Some((*cpu, scan::number(text.trim_ascii()).and_then(|socket| u32::try_from(socket).ok())?))
        };
        let places: Vec<_> = unit.cpus.as_ref()?.iter().filter_map(socket).collect();
        let named = Named { name: name.into(), event };
        (!places.is_empty()).then(|| Uncore { named, unit: unit.name.as_str().into(), places })
    }
}

fn here_or(found: Vec<Uncore>, reason: impl FnOnce() -> String) -> Found<Vec<Uncore>> {
    if found.is_empty() { Found::NotHere(reason()) } else { Found::Here(found) }
}

fn customs(all: Vec<Custom>) -> Result<Vec<(Custom, Event)>, Wrong> {
    let read = |(at, custom): (usize, Custom)| {
        let key = |name: &str| format!("custom_events[{at}].{name}");
        if custom.name.is_empty() {
            return wrong(key("name"), "expected a name");
        }
        let mut numbers = [0; 3];
        if custom.config.is_empty() || custom.config.len() > numbers.len() {
            return wrong(key("config"), "expected one, two or three numbers, such as [\"0x5301a2\"]");
        }
        for (number, text) in numbers.iter_mut().zip(&custom.config) {
            let Some(value) = units::number(text) else {
                return wrong(key("config"), format!("{text:?} is no number of 64 bits, such as \"0x5301a2\""));
            };
            *number = value;
        }
        let [config, config1, config2] = numbers;
        let event = Event { kind: custom.kind, config, config1, config2 };
        Ok((custom, event))
    };
    all.into_iter().enumerate().map(read).collect()
}

/// The names of an entry of `events`, each with its key: one, those of a group, or those of a group with a name
/// (`group_id`), which stands for nothing.
fn names_of(entry: &Value, at: usize) -> Result<Vec<(&str, String)>, Wrong> {
    const EXPECTED: &str = "expected the name of an event, or a list of names that are counted at the same time";
    let key = format!("events[{at}]");
    let group = match entry {
        Value::String(name) if !name.is_empty() => return Ok(vec![(name.as_str(), key)]),
        Value::Array(group) => group,
        Value::Object(named) => match named.get("group_events") {
            Some(Value::Array(group)) => group,
            _ => return wrong(format!("{key}.group_events"), "expected a list of names"),
        },
        _ => return wrong(key, EXPECTED),
    };
    if group.is_empty() || group.len() > MOST_IN_GROUP {
        return wrong(key, format!("expected 1 to {MOST_IN_GROUP} names in a group, not {}", group.len()));
    }
    let name = |(within, name): (usize, &'_ Value)| match name {
        Value::String(name) if !name.is_empty() => Ok(format!("{key}[{within}]")),
        _ => wrong(format!("{key}[{within}]"), "expected the name of an event"),
    };
    let keys: Vec<_> = group.iter().enumerate().map(name).collect::<Result<_, _>>()?;
    Ok(group.iter().filter_map(Value::as_str).zip(keys).collect())
}

fn unused(customs: &[(Custom, Event)], used: &HashSet<String>) -> Vec<String> {
    let unused = customs.iter().filter(|(custom, _)| !used.contains(&custom.name));
    unused.map(|(custom, _)| format!("{}: it is in custom_events, but not in events", custom.name)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A machine with a CPU's unit, two of memory (of two dies in two sockets), and one without an event's name.
    fn machine() -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().unwrap();
        let root = Root { sysfs: folder.path().to_owned(), ..Root::default() };
        let mut files = vec![
            ("bus/event_source/devices/cpu/type".to_owned(), "4"),
            ("bus/event_source/devices/cpu/events/topdown-slots".to_owned(), "event=0x00,umask=0x4"),
            ("bus/event_source/devices/cpu/format/event".to_owned(), "config:0-7"),
            ("bus/event_source/devices/cpu/format/umask".to_owned(), "config:8-15"),
        ];
        for (unit, kind) in [("uncore_imc_0", "12"), ("uncore_imc_1", "13"), ("uncore_imc_free", "14")] {
            let unit = format!("bus/event_source/devices/{unit}");
            files.push((format!("{unit}/type"), kind));
            files.push((format!("{unit}/cpumask"), "0-1"));
            if kind != "14" {
                files.push((format!("{unit}/events/cas_count_read"), "config=0x304"));
            }
        }
        for (cpu, socket) in [(0, "0"), (1, "1")] {
            files.push((format!("devices/system/cpu/cpu{cpu}/topology/physical_package_id"), socket));
        }
        for (path, content) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{content}\n")).unwrap();
        }
        (folder, root)
    }

    fn parse(text: &str) -> Result<PerfEvents, String> {
        let (_folder, root) = machine();
        PerfEvents::parse(text.as_bytes(), Path::new("/etc/perf.json"), &root).map_err(|error| error.to_string())
    }

    fn named(name: &str, kind: u32, config: u64) -> Named {
        Named { name: name.into(), event: Event::new(kind, config) }
    }

    #[test]
    fn events_alone_in_groups_and_custom() {
        let events = parse(
            r#"{"core": {
                "events": ["page-faults", ["INSTRUCTIONS", "stalls"], "cpu/topdown-slots/", "topdown-slots",
                           {"group_id": "g", "group_events": ["cycles"]}],
                "custom_events": [{"type": 4, "config": ["0x5301a2", "1", "2"], "name": "stalls"}]}}"#,
        )
        .unwrap();
        let mut stalls = named("stalls", 4, 0x53_01a2);
        (stalls.event.config1, stalls.event.config2) = (1, 2);
        let want = vec![
            vec![named("page-faults", 1, 2)],
            vec![named("INSTRUCTIONS", 0, 1), stalls],
            vec![named("cpu/topdown-slots/", 4, 0x400)],
            vec![named("topdown-slots", 4, 0x400)],
            vec![named("cycles", 0, 0)],
        ];
        assert_eq!(events, PerfEvents { core: want, ..PerfEvents::default() });
        assert!(parse("{}").unwrap().is_empty());
        assert!(parse(r#"{"core": null, "uncore": {"events": null}}"#).unwrap().is_empty());
    }

    #[test]
    fn events_of_units() {
        let events = parse(
            r#"{"uncore": {
                "events": ["uncore_imc/cas_count_read", "uncore_imc_1/writes", "by_type"],
                "custom_events": [{"config": ["0xc04"], "name": "uncore_imc_1/writes"},
                                  {"type": 12, "config": ["7"], "name": "by_type"}]}}"#,
        )
        .unwrap();
        let of = |unit: &str, name: &str, kind, config| Uncore {
            named: named(name, kind, config),
            unit: unit.into(),
            places: vec![(0, 0), (1, 1)],
        };
        let want = vec![
            of("uncore_imc_0", "cas_count_read", 12, 0x304),
            of("uncore_imc_1", "cas_count_read", 13, 0x304),
            of("uncore_imc_1", "uncore_imc_1/writes", 13, 0xc04),
            of("uncore_imc_0", "by_type", 12, 7),
        ];
        assert_eq!(events, PerfEvents { uncore: want, ..PerfEvents::default() });
    }

    #[test]
    fn what_this_machine_lacks_is_left_out_and_told() {
        let events = parse(
            r#"{"core": {"events": ["cpu_atom/x/", ["cycles", "cpu_atom/y/"], "faults"],
                         "custom_events": [{"type": 4, "config": ["1"], "name": "idle"}]},
                "uncore": {"events": ["uncore_upi/x", "gone"],
                           "custom_events": [{"type": 99, "config": ["1"], "name": "gone"}]}}"#,
        )
        .unwrap();
        assert_eq!(events.core, [[named("faults", 1, 2)]]);
        assert!(events.uncore.is_empty());
        assert_eq!(
            events.left_out,
            [
                "cpu_atom/x/: this machine has no unit cpu_atom",
                "cpu_atom/y/: this machine has no unit cpu_atom",
                "idle: it is in custom_events, but not in events",
                "uncore_upi/x: this machine has no unit uncore_upi",
                "gone: this machine has no unit of type 99 with a cpumask",
            ]
        );
    }

    #[test]
    fn every_refusal_says_where_and_what() {
        #[track_caller]
        fn check(text: &str, want: &str) {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with("/etc/perf.json: ") && error.contains(want), "{text}\n{error}");
        }
        check("", "line 1 column 0");
        check("{\"core\": {\n\"event\": []}}", "unknown field `event`, expected `events` or `custom_events` at line 2");
        check(
            r#"{"core": {"events": ["inst_retired.any_p"]}}"#,
            "core.events[0]: unknown event \"inst_retired.any_p\"",
        );
        check(r#"{"core": {"events": ["inst_retired.any_p"]}}"#, "core.custom_events");
        check(r#"{"core": {"events": ["cs", ["faults", 3]]}}"#, "core.events[1][1]: expected the name of an event");
        check(r#"{"core": {"events": [7]}}"#, "core.events[0]: expected the name of an event, or a list");
        check(r#"{"core": {"events": [""]}}"#, "core.events[0]: expected the name");
        check(r#"{"core": {"events": [[]]}}"#, "core.events[0]: expected 1 to 32 names");
        check(r#"{"core": {"events": [{"group_id": "a"}]}}"#, "core.events[0].group_events: expected a list");
        check(r#"{"core": {"events": ["cs", ["cs"]]}}"#, "core.events[1][0]: \"cs\" is named twice");
        check(
            r#"{"core": {"events": ["cpu/none/"]}}"#,
            "core.events[0]: the unit cpu has no event \"none\", but topdown",
        );
        check(r#"{"core": {"events": ["uncore_imc_0/cas_count_read"]}}"#, "name it in uncore.events");
        check(
            r#"{"core": {"custom_events": [{"config": [], "name": "x"}]}}"#,
            "core.custom_events[0].config: expected one",
        );
        check(r#"{"core": {"custom_events": [{"config": ["ten"], "name": "x"}]}}"#, "\"ten\" is no number of 64 bits");
        check(r#"{"core": {"custom_events": [{"config": ["1"], "name": ""}]}}"#, "core.custom_events[0].name: ");
        check(r#"{"core": {"custom_events": [{"type": -1, "config": ["1"], "name": "x"}]}}"#, "line 1");
        check(r#"{"uncore": {"events": ["cas_count_read"]}}"#, "uncore.events[0]: \"cas_count_read\" names no unit");
        check(r#"{"uncore": {"events": ["uncore_imc/none"]}}"#, "told in uncore.custom_events");
        check(
            r#"{"uncore": {"events": ["uncore_imc/cas_count_read", "uncore_imc_0/cas_count_read"]}}"#,
            "uncore.events[1]: cas_count_read of uncore_imc_0 is named twice",
        );
        let missing = PerfEvents::load(Path::new("/nonexistent/perf.json"), &Root::default()).unwrap_err();
        assert_eq!(missing.to_string(), "cannot read /nonexistent/perf.json");
    }
}
