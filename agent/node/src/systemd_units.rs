//! What is asked of systemd in one scrape: one list of all units, and the few properties that have to be fresh.

use std::collections::HashMap;

use agent_exposition::Kind;
use futures_util::{StreamExt, TryStreamExt, stream};
use zbus::{OwnedObjectPath, OwnedVariant};

use crate::FlagSpec;
use crate::bus::{Service, text};

/// A unit, as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Such as `cron.service`.
    pub(crate) name: String,
    /// Such as `active`.
    pub(crate) active_state: String,
    is_loaded: bool,
    path: String,
}

impl Unit {
    /// Such as `service`.
    fn kind(&self) -> &str {
        self.name.rsplit_once('.').map_or("", |(_, kind)| kind)
    }
}

/// What systemd says about itself. What this version does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manager {
    /// Such as `252.19-1~deb12u1`.
    pub(crate) version: Option<String>,
    /// Empty on bare metal.
    pub(crate) virtualization: Option<String>,
    /// Such as `running` or `degraded`.
    pub(crate) state: Option<String>,
    /// When it last read its files, in microseconds since boot.
    pub(crate) loaded_at: Option<u64>,
}

/// Turns on the tasks of services.
pub(crate) const TASKS: FlagSpec =
    FlagSpec::switch("collector.systemd.enable-task-metrics", false, "Report the tasks of services.");
/// Turns on the restarts of services.
pub(crate) const RESTARTS: FlagSpec =
    FlagSpec::switch("collector.systemd.enable-restarts-metrics", false, "Report the restarts of services.");
/// Turns on the times at which units became active.
pub(crate) const START_TIME: FlagSpec =
    FlagSpec::switch("collector.systemd.enable-start-time-metrics", false, "Report when units became active.");

/// A number that units of a kind have.
pub(crate) struct Number {
    /// The kind of unit; nothing means any that is active.
    unit: &'static str,
    interface: &'static str,
    property: &'static str,
    pub(crate) metric: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
    /// What to divide systemd's number by.
    pub(crate) divisor: f64,
    /// Asked for only when this is on.
    pub(crate) switch: Option<&'static FlagSpec>,
}

const SOCKET: Number = Number {
    unit: "socket",
    interface: "org.freedesktop.systemd1.Socket",
    property: "",
    metric: "",
    help: "",
    kind: Kind::Counter,
    divisor: 1.0,
    switch: None,
};

const SERVICE: Number =
    Number { unit: "service", interface: "org.freedesktop.systemd1.Service", kind: Kind::Gauge, ..SOCKET };

/// All numbers that units have.
pub(crate) const NUMBERS: &[Number] = &[
    Number {
        property: "NRestarts",
        metric: "node_systemd_service_restart_total",
        help: "How often systemd has restarted the service.",
        kind: Kind::Counter,
        switch: Some(&RESTARTS),
        ..SERVICE
    },
    Number {
        property: "NAccepted",
        metric: "node_systemd_socket_accepted_connections_total",
        help: "Connections accepted.",
        ..SOCKET
    },
    Number {
        property: "NConnections",
        metric: "node_systemd_socket_current_connections",
        help: "Connections now.",
        kind: Kind::Gauge,
        ..SOCKET
    },
    Number {
        property: "NRefused",
        metric: "node_systemd_socket_refused_connections_total",
        help: "Connections refused.",
        ..SOCKET
    },
    Number {
        unit: "timer",
        interface: "org.freedesktop.systemd1.Timer",
        property: "LastTriggerUSec",
        metric: "node_systemd_timer_last_trigger_seconds",
        help: "Unix time at which the timer last went off; 0 when it never did.",
        kind: Kind::Gauge,
        divisor: 1e6,
        ..SOCKET
    },
    Number {
        unit: "",
        interface: "org.freedesktop.systemd1.Unit",
        property: "ActiveEnterTimestamp",
        metric: "node_systemd_unit_start_time_seconds",
        help: "Unix time at which the unit became active; 0 when it is not.",
        kind: Kind::Gauge,
        divisor: 1e6,
        switch: Some(&START_TIME),
    },
    Number {
        property: "TasksCurrent",
        metric: "node_systemd_unit_tasks_current",
        help: "Tasks of the service.",
        switch: Some(&TASKS),
        ..SERVICE
    },
    Number {
        property: "TasksMax",
        metric: "node_systemd_unit_tasks_max",
        help: "Most tasks that the service may have.",
        switch: Some(&TASKS),
        ..SERVICE
    },
];

/// What systemd answers.
pub(crate) struct Answer {
    pub(crate) manager: Manager,
    /// Every unit.
    pub(crate) all: Vec<Unit>,
    /// The units to report.
    pub(crate) wanted: Vec<Unit>,
    /// Types of services by name.
    pub(crate) types: HashMap<String, String>,
    /// File systems of mounts by name.
    pub(crate) mount_types: HashMap<String, String>,
    /// For each number asked for, the units (by their place in `wanted`) that have it.
    pub(crate) numbers: Vec<Vec<(usize, f64)>>,
}

