//! A systemd with a few units, for the bus that a script plays.

#![allow(dead_code, reason = "each test uses what it needs")]

use zbus::{Message, OwnedObjectPath};

use crate::bus::Script;

const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// A unit: its name, and whether and how it runs.
pub type Unit = (&'static str, &'static str, &'static str);

/// Units of every kind that has numbers.
pub const UNITS: &[Unit] = &[
    ("cron.service", "loaded", "active"),
    ("broken.service", "loaded", "failed"),
    ("gone.service", "not-found", "inactive"),
    ("ssh.socket", "loaded", "active"),
    ("daily.timer", "loaded", "active"),
    ("never.timer", "loaded", "inactive"),
    ("multi-user.target", "loaded", "active"),
    ("data.mount", "loaded", "active"),
    ("reload.service", "loaded", "reloading"),
];

/// The path of a unit on the bus, as systemd escapes it.
pub fn path(unit: &str) -> String {
    let escaped = unit.bytes().map(|b| match b.is_ascii_alphanumeric() {
        true => char::from(b).to_string(),
        false => format!("_{b:02x}"),
    });
    format!("{MANAGER_PATH}/unit/{}", escaped.collect::<String>())
}

/// The script for those units.
pub fn script(units: &'static [Unit]) -> Script {
    let mut script = Script::default();
    script.set(MANAGER_PATH, MANAGER, "Version", "252.19-1~deb12u1");
    script.set(MANAGER_PATH, MANAGER, "Virtualization", "kvm");
    script.set(MANAGER_PATH, MANAGER, "SystemState", "running");
    script.set(MANAGER_PATH, MANAGER, "UnitsLoadTimestampMonotonic", 5_000_000_u64);
    let mut set = |unit: &str, interface: &str, name: &str, value: zbus::Variant<'static>| {
        script.set(&path(unit), &format!("org.freedesktop.systemd1.{interface}"), name, value);
    };
    for (place, (unit, ..)) in (1..).zip(units) {
        match unit.rsplit_once('.').unwrap().1 {
            "service" => {
                set(unit, "Service", "Type", "simple".into());
                set(unit, "Service", "NRestarts", (place as u32).into());
                set(unit, "Service", "TasksCurrent", if place == 1 { 12_u64.into() } else { u64::MAX.into() });
                set(unit, "Service", "TasksMax", 4915_u64.into());
            }
            "socket" => {
                set(unit, "Socket", "NAccepted", 41_u32.into());
                set(unit, "Socket", "NConnections", 2_u32.into());
                set(unit, "Socket", "NRefused", 1_u32.into());
            }
            "timer" => set(unit, "Timer", "LastTriggerUSec", (1_700_000_000_000_000_u64 + place).into()),
            "mount" => set(unit, "Mount", "Type", "ext4".into()),
            _ => {}
        }
        set(unit, "Unit", "ActiveEnterTimestamp", (1_600_000_000_000_000_u64 + place).into());
    }
    let list = move |call: &Message| {
        let none = OwnedObjectPath::try_from("/").unwrap();
        let row = |(name, load, active): &Unit| {
            let path = OwnedObjectPath::try_from(path(name)).unwrap();
            (*name, "a unit", *load, *active, "sub", "", path, 0_u32, "", none.clone())
        };
        Message::method_return(&call.header()).build(&units.iter().map(row).collect::<Vec<_>>()).unwrap()
    };
    script.methods.insert((MANAGER.to_owned(), "ListUnits".to_owned()), Box::new(list));
    script
}
