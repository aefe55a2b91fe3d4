//! Whole pages over trees of kernel files. `UPDATE_GOLDEN=1` writes them anew; read the difference.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agent_container::{Config, Containers, LabelPolicy, Set, Sets};
use agent_exposition::Page;
use support::engine::Engine;
use support::{Machine, eventually, scrape, values};

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn machine(name: &str) -> Machine {
    Machine::from_fixture(name, at(1_700_000_500))
}

/// A page at a fixed time, without what the threads cost.
fn page(containers: &Containers) -> String {
    let mut page = Page::new();
    containers.collect_at(&mut page, at(1_700_001_000));
    let mut text = String::new();
    page.write_text(&mut text);
    text.lines().filter(|line| !line.contains("background_cpu_seconds")).map(|line| format!("{line}\n")).collect()
}

#[track_caller]
fn check(name: &str, got: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.prom"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, got).unwrap();
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    if let Some((number, (got, want))) = got.lines().zip(want.lines()).enumerate().find(|(_, (got, want))| got != want)
    {
        panic!("{} differs in line {}:\n got {got}\nwant {want}", path.display(), number + 1);
    }
    assert_eq!(got.lines().count(), want.lines().count(), "{}", path.display());
}

/// Without an engine. The second page has what the background threads found after the first; the file systems of a
/// fixture are those of the machine it lies on, so that set is off.
#[track_caller]
fn check_alone(name: &str) {
    let machine = machine(name);
    let sets = Sets::default().without(Set::Disk);
    let containers = Containers::new(Config { sets, ..machine.config() }).unwrap();
    page(&containers);
    containers.sample_background();
    check(name, &page(&containers));
}

#[test]
fn version_1() {
    check_alone("v1");
}

#[test]
fn version_2() {
    check_alone("v2");
}

/// As [`check_alone`], with every set on.
#[track_caller]
fn check_all_sets(name: &str) {
    let machine = machine(name);
    let sets = Sets::all().without(Set::Disk);
    let containers = Containers::new(Config { sets, load_reader: true, ..machine.config() }).unwrap();
    page(&containers);
    containers.sample_background();
    check(&format!("{name}_all"), &page(&containers));
}

#[test]
fn version_1_with_all_sets() {
    check_all_sets("v1");
}

#[test]
fn version_2_with_all_sets() {
    check_all_sets("v2");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_docker() {
    let machine = machine("v2");
    let engine = Engine::start(&machine.path(""));
    engine.containers(&[(A, "web")]);
    let sets = Sets::default().without(Set::Disk).without(Set::CpuLoad);
    let docker = Some(engine.address());
    let containers = Containers::new(Config { sets, docker, docker_only: true, ..machine.config() }).unwrap();
    containers.start().unwrap();
    eventually("name and start time", || {
        let page = scrape(&containers);
        let start = values(&page, "container_start_time_seconds", &["name=\"web\""]) == [1_700_000_005.0];
        (start && values(&page, "atalaia_container_runtime_connected", &[]) == [1.0]).then_some(())
    });
    check("v2_docker", &page(&containers));
}

#[test]
fn a_machine_without_cgroups() {
    let machine = Machine::new();
    let text = page(&Containers::new(machine.config()).unwrap());
    assert_eq!(values(&text, "container_scrape_error", &[]), [1.0]);
    assert_eq!(values(&text, "machine_scrape_error", &[]), [1.0]);
    assert!(!text.contains("container_last_seen") && !text.contains("machine_memory_bytes"), "{text}");
}

#[track_caller]
fn check_ids(change: impl FnOnce(&mut Config), want: &[&str]) {
    let machine = machine("v2");
    let mut config = machine.config();
    change(&mut config);
    let text = page(&Containers::new(config).unwrap());
    let ids: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("container_last_seen{id=\"")?.split('"').next())
        .map(|id| id.replace(A, "A").replace(B, "B"))
        .collect();
    assert_eq!(ids, want);
}

#[test]
fn what_is_shown() {
    let (a, b) = ("/system.slice/docker-A.scope", "/system.slice/docker-B.scope");
    let inner = "/system.slice/docker-A.scope/init.scope";
    check_ids(|_| {}, &["/", "/system.slice", a, inner, b]);
    check_ids(|config| config.docker_only = true, &["/", a, b]);
    check_ids(|config| config.disable_root = true, &["/system.slice", a, inner, b]);
    check_ids(|config| config.raw_cgroup_prefixes = vec!["/user.slice".to_owned()], &["/", a, b]);
}