const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// Asks for all of it. `known` are the types of services known so far, and for which state of systemd's files.
pub(crate) async fn ask(
    service: &Service,
    wanted: &impl Fn(&str) -> bool,
    numbers: &[&'static Number],
    known: (&HashMap<String, String>, Option<u64>),
) -> zbus::Result<Answer> {
    // The list comes first: without systemd it fails, where properties would only be absent.
    let all = list(service).await?;
    let manager = manager(service).await?;
    let wanted: Vec<Unit> = all.iter().filter(|unit| unit.is_loaded && wanted(&unit.name)).cloned().collect();
    let known = known.0.iter().filter(|_| manager.loaded_at.is_some() && manager.loaded_at == known.1);
    let known: HashMap<&str, &str> = known.map(|(name, kind)| (name.as_str(), kind.as_str())).collect();
    let types = types(service, &wanted, "service", "org.freedesktop.systemd1.Service", &known).await?;
    let mount_types = types_of_mounts(service, &wanted).await?;
    let mut answers = Vec::with_capacity(numbers.len());
    for number in numbers {
        answers.push(values(service, &wanted, number).await?);
    }
    Ok(Answer { manager, all, wanted, types, mount_types, numbers: answers })
}

/// Name, description, load state, active state, sub-state, followed unit, path, and a job's number, kind and path.
type Listed = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

async fn list(service: &Service) -> zbus::Result<Vec<Unit>> {
    let answer = service.call(MANAGER_PATH, MANAGER, "ListUnits").await?;
    let listed: Vec<Listed> = answer.body().deserialize()?;
    let unit = |(name, _, load_state, active_state, _, _, path, ..): Listed| Unit {
        name,
        active_state,
        is_loaded: load_state == "loaded",
        path: path.as_str().to_owned(),
    };
    Ok(listed.into_iter().map(unit).collect())
}

async fn manager(service: &Service) -> zbus::Result<Manager> {
    let properties = service.get_all(MANAGER_PATH, MANAGER).await?;
    let string = |name: &str| properties.get(name).and_then(text);
    Ok(Manager {
        version: string("Version"),
        virtualization: string("Virtualization"),
        state: string("SystemState"),
        loaded_at: properties.get("UnitsLoadTimestampMonotonic").and_then(|value| value.downcast_ref::<u64>().ok()),
    })
}

async fn types_of_mounts(service: &Service, wanted: &[Unit]) -> zbus::Result<HashMap<String, String>> {
    types(service, wanted, "mount", "org.freedesktop.systemd1.Mount", &HashMap::new()).await
}

/// The property `Type` of the units of a kind, as known or as asked for.
async fn types(
    service: &Service,
    wanted: &[Unit],
    kind: &str,
    interface: &str,
    known: &HashMap<&str, &str>,
) -> zbus::Result<HashMap<String, String>> {
    let units = wanted.iter().filter(|unit| unit.kind() == kind);
    let (old, new): (Vec<&Unit>, Vec<&Unit>) = units.partition(|unit| known.contains_key(unit.name.as_str()));
    let old =
        old.into_iter().filter_map(|unit| Some((unit.name.clone(), (*known.get(unit.name.as_str())?).to_owned())));
    let answers = properties(service, &new, interface, "Type").await?;
    let new = new.iter().zip(&answers).filter_map(|(unit, answer)| Some((unit.name.clone(), text(answer.as_ref()?)?)));
    Ok(old.chain(new).collect())
}

/// The units that have a number, by their place in `wanted`.
async fn values(service: &Service, wanted: &[Unit], number: &Number) -> zbus::Result<Vec<(usize, f64)>> {
    let of_any = number.unit.is_empty();
    let places = || (0..).zip(wanted).filter(|(_, unit)| of_any || unit.kind() == number.unit);
    let is_asked = |unit: &Unit| !of_any || unit.active_state == "active";
    let asked: Vec<&Unit> = places().map(|(_, unit)| unit).filter(|unit| is_asked(unit)).collect();
    let mut answers = properties(service, &asked, number.interface, number.property).await?.into_iter();
    let values = places().filter_map(|(place, unit)| match is_asked(unit) {
        true => answers.next().flatten().as_ref().and_then(value).map(|value| (place, value)),
        false => Some((place, 0.0)),
    });
    Ok(values.collect())
}

/// A count. systemd says the highest number there is where it means that there is none.
fn value(answer: &OwnedVariant) -> Option<f64> {
    let short = answer.downcast_ref::<u32>().map(f64::from);
    let long = || answer.downcast_ref::<u64>().ok().filter(|count| *count != u64::MAX).map(|count| count as f64);
    short.ok().or_else(long)
}

/// Questions on their way at a time: enough not to wait for each, and few enough for the bus to keep up.
const AT_A_TIME: usize = 32;

/// A property of each unit, in their order.
async fn properties(
    service: &Service,
    units: &[&Unit],
    interface: &str,
    property: &str,
) -> zbus::Result<Vec<Option<OwnedVariant>>> {
    stream::iter(units).map(|unit| service.get(&unit.path, interface, property)).buffered(AT_A_TIME).try_collect().await
}
