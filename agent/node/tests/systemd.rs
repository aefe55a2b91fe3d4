//! The collectors that ask over D-Bus, beside a bus that a script plays: what they print, how much they ask, and what
//! they make of a bus that is not there, does not answer or goes away.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "harness/bus.rs"]
mod bus;
mod harness;
#[path = "harness/systemd.rs"]
mod systemd;

use std::io::Read;

use agent_node::Outcome;
use agent_procfs::Root;
use bus::{Bus, Script};
use harness::{Built, build};
use systemd::{UNITS, path, script};
use zbus::{Message, OwnedObjectPath};

fn collector(name: &str, address: &str, flags: &[(&str, &str)]) -> Built {
    let given = format!("collector.{name}.bus-address");
    let flags = [flags, &[(given.as_str(), address)]].concat();
    build(&Root::default(), &flags, |built| built == name).remove(0)
}

#[track_caller]
fn samples(built: &mut Built, number: u64) -> Vec<String> {
    let run = built.run(number);
    run.result.unwrap_or_else(|error| panic!("{error:?}"));
    run.text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

#[track_caller]
fn golden(name: &str, text: &str) {
    let path = std::path::Path::new("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|on| on == "1") {
        std::fs::write(&path, text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), text, "UPDATE_GOLDEN=1 takes the new page");
}

const EVERYTHING: &[(&str, &str)] = &[
    ("collector.systemd.enable-restarts-metrics", "true"),
    ("collector.systemd.enable-start-time-metrics", "true"),
    ("collector.systemd.enable-task-metrics", "true"),
    ("collector.systemd.unit-exclude", ""),
];

#[test]
fn units_with_everything_that_can_be_asked() {
    let bus = Bus::start(script(UNITS));
    golden("systemd.prom", &collector("systemd", &bus.address(), EVERYTHING).run(1).text);
}

#[test]
fn names_are_chosen_by_the_whole_of_them() {
    let bus = Bus::start(script(UNITS));
    let names = |flags: &[(&str, &str)]| {
        let mut names: Vec<String> = samples(&mut collector("systemd", &bus.address(), flags), 1)
            .iter()
            .filter_map(|line| {
                Some(line.strip_prefix("node_systemd_unit_state{name=\"")?.split('"').next()?.to_owned())
            })
            .collect();
        names.dedup();
        names
    };
    let default = ["cron.service", "broken.service", "ssh.socket", "daily.timer", "never.timer", "multi-user.target"];
    assert_eq!(names(&[]), [default.as_slice(), &["reload.service"]].concat());
    assert_eq!(names(&[("collector.systemd.unit-include", "cron")]), [""; 0]);
    assert_eq!(names(&[("collector.systemd.unit-whitelist", "cron.*|data.mount")]), ["cron.service"]);
}

#[test]
fn one_connection_and_no_question_twice() {
    let bus = Bus::start(script(UNITS));
    let mut systemd = collector("systemd", &bus.address(), &[]);
    let first = samples(&mut systemd, 1);
    bus.change(|script| assert_eq!(script.asked.drain(..).filter(|name| name == "Type").count(), 3));
    assert_eq!(samples(&mut systemd, 2), first);
    bus.change(|script| {
        let asked = ["ListUnits", "all of org.freedesktop.systemd1.Manager", "NAccepted", "NConnections", "NRefused"];
        assert_eq!(script.asked, [asked.as_slice(), &["LastTriggerUSec"; 2]].concat());
        assert_eq!(script.connections, 1);
        // systemd has read its files again, and the type is another.
        script.set(
            "/org/freedesktop/systemd1",
            "org.freedesktop.systemd1.Manager",
            "UnitsLoadTimestampMonotonic",
            9_u64,
        );
        script.set(&path("cron.service"), "org.freedesktop.systemd1.Service", "Type", "notify");
    });
    assert!(samples(&mut systemd, 3).iter().any(|line| line.contains("cron.service") && line.contains("notify")));
}

#[test]
fn a_unit_that_vanishes_costs_its_own_numbers() {
    let bus = Bus::start(script(UNITS));
    bus.change(|script| {
        script.properties.retain(|(at, ..), _| *at != path("ssh.socket") && *at != path("cron.service"));
    });
    let samples = samples(&mut collector("systemd", &bus.address(), EVERYTHING), 1);
    assert!(samples.iter().any(|line| line.starts_with("node_systemd_timer_last_trigger_seconds")));
    assert!(!samples.iter().any(|line| line.starts_with("node_systemd_socket_")));
    let state = "node_systemd_unit_state{name=\"cron.service\",state=\"active\",type=\"\"} 1";
    assert!(samples.iter().any(|line| line == state));
}

#[test]
fn an_old_systemd_says_less() {
    let bus = Bus::start(script(UNITS));
    bus.change(|script| script.properties.clear());
    let samples = samples(&mut collector("systemd", &bus.address(), &[]), 1);
    let names: std::collections::BTreeSet<_> = samples.iter().map(|line| line.split('{').next().unwrap()).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["node_systemd_unit_state", "node_systemd_units"]);
}

