//! Every fault of cAdvisor's that `--compat=cadvisor` reproduces: right without it, wrong with it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agent_container::{Compat, Config, Containers, QUIRKS, Quirk, Set, Sets};
use agent_exposition::Page;
use support::engine::{Engine, Reply};
use support::{Machine, eventually};

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A fixture, the beginning of a line with `A` for the container's path, and what follows it without and with the
/// fault; `None` where there is no such line.
type Row = (Quirk, &'static str, &'static str, Option<&'static str>, Option<&'static str>);

const TABLE: &[Row] = &[
    (
        Quirk::Timestamps,
        "v2",
        "container_last_seen{id=\"/\"}",
        Some("1.700001e+09"),
        Some("1.700001e+09 1700001000000"),
    ),
    (Quirk::Timestamps, "v2", "machine_cpu_sockets{", Some("2"), Some("2 1700001000000")),
    (Quirk::Timestamps, "v2", "container_spec_cpu_quota{id=\"A\"}", Some("50000"), Some("50000")),
    (
        Quirk::DiskSeconds,
        "v2",
        "container_fs_read_seconds_total{device=\"/dev/sda\",id=\"/\"}",
        Some("0.723"),
        Some("7.23e-07"),
    ),
    (Quirk::DiskNames, "v2", "container_fs_read_seconds_total{device=\"/dev/nvme0n1\",id=\"/\"}", Some("1"), None),
    (Quirk::LoadThousandths, "v1", "container_cpu_load_average_10s{id=\"A\"}", Some("2"), Some("2000")),
    (Quirk::LoadThousandths, "v2", "container_cpu_load_average_10s{id=\"A\"}", Some("3"), Some("0")),
    (Quirk::LoadThousandths, "v2", "container_tasks_state{state=\"iowaiting\",id=\"A\"}", None, Some("0")),
    (Quirk::ZeroesOnV2, "v2", "container_memory_failcnt{id=\"A\"}", Some("5"), Some("0")),
    (Quirk::ZeroesOnV2, "v2", "container_memory_kernel_usage{id=\"A\"}", Some("30"), Some("0")),
    (Quirk::ZeroesOnV2, "v2", "container_memory_migrate{id=\"A\"}", None, Some("0")),
    (Quirk::ZeroesOnV2, "v2", "container_hugetlb_max_usage_bytes{pagesize=\"2MB\",id=\"A\"}", None, Some("0")),
    (
        Quirk::ZeroesOnV2,
        "v2",
        "container_memory_numa_pages{node=\"1\",scope=\"hierarchy\",type=\"anon\",id=\"A\"}",
        Some("1"),
        None,
    ),
    (Quirk::ZeroesOnV1, "v1", "container_pressure_io_waiting_seconds_total{id=\"A\"}", None, Some("0")),
    (Quirk::ZeroesOnV1, "v1", "container_memory_events_high_total{id=\"A\"}", None, Some("0")),
    (Quirk::ZeroesOnV1, "v1", "container_memory_file_dirty_bytes{id=\"A\"}", Some("800"), Some("0")),
    (Quirk::ZeroesOnV1, "v1", "container_memory_pgscan_total{id=\"A\"}", None, Some("0")),
    (
        Quirk::UdpQueuesSwapped,
        "v2",
        "container_network_udp_usage_total{udp_state=\"rxqueued\",id=\"A\"}",
        Some("3"),
        Some("16"),
    ),
    (Quirk::SchedOfLeaders, "v2", "container_cpu_schedstat_run_periods_total{id=\"A\"}", Some("45"), Some("42")),
    (
        Quirk::SwapWithMemory,
        "v1",
        "container_spec_memory_swap_limit_bytes{id=\"A\"}",
        Some("6.7108864e+07"),
        Some("1.34217728e+08"),
    ),
    (
        Quirk::ReservationIsMin,
        "v2",
        "container_spec_memory_reservation_limit_bytes{id=\"A\"}",
        Some("1.048576e+06"),
        Some("2.097152e+06"),
    ),
    (Quirk::CoresBySocketLost, "v2", "machine_cpu_physical_cores{", Some("4"), Some("2")),
    (
        Quirk::CountersAsGauges,
        "v2",
        "# TYPE container_network_advance_tcp_stats_total ",
        Some("counter"),
        Some("gauge"),
    ),
    (Quirk::CountersAsGauges, "v1", "# TYPE container_memory_bandwidth_bytes ", Some("counter"), Some("gauge")),
    (Quirk::CountersAsGauges, "v1", "# TYPE container_fs_reads_total ", Some("counter"), Some("counter")),
    (Quirk::OwnProcesses, "v2", "container_processes{id=\"A\"}", Some("3"), Some("2")),
    (Quirk::OwnProcesses, "v2", "container_sockets{id=\"A\"}", Some("3"), Some("2")),
    (Quirk::HealthOfAll, "v2", "container_health_state{id=\"/\"}", None, Some("-1")),
    (Quirk::MachineZeroes, "v2", "machine_nvm_avg_power_budget_watts{", None, Some("0")),
    (Quirk::MachineZeroes, "v2", "machine_cpu_books{", None, Some("0")),
];

