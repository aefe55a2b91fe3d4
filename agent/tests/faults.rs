//! What goes wrong costs what it must and no more.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod running;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use running::{Agent, SOON, command, copy_proc, request, value};
use rustix::process::Signal;

/// A process that ends by itself: status and standard error.
fn end_of(flags: &[&str]) -> (ExitStatus, String) {
    let output = command(flags).stdout(Stdio::null()).output().unwrap();
    (output.status, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_wrong_flag_is_one_line_and_exit_code_2() {
    for (flag, want) in [
        ("--web.listen-adress=:0", "did you mean --web.listen-address?"),
        ("--collector.nonsense", "unknown flag --collector.nonsense"),
        ("--web.max-requests=-1", "--web.max-requests"),
        ("--log.format=xml", "--log.format=xml: one of logfmt, json"),
        ("--web.config=x.yml", "use --web.config.file"),
    ] {
        let (status, error) = end_of(&[flag]);
        assert_eq!(status.code(), Some(2), "{flag}");
        assert!(error.contains(want) && error.lines().count() == 1, "{flag}: {error}");
    }
}

#[test]
fn what_fails_at_the_start_is_one_line_and_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (flags, want) in [
        (
            vec![format!("--web.listen-address={address}")],
            format!("cannot listen on {address}: Address already in use"),
        ),
        (vec!["--web.config.file=/absent.yml".to_owned()], "cannot read /absent.yml: No such file".to_owned()),
        (
            vec!["--web.listen-address=nonsense".to_owned()],
            "listen address \\\"nonsense\\\" is not of the form".to_owned(),
        ),
        (
            vec!["--web.listen-address=127.0.0.1:0".to_owned(), "--web.telemetry-path=m".to_owned()],
            "path \\\"m\\\" does not begin with a slash".to_owned(),
        ),
        (
            vec!["--web.listen-address=127.0.0.1:0".to_owned(), "--web.telemetry-path=/{m".to_owned()],
            "path \\\"/{m\\\" does not begin with a slash, or holds one of { } * :".to_owned(),
        ),
        (
            vec![
                "--web.listen-address=127.0.0.1:0".to_owned(),
                "--collector.filesystem.mount-points-exclude=(".to_owned(),
            ],
            "--collector.filesystem.mount-points-exclude=(".to_owned(),
        ),
    ] {
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let (status, error) = end_of(&flags);
        assert_eq!(status.code(), Some(1), "{flags:?}: {error}");
        let errors: Vec<_> = error.lines().filter(|line| line.contains("level=error")).collect();
        assert!(errors.len() == 1 && errors[0].contains(&want), "{flags:?}: {error}");
    }
}

#[test]
fn terminate_and_interrupt_end_it_well_and_hang_up_does_not_end_it() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut agent = Agent::start(&[]);
        agent.process.signal(Signal::HUP);
        agent.log_line("nothing to read again");
        assert_eq!(agent.get("/healthz").status, 200);
        agent.process.signal(signal);
        assert_eq!(agent.process.await_exit().code(), Some(0));
        assert!(agent.process.log().contains("msg=\"stopping\""));
    }
}

#[test]
fn idle_connections_do_not_hold_up_the_end() {
    let mut agent = Agent::start(&[]);
    let mut idle = std::net::TcpStream::connect(&agent.address).unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut byte = [0];
    idle.read_exact(&mut byte).unwrap();
    let started = Instant::now();
    agent.process.signal(Signal::TERM);
    assert_eq!(agent.process.await_exit().code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(4), "it waited for the grace to pass");
}

#[test]
fn missing_kernel_files_cost_their_own_families_alone() {
    let proc = tempfile::tempdir().unwrap();
    copy_proc(proc.path(), &["loadavg"]);
    let agent = Agent::start(&[&format!("--path.procfs={}", proc.path().display()), "--no-collector.container"]);
    let page = agent.get("/metrics");
    assert_eq!(page.status, 200);
    assert!(value(page.text(), "node_load1").is_some());
    assert_eq!(value(page.text(), "node_scrape_collector_success{collector=\"loadavg\"}"), Some(1.0));
    assert_eq!(value(page.text(), "node_scrape_collector_success{collector=\"meminfo\"}"), Some(0.0));
    assert!(!page.text().contains("node_memory_"));
    let failed = "atalaia_collector_outcome{collector=\"meminfo\",outcome=\"failed\"}";
    assert_eq!(value(page.text(), failed), Some(1.0));
}

#[test]
fn a_failure_is_logged_once_and_so_is_its_end() {
    let proc = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(&[
        &format!("--path.procfs={}", proc.path().display()),
        "--collector.disable-defaults",
        "--collector.loadavg",
    ]);
    for _ in 0..3 {
        agent.get("/metrics");
    }
    copy_proc(proc.path(), &["loadavg"]);
    agent.get("/metrics");
    agent.process.terminate();
    let log = agent.process.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("collector=loadavg")).collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(lines[0].contains("collector failed") && lines[0].contains("No such file"), "{log}");
    assert!(lines[1].contains("collector works again"), "{log}");
}