#[test]
fn without_a_bus_or_a_service_there_is_nothing() {
    let run = collector("systemd", "unix:path=/nowhere/bus", &[]).run(1);
    assert_eq!((run.result.unwrap(), run.text.as_str()), (Outcome::Nothing, ""));
    let bus = Bus::start(Script::default());
    for name in ["systemd", "logind"] {
        assert_eq!(collector(name, &bus.address(), &[]).run(1).result.unwrap(), Outcome::Nothing);
    }
}

#[test]
fn a_bus_that_does_not_answer_is_an_error_by_the_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bus");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let silent = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // Reads until the other side has had enough.
        stream.read_to_end(&mut Vec::new()).unwrap();
    });
    let mut systemd = collector("systemd", &format!("unix:path={}", path.display()), &[]);
    let begin = std::time::Instant::now();
    let run = systemd.run_within(1, std::time::Duration::from_millis(200));
    assert_eq!(run.result.unwrap_err().to_string(), "cannot ask over D-Bus");
    assert!(begin.elapsed() < std::time::Duration::from_secs(20));
    silent.join().unwrap();
}

#[test]
fn a_bus_that_starts_anew_is_asked_anew() {
    let bus = Bus::start(script(UNITS));
    let mut systemd = collector("systemd", &bus.address(), &[]);
    let first = samples(&mut systemd, 1);
    bus.hang_up();
    assert_eq!(samples(&mut systemd, 2), first);
    bus.change(|script| assert_eq!(script.connections, 2));
}

#[test]
fn sessions_of_users() {
    const MANAGER: &str = "org.freedesktop.login1.Manager";
    let sessions = [
        ("seat0", "c1", false, "wayland", "greeter"),
        ("", "7", true, "tty", "user"),
        ("", "8", true, "tty", "user"),
        ("", "9", true, "holo", "ghost"),
    ];
    let path = |id: &str| OwnedObjectPath::try_from(format!("/org/freedesktop/login1/session/{id}")).unwrap();
    let mut script = Script::default();
    for (_, id, remote, kind, class) in sessions {
        let set = |script: &mut Script, name: &str, value: zbus::Variant<'static>| {
            script.set(path(id).as_str(), "org.freedesktop.login1.Session", name, value);
        };
        set(&mut script, "Remote", remote.into());
        set(&mut script, "Type", kind.into());
        set(&mut script, "Class", class.into());
    }
    let seats = move |call: &Message| {
        Message::method_return(&call.header()).build(&[("seat0", path("seat0"))].as_slice()).unwrap()
    };
    let list = move |call: &Message| {
        let rows: Vec<_> = sessions.iter().map(|(seat, id, ..)| (*id, 1000_u32, "someone", *seat, path(id))).collect();
        // One has just ended.
        let rows = [rows, vec![("10", 1000, "someone", "", path("10"))]].concat();
        Message::method_return(&call.header()).build(&rows).unwrap()
    };
    script.methods.insert((MANAGER.to_owned(), "ListSeats".to_owned()), Box::new(seats));
    script.methods.insert((MANAGER.to_owned(), "ListSessions".to_owned()), Box::new(list));
    let bus = Bus::start(script);
    let samples = samples(&mut collector("logind", &bus.address(), &[]), 1);
    assert_eq!(samples.len(), 2 * 2 * 7 * 5);
    let some: Vec<_> = samples.iter().filter(|line| !line.ends_with(" 0")).collect();
    let want = [
        "node_logind_sessions{class=\"greeter\",remote=\"false\",seat=\"seat0\",type=\"wayland\"} 1",
        "node_logind_sessions{class=\"other\",remote=\"true\",seat=\"\",type=\"other\"} 1",
        "node_logind_sessions{class=\"user\",remote=\"true\",seat=\"\",type=\"tty\"} 2",
    ];
    assert_eq!(some, want);
}