/// Those that need more than a page of a fixture.
const ELSEWHERE: &[Quirk] = &[
    Quirk::LabelUnion,
    Quirk::DisableReplaces,
    Quirk::DiskOfHost,
    Quirk::InodesOfLayer,
    Quirk::KillsForgotten,
    Quirk::NoDockerVersion,
    Quirk::SharedNetwork,
    Quirk::StartIsCreation,
];

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn machine(name: &str) -> Machine {
    Machine::from_fixture(name, at(1_700_000_500))
}

fn text(containers: &Containers) -> String {
    let mut page = Page::new();
    containers.collect_at(&mut page, at(1_700_001_000));
    let mut text = String::new();
    page.write_text(&mut text);
    text
}

/// The second page, with what the background threads find after the first.
fn page(config: Config) -> String {
    let containers = Containers::new(config).unwrap();
    text(&containers);
    containers.sample_background();
    text(&containers)
}

fn config(machine: &Machine, compat: Compat) -> Config {
    Config { sets: Sets::all().without(Set::Disk), load_reader: true, compat, ..machine.config() }
}

/// What follows the beginning of a line, without the rest of its labels.
fn value<'a>(page: &'a str, beginning: &str) -> Option<&'a str> {
    let rest = page.lines().find_map(|line| line.strip_prefix(beginning))?;
    Some(rest.rsplit_once("} ").map_or(rest, |(_, value)| value).trim())
}

#[test]
fn every_quirk_is_tested() {
    for row in QUIRKS {
        let in_table = TABLE.iter().any(|(quirk, ..)| *quirk == row.quirk);
        assert_ne!(in_table, ELSEWHERE.contains(&row.quirk), "{}", row.name);
    }
}

