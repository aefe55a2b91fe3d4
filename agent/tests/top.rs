//! `atalaia-agent top`, in a pipe and in a real terminal (that of `script`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod running;

use std::process::Output;

use provisioning_parts::{Container, Process, Start, demo_image};
use running::{BINARY, command};

const ENGINE: &str = "--docker=unix:///var/run/docker.sock";

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn one_table_for_a_pipe() {
    let script = "dd if=/dev/zero of=/dev/shm/x bs=1M count=20 2>/dev/null; while :; do :; done";
    let options = ["--memory=64m", "--cpus=0.2"];
    let container = Container::run("top", &options, demo_image(), &[script]);
    let filter = format!("--filter={}", container.name);
    let table = || text(&command(&["top", "--once", "--interval=1s", &filter, ENGINE]).output().unwrap());
    let busy = |table: &str| -> Option<(f64, f64)> {
        let line = table.lines().find(|line| line.starts_with(&container.name))?;
        let cells: Vec<_> = line.split_whitespace().collect();
        let memory = cells[2].strip_suffix("MiB")?.parse().ok()?;
        Some((cells[1].parse().ok()?, memory)).filter(|(_, memory)| *memory > 20.0)
    };
    // It may still be filling its memory.
    let deadline = std::time::Instant::now() + running::SOON;
    let (cpu, memory, shown) = loop {
        let shown = table();
        if let Some((cpu, memory)) = busy(&shown) {
            break (cpu, memory, shown);
        }
        assert!(std::time::Instant::now() < deadline, "{shown}");
    };
    assert!((5.0..60.0).contains(&cpu) && memory < 40.0, "{cpu} {memory}");
    assert!(!shown.contains('\x1b') && shown.starts_with("CPU    ["), "{shown}");
    assert!(shown.contains("1 containers with"), "{shown}");
    let all = text(&command(&["top", "--once", "--interval=100ms", "--all", "--docker="]).output().unwrap());
    assert!(all.lines().count() > 5 && all.contains("NAME"), "{all}");
}

#[test]
fn without_a_terminal_there_is_one_line_of_error() {
    let output = command(&["top"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(error, "atalaia-agent: top needs a terminal: --once prints one table to anywhere\n");
}

/// In a terminal, and then what the terminal is like.
fn in_a_terminal(flags: &str, environment: &str) -> Process {
    let inner = format!("echo pid=\\$\\$; {environment} exec {BINARY} top --docker= --interval=200ms {flags}");
    let outer = format!("stty cols 100 rows 30; sh -c \"{inner}\"; echo status=$?; stty -a");
    // `script` takes one command line, which it hands to a shell.
    let quoted = format!("'{}'", outer.replace('\'', "'\\''"));
    Start::new("script").args(["-qec", &format!("sh -c {quoted}"), "/dev/null"]).with_input().spawn()
}

/// The terminal is as it was: its own screen, a cursor, lines and echo.
#[track_caller]
fn check_given_back(output: &str, status: &str) {
    let (drawn, after) = output.split_once("\x1b[?1049l").unwrap_or_else(|| panic!("{output:?}"));
    assert!(drawn.ends_with("\x1b[?7h\x1b[?25h"), "{output:?}");
    assert!(after.contains(status), "{after}");
    let words: Vec<_> = after.split_whitespace().map(|word| word.trim_end_matches(';')).collect();
    assert!(["icanon", "echo", "isig", "opost"].iter().all(|word| words.contains(word)), "{after}");
}

#[test]
fn keys_and_the_way_out() {
    let mut top = in_a_terminal("", "");
    top.await_output("a table", |text| text.contains("vCPU %").then_some(()));
    top.say("m");
    top.await_output("another order", |text| text.contains("vMEMORY").then_some(()));
    top.say("a");
    top.await_output("all cgroups", |text| text.contains(" cgroups").then_some(()));
    top.say("/zzz\r");
    top.await_output("a filter", |text| text.contains("0 cgroups with \"zzz\"").then_some(()));
    assert!(top.output().contains("\x1b[7m"), "the titles stand out");
    top.say("q");
    top.await_exit();
    check_given_back(&top.output(), "status=0");
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let mut top = in_a_terminal("", "NO_COLOR=1");
    let pid = top.await_output("its number", |text| {
        let rest = text.split("pid=").nth(1)?;
        rest.split_once('\r')?.0.parse::<i32>().ok().filter(|_| text.contains("CPU %"))
    });
    assert!(!top.output().contains("\x1b[7m"), "no colours are wanted");
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    top.await_exit();
    check_given_back(&top.output(), "status=0");
}

#[test]
fn control_c_leaves() {
    let mut top = in_a_terminal("", "");
    top.await_output("a table", |text| text.contains("CPU %").then_some(()));
    top.say("\x03");
    top.await_exit();
    check_given_back(&top.output(), "status=0");
}