#[test]
fn only_the_sets_that_are_wanted_are_read() {
    let machine = machine("v2");
    let sets = Sets::from_flags("", "memory").unwrap();
    let text = page(&Containers::new(Config { sets, ..machine.config() }).unwrap());
    assert!(text.contains("container_memory_usage_bytes"));
    for other in ["container_hugetlb", "container_memory_numa", "container_cpu_schedstat", "machine_node"] {
        assert!(!text.contains(other), "{other}");
    }
    for other in ["container_cpu_usage", "container_network", "container_fs_", "container_processes", "container_oom"] {
        assert!(!text.contains(other), "{other}");
    }
    assert!(text.contains("container_spec_memory_limit_bytes"), "limits are always shown");
}

/// The threads of this process that walk what a set asks for. No other test here starts any.
fn walkers() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    let mut walkers: Vec<_> = names
        .map(|name| name.trim().to_owned())
        .filter(|name| name == "atalaia-tasks" || name == "atalaia-smaps")
        .collect();
    walkers.sort();
    walkers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_is_off_starts_no_thread() {
    let machine = machine("v2");
    let start = |sets| {
        let containers = Containers::new(Config { sets, ..machine.config() }).unwrap();
        containers.start().unwrap();
        containers
    };
    let _defaults = start(Sets::default());
    assert!(walkers().is_empty());
    let walking = start(Sets::from_flags("", "sched,referenced_memory").unwrap());
    eventually("the threads", || (walkers() == ["atalaia-smaps", "atalaia-tasks"]).then_some(()));
    let found = |page: &str| {
        ["container_cpu_schedstat_run_seconds_total", "container_referenced_bytes"]
            .iter()
            .all(|family| !values(page, family, &[A]).is_empty())
    };
    eventually("what they find", || found(&page(&walking)).then_some(()));
    drop(walking);
    eventually("their end", || walkers().is_empty().then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_can_be_left_out() {
    let machine = machine("v2");
    let engine = Engine::start(&machine.path(""));
    engine.containers(&[(A, "web")]);
    let labels = LabelPolicy { store_all: false, allowed: vec!["other".to_owned()], ..LabelPolicy::default() };
    let containers = Containers::new(Config { labels, docker: Some(engine.address()), ..machine.config() }).unwrap();
    containers.start().unwrap();
    let page = eventually("the name", || Some(scrape(&containers)).filter(|page| page.contains("name=\"web\"")));
    assert!(!page.contains("container_label_"));
}

#[test]
fn a_cgroup_that_vanishes_costs_only_itself() {
    let machine = machine("v2");
    let containers = Containers::new(machine.config()).unwrap();
    let before = values(&page(&containers), "container_memory_usage_bytes", &[]).len();
    std::fs::remove_dir_all(machine.path(&format!("sys/fs/cgroup/system.slice/docker-{A}.scope"))).unwrap();
    let text = page(&containers);
    assert_eq!(values(&text, "container_memory_usage_bytes", &[]).len(), before - 1);
    assert!(!text.contains(A));
}

#[tokio::test(flavor = "multi_thread")]
async fn monitoring_groups_are_asked_for_and_their_lack_is_told() {
    let machine = Machine::new();
    machine.add_container(A);
    let sets = Sets::from_flags("", "resctrl").unwrap();
    let start = |resctrl_groups| {
        let containers = Containers::new(Config { sets, resctrl_groups, ..machine.config() }).unwrap();
        containers.start().unwrap();
        containers
    };
    let reading = start(false);
    assert!(!scrape(&reading).contains("atalaia_container_resctrl"), "it makes none, and says nothing");
    let making = start(true);
    let unavailable = ["reason=\"unavailable\""];
    eventually("that nothing is mounted", || {
        let page = scrape(&making);
        let groups = values(&page, "atalaia_container_resctrl_groups", &[]);
        let refused = values(&page, "atalaia_container_resctrl_refused_total", &unavailable);
        ((groups, refused) == (vec![0.0], vec![1.0])).then_some(())
    });
}
