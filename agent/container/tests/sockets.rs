//! Engines that come late, lie, hang or flood: they cost names and nothing else.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use agent_container::{Config, Containers};
use support::engine::{Engine, Reply};
use support::{Machine, eventually, scrape, sum, values};
use tokio::sync::Notify;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const MEMORY: &str = "container_memory_usage_bytes";

struct Case {
    machine: Machine,
    containers: Containers,
}

impl Case {
    /// A machine with container A, watched over a socket in its folder.
    fn new() -> Self {
        let machine = Machine::new();
        machine.add_container(A);
        let docker = Some(format!("unix://{}/docker.sock", machine.path("").display()));
        let containers = Containers::new(Config { docker, ..machine.config() }).unwrap();
        containers.start().unwrap();
        Self { machine, containers }
    }

    fn engine(&self) -> Engine {
        Engine::start(&self.machine.path(""))
    }

    /// Whether a container's figures are there, under a name.
    fn is_named(&self, id: &str, name: &str) -> bool {
        let (id, name) = (format!("/docker/{id}\""), format!("name=\"{name}\""));
        values(&scrape(&self.containers), MEMORY, &[&id, &name]) == [16384.0]
    }

    #[track_caller]
    fn await_name(&self, id: &str, name: &str) {
        eventually(name, || self.is_named(id, name).then_some(()));
    }

    #[track_caller]
    fn await_failure(&self, reason: &str) {
        let reason = format!("reason=\"{reason}\"");
        eventually(&reason, || {
            sum(&scrape(&self.containers), "atalaia_container_runtime_failures_total", &[&reason]).filter(|n| *n > 0.0)
        });
        self.check_only_the_name_is_missing();
    }

