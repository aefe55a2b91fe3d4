//! CRI-O by answers of the form that its `/info` and `/containers/ID` have, from a socket of the test's own.
#![allow(clippy::unwrap_used)]

mod support;

use agent_container::{Config, Containers};
use support::engine::{Engine, Reply};
use support::{Machine, eventually, scrape, sum, values};

const SANDBOX: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const WEB: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const DOCKERS: &str = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";
const MEMORY: &str = "container_memory_usage_bytes";

const INFO: &str = r#"{"storage_driver":"overlay","storage_image":"","storage_root":"/var/lib/containers/storage",
    "cgroup_driver":"systemd","default_id_mappings":{"uids":[],"gids":[]}}"#;

fn answer(name: &str, image: &str, container: &str, restarts: u32) -> Reply {
    Reply::Json(format!(
        r#"{{"name":"{name}","pid":4242,"image":"{image}","image_ref":"sha256:01","created_time":1700000000000000000,
        "labels":{{"io.kubernetes.container.name":"{container}","io.kubernetes.pod.name":"web-0",
        "io.kubernetes.pod.namespace":"shop"}},
        "annotations":{{"io.kubernetes.container.restartCount":"{restarts}"}},"crio_annotations":null,
        "log_path":"/var/log/pods/x.log","root":"/var/lib/containers/storage/overlay/x/merged","sandbox":"{SANDBOX}",
        "ip_addresses":["10.85.0.4"]}}"#
    ))
}

struct Case {
    machine: Machine,
    containers: Containers,
}

impl Case {
    fn new() -> Self {
        let machine = Machine::new();
        machine.add_container(DOCKERS);
        let scope = |id: &str| format!("kubepods.slice/kubepods-pod1.slice/crio-{id}.scope");
        [SANDBOX, WEB].iter().for_each(|id| machine.add_cgroup(&scope(id)));
        machine.add_cgroup(&format!("kubepods.slice/kubepods-pod1.slice/crio-conmon-{WEB}.scope"));
        let crio = Some(machine.path("crio/crio.sock").display().to_string());
        std::fs::create_dir_all(machine.path("crio")).unwrap();
        machine.write("rootfs/var/log/pods/x.log", "up");
        machine.write("proc/1/mountinfo", "27 1 8:0 / / rw - ext4 /dev/sda rw\n");
        Self { containers: Containers::new(Config { crio, ..machine.config() }).unwrap(), machine }
    }

    fn engine(&self) -> Engine {
        let engine = Engine::at(&self.machine.path("crio/crio.sock"));
        engine.reply("/info", Reply::Json(INFO.to_owned()));
        let web = answer("k8s_web_web-0_shop_uid_2", "quay.io/shop/web:1", "web", 2);
        engine.reply(&format!("/containers/{WEB}"), web);
        engine.reply(
            &format!("/containers/{SANDBOX}"),
            answer("k8s_POD_web-0_shop_uid_0", "registry.k8s.io/pause:3.9", "POD", 0),
        );
        engine
    }