/// A tree in which opening `loadavg` blocks until somebody writes.
fn stuck_tree() -> tempfile::TempDir {
    let proc = tempfile::tempdir().unwrap();
    copy_proc(proc.path(), &["meminfo"]);
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, proc.path().join("loadavg"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    proc
}

fn stuck_agent(proc: &Path, more: &[&str]) -> Agent {
    let procfs = format!("--path.procfs={}", proc.display());
    let mut flags = vec![procfs.as_str(), "--collector.disable-defaults", "--collector.loadavg", "--collector.meminfo"];
    flags.extend(more);
    Agent::start(&flags)
}

fn threads(agent: &Agent) -> usize {
    std::fs::read_dir(format!("/proc/{}/task", agent.process.pid())).unwrap().count()
}

#[test]
fn a_stuck_collector_costs_only_itself() {
    let proc = stuck_tree();
    let agent = stuck_agent(proc.path(), &[]);
    let scrape = || {
        let started = Instant::now();
        let page = agent.get_with("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "1.5")]);
        (page, started.elapsed())
    };
    let stuck = "atalaia_collector_outcome{collector=\"loadavg\",outcome=\"stuck\"}";
    // The first scrape waits for it as long as it can.
    let (page, took) = scrape();
    assert!(took < Duration::from_millis(1500), "the scrape took {took:?}");
    assert!(took >= Duration::from_millis(1200), "the collector got {took:?} only");
    assert!(value(page.text(), "node_memory_MemTotal_bytes").is_some(), "{}", page.text());
    assert_eq!(value(page.text(), stuck), Some(1.0));
    assert_eq!(value(page.text(), "node_scrape_collector_success{collector=\"loadavg\"}"), Some(0.0));
    assert!(!page.text().contains("node_load1"));
    // The next one does not, nor does each take another thread (some more come where tasks overlap).
    let before = threads(&agent);
    let (page, took) = scrape();
    assert!(took < Duration::from_millis(1000), "the second scrape took {took:?}");
    assert_eq!(value(page.text(), stuck), Some(1.0));
    let gone = value(page.text(), "atalaia_collector_stuck_seconds{collector=\"loadavg\"}").unwrap();
    assert!(gone > 1.0, "{gone}");
    (0..30).for_each(|_| drop(scrape()));
    assert!(threads(&agent) < before + 10, "{} threads after {before}", threads(&agent));
    // When the file answers, the collector is back.
    let mut writer = std::fs::OpenOptions::new().write(true).open(proc.path().join("loadavg")).unwrap();
    copy_proc(&proc.path().join("new"), &["loadavg"]);
    std::fs::rename(proc.path().join("new/loadavg"), proc.path().join("loadavg")).unwrap();
    // Who reads kernel files may have left when it saw a pipe; that is a way of coming back too.
    let _ = writer.write_all(b"0.10 0.20 0.30 1/2 3\n");
    drop(writer);
    let deadline = Instant::now() + SOON;
    while value(scrape().0.text(), "node_scrape_collector_success{collector=\"loadavg\"}") != Some(1.0) {
        assert!(Instant::now() < deadline, "the collector did not come back");
    }
}

#[test]
fn too_many_requests_are_refused_and_counted() {
    let proc = stuck_tree();
    let agent = stuck_agent(proc.path(), &["--web.max-requests=1"]);
    let idle = threads(&agent);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| agent.get_with("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "4")]));
        let deadline = Instant::now() + SOON;
        while threads(&agent) == idle {
            assert!(Instant::now() < deadline, "the first request is not taken up");
            std::thread::sleep(Duration::from_millis(1));
        }
        let refused = agent.get("/metrics");
        assert_eq!(refused.status, 503);
        assert!(refused.text().contains("1 requests are being answered"), "{}", refused.text());
        assert_eq!(agent.get("/healthz").status, 200);
        assert_eq!(first.join().unwrap().status, 200);
    });
    let page = agent.get("/metrics");
    assert_eq!(value(page.text(), "promhttp_metric_handler_requests_total{code=\"503\"}"), Some(1.0));
}

#[test]
fn requests_that_are_none_are_refused() {
    let agent = Agent::start(&[]);
    let mut stream = std::net::TcpStream::connect(&agent.address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(b"\0\x01nonsense\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer:?}");
    for path in ["/info/", "/info/%ff", "/metrics?collect[]=%ff", "/nowhere"] {
        let status = request(&agent.address, "GET", path, &[]).status;
        assert!((400..500).contains(&status), "{path}: {status}");
    }
    assert_eq!(agent.get("/metrics").status, 200);
}