    #[track_caller]
    fn check_only_the_name_is_missing(&self) {
        let begun = Instant::now();
        let page = scrape(&self.containers);
        assert!(begun.elapsed() < Duration::from_secs(1), "a scrape waits for no engine");
        assert_eq!(values(&page, MEMORY, &[&format!("{{id=\"/docker/{A}\"}}")]), [16384.0], "{page}");
        assert!(!page.contains("name="));
        assert_eq!(values(&page, "container_scrape_error", &[]), [0.0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_come_with_the_engine_and_follow_its_events() {
    let case = Case::new();
    case.await_failure("connect");
    let engine = case.engine();
    engine.containers(&[(A, "web")]);
    case.await_name(A, "web");
    let page = scrape(&case.containers);
    assert_eq!(values(&page, MEMORY, &["container_label_tier=\"front\"", "image=\"shop/web:1\""]).len(), 1);
    eventually("the start time that only an inspection gives", || {
        (values(&scrape(&case.containers), "container_start_time_seconds", &["name=\"web\""]) == [1_700_000_005.0])
            .then_some(())
    });
    eventually("the stream of events", || (engine.streams() == 1).then_some(()));

    case.machine.add_container(B);
    engine.inspectable(B, "db");
    engine.event("start", B);
    case.await_name(B, "db");
    engine.inspectable(A, "shop");
    engine.event("rename", A);
    case.await_name(A, "shop");
    engine.event("health_status: healthy", A);
    eventually("the result of the health check", || {
        (values(&scrape(&case.containers), "container_health_state", &["name=\"shop\""]) == [1.0]).then_some(())
    });
    std::fs::remove_dir_all(case.machine.path(&format!("sys/fs/cgroup/docker/{B}"))).unwrap();
    assert!(!scrape(&case.containers).contains(B), "a cgroup that is gone is gone at once");
    assert_eq!((engine.asked("/containers/json"), engine.asked(&format!("/containers/{A}/json"))), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_outlive_the_engine_and_come_back_with_it() {
    let case = Case::new();
    let engine = case.engine();
    engine.containers(&[(A, "web")]);
    case.await_name(A, "web");
    drop(engine);
    eventually("the loss of the engine", || {
        (values(&scrape(&case.containers), "atalaia_container_runtime_connected", &[]) == [0.0]).then_some(())
    });
    assert!(case.is_named(A, "web"));
    let engine = case.engine();
    engine.containers(&[(A, "renamed")]);
    case.await_name(A, "renamed");
    assert_eq!(values(&scrape(&case.containers), "cadvisor_version_info", &["dockerVersion=\"20.10.24\""]), [1.0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_are_remembered_after_the_container_stopped() {
    let case = Case::new();
    let engine = case.engine();
    engine.containers(&[(A, "web")]);
    case.await_name(A, "web");
    case.machine.write(&format!("sys/fs/cgroup/docker/{A}/memory.events"), "oom_kill 0\n");
    eventually("the stream of events", || (engine.streams() == 1).then_some(()));
    eventually("the count of kills", || sum(&scrape(&case.containers), "container_oom_events_total", &["web"]));
    engine.event("oom", A);
    engine.event("die", A);
    std::fs::remove_dir_all(case.machine.path(&format!("sys/fs/cgroup/docker/{A}"))).unwrap();
    eventually("the kill that ended the container", || {
        let page = scrape(&case.containers);
        let kills = values(&page, "container_oom_events_total", &["name=\"web\""]);
        (kills == [1.0] && values(&page, MEMORY, &["web"]).is_empty()).then_some(())
    });
    engine.event("destroy", A);
    eventually("the end of the series", || (!scrape(&case.containers).contains(A)).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_container_is_told_of_though_it_was_removed_at_once() {
    let case = Case::new();
    let engine = case.engine();
    engine.containers(&[(A, "web"), (B, "never-seen")]);
    case.await_name(A, "web");
    eventually("the stream of events", || (engine.streams() == 1).then_some(()));
    assert_eq!(values(&scrape(&case.containers), "container_state", &["web", "state=\"running\""]), [1.0]);
    for id in [A, B] {
        engine.reply(&format!("/containers/{id}/json"), Reply::Status(404));
        engine.event("oom", id);
        engine.death(id, 137);
        engine.event("destroy", id);
    }
    std::fs::remove_dir_all(case.machine.path(&format!("sys/fs/cgroup/docker/{A}"))).unwrap();
    let page = eventually("the end of both", || {
        let page = scrape(&case.containers);
        (values(&page, "container_state", &["state=\"removed\""]).len() == 2).then_some(page)
    });
    let path = format!("id=\"/docker/{A}\"");
    assert_eq!(values(&page, "container_last_exit_code", &[&path, "name=\"web\"", "image=\"shop/web:1\""]), [137.0]);
    assert_eq!(values(&page, "container_last_exit_code", &[&format!("id=\"{B}\""), "never-seen"]), [137.0]);
    assert_eq!(values(&page, "container_oom_events_total", &["web"]), [1.0], "kills outlive the container");
    assert_eq!(values(&page, "container_last_finish_time_seconds", &["web"]).len(), 1);
    assert!(values(&page, "container_last_seen", &["web"]).is_empty() && values(&page, MEMORY, &["web"]).is_empty());
    let mut later = agent_exposition::Page::new();
    case.containers.collect_at(&mut later, SystemTime::now() + Duration::from_secs(601));
    let mut text = String::new();
    later.write_text(&mut text);
    assert!(!text.contains(A) && !text.contains(B), "after ten minutes nothing is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_older_than_the_events_is_not_the_last_word() {
    let case = Case::new();
    let engine = case.engine();
    let of_a = format!("/containers/{A}/json");
    let when = Arc::new(Notify::new());
    let body = format!(
        r#"{{"Id":"{A}","Name":"/ghost","Created":"2023-11-14T22:13:20Z","Config":{{"Image":"shop/ghost:1"}},
        "State":{{"Status":"running","Running":true,"Pid":4242,"StartedAt":"2023-11-14T22:13:25Z"}}}}"#
    );
    engine.reply(&of_a, Reply::Later(when.clone(), body));
    eventually("the event stream", || (engine.streams() == 1).then_some(()));
    engine.event("start", A);
    eventually("the question", || (engine.asked(&of_a) == 1).then_some(()));
    engine.reply(&of_a, Reply::Status(404));
    engine.event("destroy", A);
    eventually("both events", || {
        let page = scrape(&case.containers);
        sum(&page, "atalaia_container_runtime_events_total", &["docker"]).filter(|events| *events == 2.0)
    });
    when.notify_one();
    let (of_b, body) =
        (format!("/containers/{B}/json"), format!(r#"{{"Id":"{B}","Name":"/db","State":{{"Running":true}}}}"#));
    let when = Arc::new(Notify::new());
    engine.reply(&of_b, Reply::Later(when.clone(), body));
    case.machine.add_container(B);
    engine.event("start", B);
    eventually("the second question", || (engine.asked(&of_b) == 1).then_some(()));
    engine.inspectable(B, "db");
    engine.event("pause", B);
    eventually("all events", || {
        let page = scrape(&case.containers);
        sum(&page, "atalaia_container_runtime_events_total", &["docker"]).filter(|events| *events == 4.0)
    });
    // It may have been paused after the answer was made.
    when.notify_one();
    eventually("the question anew", || (engine.asked(&of_b) == 2).then_some(()));
    case.await_name(B, "db");
    let page = scrape(&case.containers);
    assert!(!page.contains("ghost"), "{page}");
    assert_eq!(values(&page, MEMORY, &[&format!("{{id=\"/docker/{A}\"}}")]), [16384.0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_lies() {
    let case = Case::new();
    let engine = case.engine();
    engine.reply("/containers/json", Reply::Json(r#"{"not":"a list"}"#.to_owned()));
    case.await_failure("protocol");
    engine.reply("/containers/json", Reply::Json(format!(r#"[{{"Id":"{A}","Names":"#)));
    case.await_failure("protocol");
    engine.reply("/version", Reply::Garbage);
    case.await_failure("protocol");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_refuses() {
    let case = Case::new();
    let engine = case.engine();
    engine.reply("/containers/json", Reply::Status(500));
    case.await_failure("refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_container_that_cannot_be_asked_about_still_has_its_name() {
    let case = Case::new();
    let engine = case.engine();
    engine.containers(&[(A, "web")]);
    engine.reply(&format!("/containers/{A}/json"), Reply::Json("[]".to_owned()));
    case.await_name(A, "web");
}

/// On a paused clock, which leaps over the deadlines that nothing else ends.
#[tokio::test(start_paused = true)]
async fn an_engine_that_hangs() {
    let case = Case::new();
    let engine = case.engine();
    engine.reply("/version", Reply::Silence);
    for _ in 0..600 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    case.await_failure("timeout");
}

/// On a paused clock, too: before the list is read again after five minutes.
#[tokio::test(start_paused = true)]
async fn a_container_whose_answer_is_late_is_asked_about_once_more() {
    let case = Case::new();
    let engine = case.engine();
    engine.containers(&[(A, "web"), (B, "db")]);
    let (of_a, of_b) = (format!("/containers/{A}/json"), format!("/containers/{B}/json"));
    engine.reply(&of_a, Reply::Silence);
    engine.reply(&of_b, Reply::Silence);
    let is_answered = || {
        let started = values(&scrape(&case.containers), "container_start_time_seconds", &["name=\"web\""]);
        started == [1_700_000_005.0]
    };
    for second in 0..280 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if second == 20 {
            assert_eq!((engine.asked(&of_a), engine.asked(&of_b), is_answered()), (1, 1, false));
            engine.inspectable(A, "web");
        }
    }
    assert_eq!((engine.asked(&of_a), engine.asked(&of_b), is_answered()), (2, 2, true));
    assert_eq!(engine.asked("/containers/json"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_floods_its_list() {
    let case = Case::new();
    let engine = case.engine();
    engine.reply("/containers/json", Reply::Endless("[", r#"{"Id":"x"},"#.repeat(4096)));
    case.await_failure("flood");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_without_end() {
    let case = Case::new();
    let engine = case.engine();
    engine.reply("/events", Reply::Endless(r#"{"Type":""#, "x".repeat(16384)));
    case.await_failure("flood");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_without_end() {
    let case = Case::new();
    let engine = case.engine();
    let event = format!(r#"{{"Type":"container","Action":"die","Actor":{{"ID":"{B}"}}}}"#);
    engine.reply("/events", Reply::Endless("\n", format!("{event}\n").repeat(64)));
    case.await_failure("flood");
}

/// What engines of other versions answer about a container, as far as it differs: with the older image store, with
/// containerd's, and with that of version 29, which has another place for it.
#[tokio::test(flavor = "multi_thread")]
async fn engines_of_other_versions() {
    let cases = [
        ("20.10.24", 12, 41, r#""GraphDriver":{"Data":{"UpperDir":"/none"},"Name":"overlay2"}"#),
        ("25.0.3", 24, 44, r#""GraphDriver":{"Data":{"UpperDir":"/none"},"Name":"overlay2"}"#),
        (
            "28.5.1",
            24,
            51,
            r#""GraphDriver":{"Data":null,"Name":"overlayfs"},"ImageManifestDescriptor":
            {"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:01","size":1}"#,
        ),
        ("29.1.0", 44, 52, r#""Storage":{"RootFS":{"Snapshot":{"Name":"overlayfs"}}}"#),
        ("99.0.0", 60, 70, r#""Storage":{"SomethingElse":{}},"News":[1]"#),
    ];
    for (version, oldest, newest, store) in cases {
        let case = Case::new();
        let engine = case.engine();
        engine.version(version, oldest, newest);
        engine.containers(&[(A, "web")]);
        let answer = format!(
            r#"{{"Id":"{A}","Name":"/web","Created":"2023-11-14T22:13:20Z","RestartCount":1,{store},
            "State":{{"Status":"running","Running":true,"Pid":4242,"StartedAt":"2023-11-14T22:13:25Z",
            "FinishedAt":"0001-01-01T00:00:00Z"}},"Config":{{"Image":"shop/web:1","Labels":null}},
            "HostConfig":{{"NetworkMode":"bridge"}}}}"#
        );
        engine.reply(&format!("/containers/{A}/json"), Reply::Json(answer));
        eventually(version, || {
            let page = scrape(&case.containers);
            let started = values(&page, "container_start_time_seconds", &["name=\"web\"", "image=\"shop/web:1\""]);
            (started == [1_700_000_005.0] && values(&page, "container_restarts_total", &["web"]) == [1.0]).then_some(())
        });
        let told = format!("dockerVersion=\"{version}\"");
        assert_eq!(values(&scrape(&case.containers), "cadvisor_version_info", &[&told]), [1.0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_podman_has_no_say_about_the_containers_of_others() {
    let machine = Machine::new();
    machine.add_container(A);
    machine.add_cgroup(&format!("user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{B}.scope"));
    let users = machine.path("users");
    let engine = Engine::at(&users.join("1000/podman/podman.sock"));
    engine.containers(&[(A, "lie"), (B, "mine")]);
    let podman = Some(format!("unix://{}/none.sock", users.display()));
    let containers = Containers::new(Config { podman, user_runtimes: users, ..machine.config() }).unwrap();
    containers.start().unwrap();
    let page = eventually("the user's name", || {
        let page = scrape(&containers);
        (values(&page, MEMORY, &["name=\"mine\"", &format!("libpod-{B}.scope\"")]).len() == 1).then_some(page)
    });
    assert!(!page.contains("lie"), "{page}");
    assert_eq!(values(&page, MEMORY, &[&format!("{{id=\"/docker/{A}\"}}")]), [16384.0]);
    let connected = "atalaia_container_runtime_connected";
    assert_eq!(values(&page, connected, &["runtime=\"podman:1000\""]).len(), 1);
    assert_eq!(
        values(&page, connected, &["runtime=\"podman\""]).len(),
        0,
        "of a runtime that was never there nothing is told"
    );
}

#[test]
fn an_address_that_can_never_work() {
    let config = Config { docker: Some("docker.sock".to_owned()), ..Config::default() };
    let error = Containers::new(config).err().unwrap().to_string();
    assert_eq!(error, "docker address \"docker.sock\": expected unix:///path or tcp://host:port");
}

#[test]
fn watching_needs_a_runtime() {
    let error = Containers::new(Machine::new().config()).unwrap().start().unwrap_err().to_string();
    assert_eq!(error, "cannot watch the container runtime outside a tokio runtime");
}

/// Anybody may run such an engine; what it says is read by an agent that often is root.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_of_a_user_may_say_less() {
    let machine = Machine::new();
    let users = machine.path("users");
    let engine = Engine::at(&users.join("1000/podman/podman.sock"));
    let long = "x".repeat(2 << 20);
    engine.reply("/containers/json", Reply::Json(format!(r#"[{{"Id":"{A}","Labels":{{"a":"{long}"}}}}]"#)));
    let podman = Some(format!("unix://{}/none.sock", users.display()));
    let containers = Containers::new(Config { podman, user_runtimes: users, ..machine.config() }).unwrap();
    containers.start().unwrap();
    eventually("the refusal", || {
        let pieces = ["reason=\"flood\"", "runtime=\"podman:1000\""];
        sum(&scrape(&containers), "atalaia_container_runtime_failures_total", &pieces).filter(|count| *count > 0.0)
    });
}