#[test]
fn right_without_and_wrong_with() {
    let without = ["v1", "v2"].map(|name| page(config(&machine(name), Compat::default())));
    let mut failed = Vec::new();
    for row in QUIRKS {
        for (fixture, right) in ["v1", "v2"].into_iter().zip(&without) {
            let rows: Vec<_> =
                TABLE.iter().filter(|(quirk, name, ..)| *quirk == row.quirk && *name == fixture).collect();
            if rows.is_empty() {
                continue;
            }
            let wrong = page(config(&machine(fixture), Compat::default().with(row.quirk)));
            let path = if fixture == "v1" { format!("/docker/{A}") } else { format!("/system.slice/docker-{A}.scope") };
            for (_, _, beginning, want_right, want_wrong) in rows {
                let line = beginning.replace("\"A\"", &format!("\"{path}\""));
                let got = (value(right, &line), value(&wrong, &line));
                if got != (*want_right, *want_wrong) {
                    failed.push(format!("{} {fixture} {beginning}: {got:?}", row.name));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn a_container_on_the_hosts_network() {
    let got = [Compat::default(), Compat::default().with(Quirk::SharedNetwork)].map(|compat| {
        let machine = machine("v2");
        std::fs::remove_file(machine.path("proc/4242/ns/net")).unwrap();
        machine.link("proc/4242/ns/net", "net:[4026531840]");
        let page = page(config(&machine, compat));
        let own = |family: &str| page.lines().filter(|line| line.starts_with(family) && line.contains(A)).count();
        (own("container_network_receive_bytes_total"), own("container_network_tcp_usage_total"))
    });
    assert_eq!(got, [(0, 0), (1, 11)]);
}

#[test]
fn kills_of_an_earlier_cgroup() {
    let got = [Compat::default(), Compat::default().with(Quirk::KillsForgotten)].map(|compat| {
        let machine = machine("v1");
        let containers = Containers::new(config(&machine, compat)).unwrap();
        text(&containers);
        machine.write(&format!("sys/fs/cgroup/memory/docker/{A}/memory.oom_control"), "oom_kill 1\n");
        let page = text(&containers);
        value(&page, &format!("container_oom_events_total{{id=\"/docker/{A}\"}}")).map(str::to_owned)
    });
    assert_eq!(got.map(Option::unwrap), ["4", "1"]);
}

/// As many as before, but in another cgroup: they are others.
#[test]
fn kills_of_two_cgroups_that_are_alike() {
    let machine = machine("v1");
    let containers = Containers::new(config(&machine, Compat::default())).unwrap();
    let kills = || {
        let page = text(&containers);
        value(&page, &format!("container_oom_events_total{{id=\"/docker/{A}\"}}")).map(str::to_owned)
    };
    assert_eq!(kills().as_deref(), Some("3"));
    let folder = machine.path(&format!("sys/fs/cgroup/memory/docker/{A}"));
    // The old one stays beside it, so that the new one has another inode.
    std::fs::rename(&folder, machine.path("sys/old")).unwrap();
    machine.write(&format!("sys/fs/cgroup/memory/docker/{A}/memory.oom_control"), "oom_kill 3\n");
    assert_eq!(kills().as_deref(), Some("6"));
    // Another controller's folder says nothing of memory.
    let folder = machine.path(&format!("sys/fs/cgroup/pids/docker/{A}"));
    std::fs::rename(&folder, machine.path("sys/old_pids")).unwrap();
    std::fs::create_dir_all(&folder).unwrap();
    assert_eq!(kills().as_deref(), Some("6"));
}

/// Of one that ended: what is told of that, by the engine's word, is none of cAdvisor's and stays.
#[tokio::test(flavor = "multi_thread")]
async fn kills_of_a_container_that_ended() {
    for (compat, kills) in [(Compat::default(), vec!["1"]), (Compat::cadvisor(), vec![])] {
        let machine = Machine::new();
        machine.add_container(A);
        let engine = Engine::start(&machine.path(""));
        engine.containers(&[(A, "web")]);
        let containers =
            Containers::new(Config { compat, docker: Some(engine.address()), ..machine.config() }).unwrap();
        containers.start().unwrap();
        eventually("the name", || (!of_web(&text(&containers), "container_state", "running").is_empty()).then_some(()));
        eventually("the stream of events", || (engine.streams() == 1).then_some(()));
        engine.reply(&format!("/containers/{A}/json"), Reply::Status(404));
        engine.event("oom", A);
        engine.death(A, 137);
        std::fs::remove_dir_all(machine.path(&format!("sys/fs/cgroup/docker/{A}"))).unwrap();
        let page = eventually("the end", || {
            let page = text(&containers);
            (!of_web(&page, "container_state", "exited").is_empty()).then_some(page)
        });
        assert_eq!(of_web(&page, "container_oom_events_total", ""), kills);
        assert_eq!(of_web(&page, "container_last_exit_code", "").len(), 1);
    }
}

/// A page with an engine that knows the container and where its layer is: a folder with two files on `/dev/sda`.
async fn page_with_engine(compat: Compat) -> String {
    page_of(machine("v2"), compat).await
}

async fn page_of(machine: Machine, compat: Compat) -> String {
    machine.write("layer/a", "1");
    machine.write("layer/b", "2");
    machine.write("proc/1/mountinfo", "27 1 8:0 / / rw - ext4 /dev/sda rw\n");
    let engine = Engine::start(&machine.path(""));
    engine.containers(&[(A, "web")]);
    let layer = machine.path("layer");
    let answer = format!(
        r#"{{"Id":"{A}","Name":"/web","Created":"2023-11-14T22:13:20Z",
        "State":{{"Running":true,"Pid":4242,"StartedAt":"2023-11-14T22:13:25Z"}},"Config":{{"Image":"shop/web:1"}},
        "GraphDriver":{{"Name":"overlay2","Data":{{"UpperDir":"{}"}}}}}}"#,
        layer.display()
    );
    engine.reply(&format!("/containers/{A}/json"), Reply::Json(answer));
    let sets = Sets::default().without(Set::CpuLoad);
    let docker = Some(engine.address());
    let containers = Containers::new(Config { sets, compat, docker, ..machine.config() }).unwrap();
    containers.start().unwrap();
    eventually("the layer's size", || {
        let page = text(&containers);
        let is_there = |line: &str| line.starts_with("container_fs_usage_bytes{") && line.contains("name=\"web\"");
        page.lines().any(is_there).then_some(page)
    })
}

/// The values of the container's lines of a family, with a piece of labels.
fn of_web(page: &str, family: &str, piece: &str) -> Vec<String> {
    let of_family = |line: &&str| line.strip_prefix(family).is_some_and(|rest| rest.starts_with('{'));
    let lines = page.lines().filter(of_family).filter(|line| line.contains("name=\"web\"") && line.contains(piece));
    lines.map(|line| line.rsplit_once("} ").unwrap().1.to_owned()).collect()
}

/// Old schedulers tell of cgroups what cAdvisor shows of the host's device too.
#[tokio::test(flavor = "multi_thread")]
async fn no_series_comes_twice() {
    for compat in [Compat::default(), Compat::cadvisor()] {
        let machine = machine("v1");
        machine.write("sys/dev/block/8:0/uevent", "MAJOR=8\nMINOR=0\nDEVNAME=sda\n");
        for (file, text) in [
            ("io_merged_recursive", "8:0 Read 5\n8:0 Write 3\n8:0 Total 8\nTotal 8\n"),
            ("io_service_time_recursive", "8:0 Read 5000\n8:0 Write 3000\n8:0 Total 8000\nTotal 8000\n"),
        ] {
            machine.write(&format!("sys/fs/cgroup/blkio/docker/{A}/blkio.bfq.{file}"), text);
        }
        let page = page_of(machine, compat).await;
        let mut series: Vec<_> = page
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.rsplit_once("} ").unwrap_or((line, "")).0)
            .collect();
        series.sort_unstable();
        let twice: Vec<_> = series.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        assert_eq!(twice, [] as [&str; 0]);
        assert_eq!(of_web(&page, "container_fs_reads_merged_total", "/dev/sda").len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_engine_tells() {
    let right = page_with_engine(Compat::default()).await;
    let with = |quirk| page_with_engine(Compat::default().with(quirk));
    let start = "container_start_time_seconds";
    assert_eq!(of_web(&right, start, ""), ["1.700000005e+09"]);
    assert_eq!(of_web(&with(Quirk::StartIsCreation).await, start, ""), ["1.7e+09"]);

    let docker = |page: &str| page.lines().find(|line| line.starts_with("cadvisor_version_info{")).unwrap().to_owned();
    assert!(docker(&right).contains("dockerVersion=\"20.10.24\""));
    assert!(docker(&with(Quirk::NoDockerVersion).await).contains("dockerVersion=\"\""));

    let (total, free) = ("container_fs_inodes_total", "container_fs_inodes_free");
    assert_ne!(of_web(&right, free, ""), ["0"]);
    let wrong = with(Quirk::InodesOfLayer).await;
    assert_eq!((of_web(&wrong, total, ""), of_web(&wrong, free, "")), (vec!["3".to_owned()], vec!["0".to_owned()]));

    let merged = "container_fs_reads_merged_total";
    assert!(of_web(&right, merged, "").is_empty());
    assert_eq!(of_web(&with(Quirk::DiskOfHost).await, merged, "device=\"/dev/sda\""), ["2"]);

    let slice = |page: &str| {
        let begins = "container_last_seen{";
        page.lines().find(|line| line.starts_with(begins) && line.contains("\"/system.slice\"")).unwrap().to_owned()
    };
    assert_eq!(slice(&right), "container_last_seen{id=\"/system.slice\"} 1.700001e+09");
    let union = "container_last_seen{id=\"/system.slice\",image=\"\",name=\"\"} 1.700001e+09";
    assert_eq!(slice(&with(Quirk::LabelUnion).await), union);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_at_once_is_a_page_without_doubles() {
    let page = page_with_engine(Compat::cadvisor()).await;
    let mut series: Vec<_> = page
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit_once("} ").unwrap_or((line, "")).0)
        .collect();
    let all = series.len();
    series.sort_unstable();
    series.dedup();
    assert_eq!(series.len(), all);
}
