//! GPUs of containers, over trees of kernel files.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::{Duration, UNIX_EPOCH};

use agent_container::{Containers, Renames, Set, Sets};
use agent_exposition::Page;
use agent_gpu::{Board, Process};
use support::Machine;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn machine(name: &str) -> Machine {
    Machine::from_fixture(name, UNIX_EPOCH + Duration::from_secs(1_700_000_500))
}

fn board(number: u32, processes: &[(u32, Option<u64>, u32)]) -> Board {
    let process = |(pid, memory, duty): &(u32, Option<u64>, u32)| Process { pid: *pid, memory: *memory, duty: *duty };
    Board {
        model: "NVIDIA H100 80GB HBM3".to_owned(),
        uuid: format!("GPU-{number}"),
        minor: Some(number),
        memory_total: Some(80),
        tells_duty: true,
        processes: processes.iter().map(process).collect(),
    }
}

/// `FAMILY ID GPU VALUE` for each sample, in short.
fn lines(machine: &Machine, boards: &[Board]) -> Vec<String> {
    let containers = Containers::new(machine.config()).unwrap();
    let mut page = Page::new();
    containers.collect_accelerators(&mut page, boards);
    let mut text = String::new();
    page.write_text(&mut text);
    let short = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let label = |name: &str| {
            let begins = |start| series.split_once(&format!("{start}{name}=\""));
            let (_, rest) = begins('{').or_else(|| begins(',')).unwrap();
            rest.split('"').next().unwrap().replace(A, "A")
        };
        assert!(series.contains("make=\"nvidia\",model=\"NVIDIA H100 80GB HBM3\""), "{series}");
        let family = series.split('{').next().unwrap().strip_prefix("container_accelerator_").unwrap();
        format!("{family} {} {} {value}", label("id"), label("acc_id"))
    };
    text.lines().filter(|line| !line.starts_with('#')).map(short).collect()
}

#[test]
fn processes_count_for_their_container() {
    let machine = machine("v2");
    let scope = format!("0::/system.slice/docker-{A}.scope");
    machine.write("proc/10/cgroup", &scope);
    // In a group of the container's own making; one that is not known yet; and no container at all.
    machine.write("proc/11/cgroup", &format!("{scope}/init.scope\n"));
    machine.write("proc/12/cgroup", &format!("{scope}/made/just/now\n"));
    machine.write("proc/13/cgroup", "0::/system.slice/x.service\n");
    let first =
        board(0, &[(10, Some(5), 30), (11, Some(7), 20), (12, Some(1), 60), (13, Some(2), 1), (99, Some(9), 9)]);
    let second = board(1, &[(11, None, 0)]);
    let a = "/system.slice/docker-A.scope";
    let mut want = vec![
        "memory_total_bytes /system.slice GPU-0 80".to_owned(),
        format!("memory_total_bytes {a} GPU-0 80"),
        format!("memory_total_bytes {a} GPU-1 80"),
        "memory_used_bytes /system.slice GPU-0 2".to_owned(),
        // What the second GPU's memory is used for is not told.
        format!("memory_used_bytes {a} GPU-0 13"),
        "duty_cycle /system.slice GPU-0 1".to_owned(),
        format!("duty_cycle {a} GPU-0 100"),
        format!("duty_cycle {a} GPU-1 0"),
    ];
    let mut got = lines(&machine, &[first, second]);
    want.sort();
    got.sort();
    assert_eq!(got, want);
    // A divided GPU has no use by process.
    let divided = Board { tells_duty: false, memory_total: None, ..board(0, &[(10, Some(5), 0)]) };
    assert_eq!(lines(&machine, &[divided]), [format!("memory_used_bytes {a} GPU-0 5")]);
    assert_eq!(lines(&machine, &[]), Vec::<String>::new());
}

#[test]
fn version_1_tells_what_a_container_was_given() {
    let machine = machine("v1");
    let list = |content: &str| machine.write(&format!("sys/fs/cgroup/devices/docker/{A}/devices.list"), content);
    machine.write("proc/10/cgroup", &format!("4:memory:/docker/{A}\n3:freezer:/\n0::/\n"));
    list("c 1:3 rwm\nc 195:1 rw\nc 195:255 rw\n");
    let boards = [board(0, &[(10, Some(5), 30)]), board(1, &[])];
    let a = "/docker/A";
    let mut want = [
        format!("memory_total_bytes {a} GPU-0 80"),
        format!("memory_total_bytes {a} GPU-1 80"),
        format!("memory_used_bytes {a} GPU-0 5"),
        format!("memory_used_bytes {a} GPU-1 0"),
        format!("duty_cycle {a} GPU-0 30"),
        format!("duty_cycle {a} GPU-1 0"),
    ];
    want.sort();
    let mut got = lines(&machine, &boards);
    got.sort();
    assert_eq!(got, want);
    // All devices are no gift of a GPU.
    list("a *:* rwm\n");
    assert!(lines(&machine, &boards).iter().all(|line| line.contains("GPU-0")));
}

#[test]
fn they_are_a_set_of_their_own() {
    let sets = |disable: &str, enable: &str| Sets::from_flags(disable, enable).unwrap();
    assert!(sets("", "").has(Set::Accelerator) && !sets("accelerator", "").has(Set::Accelerator));
    assert!(sets("", "accelerator").has(Set::Accelerator) && !sets("", "cpu").has(Set::Accelerator));
    for label in ["acc_id", "make", "model"] {
        let error = Renames::parse([format!("tier={label}").as_str()]).unwrap_err();
        assert!(error.to_string().contains(label), "{error}");
    }
}