    #[track_caller]
    fn await_failure(&self, reason: &str) {
        eventually(reason, || {
            let pieces = [&*format!("reason=\"{reason}\""), "runtime=\"crio\""];
            let page = scrape(&self.containers);
            assert_eq!(
                values(&page, MEMORY, &[&format!("crio-{WEB}.scope")]),
                [16384.0],
                "figures do not wait for names"
            );
            sum(&page, "atalaia_container_runtime_failures_total", &pieces).filter(|count| *count > 0.0)
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_are_named_by_what_it_answers() {
    let case = Case::new();
    let engine = case.engine();
    case.containers.start().unwrap();
    let page = eventually("both names", || {
        let page = scrape(&case.containers);
        (values(&page, MEMORY, &["name=\"k8s_"]).len() == 2).then_some(page)
    });
    let path = format!("/kubepods.slice/kubepods-pod1.slice/crio-{WEB}.scope\"");
    let pieces = [&*path, "image=\"quay.io/shop/web:1\"", "container_label_io_kubernetes_pod_namespace=\"shop\""];
    assert_eq!(values(&page, MEMORY, &pieces), [16384.0]);
    assert_eq!(values(&page, "container_restarts_total", &[&path]), [2.0]);
    assert_eq!(values(&page, "container_start_time_seconds", &[&path]).len(), 1);
    assert_eq!(values(&page, "container_creation_time_seconds", &[&path]), [1_700_000_000.0]);
    assert_eq!(values(&page, MEMORY, &[&format!("{{id=\"/docker/{DOCKERS}\"}}")]).len(), 1);
    eventually("the log", || {
        let log = values(&scrape(&case.containers), "container_log_usage_bytes", &[&path]);
        log.first().is_some_and(|bytes| *bytes > 0.0).then_some(())
    });
    assert_eq!(engine.asked(&format!("/containers/{WEB}")), 1, "once and for all");
    assert_eq!(engine.asked(&format!("/containers/{DOCKERS}")), 0, "of its own containers only");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_it_does_not_know_costs_only_its_name() {
    let case = Case::new();
    let engine = case.engine();
    engine.reply(&format!("/containers/{SANDBOX}"), Reply::Status(404));
    case.containers.start().unwrap();
    eventually("the other name", || {
        (values(&scrape(&case.containers), MEMORY, &["name=\"k8s_web"]).len() == 1).then_some(())
    });
    let unnamed = format!("{{id=\"/kubepods.slice/kubepods-pod1.slice/crio-{SANDBOX}.scope\"}}");
    assert_eq!(values(&scrape(&case.containers), MEMORY, &[&unnamed]), [16384.0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_and_floods() {
    let case = Case::new();
    let engine = case.engine();
    engine.reply("/info", Reply::Garbage);
    case.containers.start().unwrap();
    case.await_failure("protocol");
    engine.reply("/info", Reply::Status(500));
    case.await_failure("refused");
    engine.reply("/info", Reply::Endless("{\"storage_driver\":\"", "x".repeat(1 << 16)));
    case.await_failure("flood");
    engine.reply("/info", Reply::Json(INFO.to_owned()));
    eventually("the name after all", || {
        (values(&scrape(&case.containers), MEMORY, &["name=\"k8s_web"]).len() == 1).then_some(())
    });
}

/// On a paused clock, which leaps from one tick to the next.
#[tokio::test(start_paused = true)]
async fn one_that_it_did_not_know_is_asked_about_again_though_others_come_and_go() {
    let case = Case::new();
    let engine = case.engine();
    let of_web = format!("/containers/{WEB}");
    engine.reply(&of_web, Reply::Status(404));
    case.containers.start().unwrap();
    let other = format!("kubepods.slice/kubepods-pod1.slice/crio-{DOCKERS}.scope");
    for second in 0..200 {
        for _ in 0..20 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        match second % 40 {
            0 => case.machine.add_cgroup(&other),
            20 => std::fs::remove_dir_all(case.machine.path(&format!("sys/fs/cgroup/{other}"))).unwrap(),
            _ => {}
        }
        let page = scrape(&case.containers);
        if second == 10 {
            assert_eq!(engine.asked(&of_web), 1);
            engine.reply(&of_web, answer("k8s_web_web-0_shop_uid_2", "quay.io/shop/web:1", "web", 2));
        }
        if !values(&page, MEMORY, &["name=\"k8s_web"]).is_empty() {
            assert!(second > 30, "{second}");
            return;
        }
    }
    assert_eq!(engine.asked(&of_web), 2, "it is never asked again");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_odd_answer_costs_only_its_name() {
    let case = Case::new();
    let engine = case.engine();
    let endless = Reply::Endless("{\"name\":\"", "x".repeat(1 << 16));
    for odd in [Reply::Json("{}".to_owned()), Reply::Garbage, endless] {
        // It is asked about before the other.
        engine.reply(&format!("/containers/{SANDBOX}"), odd);
        let crio = Some(case.machine.path("crio/crio.sock").display().to_string());
        let containers = Containers::new(Config { crio, ..case.machine.config() }).unwrap();
        containers.start().unwrap();
        eventually("the other name", || {
            (values(&scrape(&containers), MEMORY, &["name=\"k8s_web"]).len() == 1).then_some(())
        });
        assert!(sum(&scrape(&containers), "atalaia_container_runtime_failures_total", &["crio"]) >= Some(1.0));
    }
}
