//! The registry as its process: what it keeps, what it refuses, and what it does with a folder that is no good.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use provisioning_parts::{Answer, Service, Start, send};

const REGISTRY: &str = env!("CARGO_BIN_EXE_registry");

fn registry(folder: &Path) -> Service {
    Service::start(REGISTRY, [("DATA_DIR", folder.to_str().unwrap())])
}

fn post(registry: &Service, body: &[u8]) -> Answer {
    send("POST", &registry.address, "/service", &[("Content-Type", "application/json")], body).unwrap()
}

#[test]
fn records_come_back_in_order_as_they_were_sent_and_outlive_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    // Made if it is missing.
    let mut registry = registry(&folder.path().join("below"));
    let empty = registry.get("/service");
    assert_eq!((empty.status, empty.text(), empty.header("Content-Type")), (200, "[]\n", Some("application/json")));

    let records = [r#"{"id":"a1","cpu_usage":1.50e-1}"#, r#"{"b": 1, "a": 2}"#, r#"{"id":"a1","name":"ü"}"#];
    for record in records {
        let answer = post(&registry, format!(" {record}\n").as_bytes());
        assert_eq!((answer.status, answer.text()), (200, ""));
    }
    let want = format!("[{}]\n", records.join(",\n"));
    assert_eq!(registry.get("/service").text(), want);
    assert_eq!(registry.get("/service/a1").text(), format!("{}\n", records[2]));
    let none = registry.get("/service/a%2F2");
    assert_eq!((none.status, none.text()), (404, "no record has the id \"a/2\"\n"));
    assert_eq!(registry.metric("registry_inserted_total"), Some(3.0));
    assert_eq!(registry.metric("registry_records"), Some(3.0));
    assert_eq!(registry.get("/readyz").text(), "ready\n");

    registry.kill();
    registry.restart();
    assert_eq!(registry.get("/service").text(), want);
    assert_eq!(registry.metric("registry_records"), Some(3.0));
}

#[test]
fn what_is_no_record_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path());
    let check = |body: &[u8], status: u16, reason: &str| {
        let answer = post(&registry, body);
        assert_eq!((answer.status, answer.text()), (status, format!("{reason}\n").as_str()));
    };
    check(b"[1]", 400, "the body is an array; a JSON object is wanted, such as {\"id\": \"…\"}");
    check(b"{\n \"id\": a}", 400, "the body is not JSON: expected value at line 2 column 8");
    check(b"", 400, "the body is empty; a JSON object is wanted, such as {\"id\": \"…\"}");
    let padded = |length: usize| format!("{{\"id\":\"{}\"}}", "a".repeat(length - 9)).into_bytes();
    check(&padded((64 << 10) + 1), 413, "the record is longer than 65536 bytes");
    check(&vec![b' '; 10 << 20], 413, "the record is longer than 65536 bytes");
    assert_eq!(post(&registry, &padded(64 << 10)).status, 200);
    assert_eq!(registry.metric("registry_records"), Some(1.0));
    assert_eq!(registry.metric("registry_refused_total{reason=\"record\""), Some(3.0));
    assert_eq!(registry.metric("registry_refused_total{reason=\"too_long\""), Some(2.0));
    assert_eq!(send("PUT", &registry.address, "/service", &[], b"{}").unwrap().status, 405);
}

#[test]
fn a_body_that_stops_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let env = [("DATA_DIR", folder.path().to_str().unwrap()), ("IDLE_TIMEOUT_SECONDS", "1")];
    let registry = Service::start(REGISTRY, env);
    let mut peer = TcpStream::connect(&registry.address).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    peer.write_all(b"POST /service HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{\"id\":").unwrap();
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\nthe request's body stopped for 1 s\n"), "{answer}");
}

#[test]
fn a_long_list_is_streamed_at_constant_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut registry = registry(folder.path());
    let record = format!("{{\"id\":\"a\",\"text\":\"{}\"}}", "x".repeat(60_000));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..125 {
                    assert_eq!(post(&registry, record.as_bytes()).status, 200);
                }
            });
        }
    });
    let pid = registry.process().pid();
    let peak = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().to_owned();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let before = peak();
    // Four that read slowly at once, 60 MB each.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let all = registry.get("/service").json();
                let all = all.as_array().unwrap();
                assert_eq!(all.len(), 1000);
                assert!(all.iter().all(|one| one["text"].as_str().unwrap().len() == 60_000));
            });
        }
    });
    assert!(peak() < before + 16_384, "{} KiB, {before} KiB before", peak());
}

#[test]
fn a_page_shows_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path());
    assert_eq!(post(&registry, br#"{"id":"0123456789abcdef","name":"<i>web</i>","memory_usage":1.25}"#).status, 200);
    let page = registry.get("/");
    assert_eq!((page.status, page.header("Content-Type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("<code>0123456789ab</code></td><td>&lt;i&gt;web&lt;/i&gt;</td>"), "{}", page.text());
    assert_eq!(registry.get("/style.css").header("Content-Type"), Some("text/css; charset=utf-8"));
}

/// Runs it over a folder that it cannot use; gives what it says.
fn refused(folder: &Path) -> String {
    let mut process = Start::new(REGISTRY).clean_environment().env("DATA_DIR", folder).env("BIND_PORT", "0").spawn();
    assert_eq!(process.await_exit().code(), Some(1));
    let log = process.log();
    assert_eq!(log.lines().count(), 1, "{log}");
    log
}

#[test]
fn a_file_that_is_no_registrys_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("registry.sqlite");
    std::fs::write(&file, "a file of somebody's\n".repeat(100)).unwrap();
    let log = refused(folder.path());
    let want = format!("registry: cannot use {} as the registry's file: file is not a database", file.display());
    assert!(log.starts_with(&want), "{log}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "a file of somebody's\n".repeat(100));

    std::fs::remove_file(&file).unwrap();
    let other = rusqlite::Connection::open(&file).unwrap();
    other.execute_batch("CREATE TABLE cats (name TEXT)").unwrap();
    drop(other);
    let log = refused(folder.path());
    assert!(log.contains("is a database, but not a registry's; DATA_DIR chooses another folder"), "{log}");
}

#[test]
fn a_damaged_file_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("registry.sqlite");
    let mut registry = registry(folder.path());
    for _ in 0..20 {
        assert_eq!(post(&registry, format!("{{\"text\":\"{}\"}}", "x".repeat(3000)).as_bytes()).status, 200);
    }
    registry.terminate();
    let whole = std::fs::read(&file).unwrap();

    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let log = refused(folder.path());
    assert!(log.contains("malformed"), "{log}");

    let mut wrong = whole.clone();
    for page in wrong.chunks_mut(4096).skip(1) {
        page[..16].fill(0xff);
    }
    std::fs::write(&file, &wrong).unwrap();
    let log = refused(folder.path());
    assert!(log.contains("malformed"), "{log}");

    std::fs::write(&file, &whole).unwrap();
    registry.restart();
    assert_eq!(registry.get("/service").json().as_array().unwrap().len(), 20);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let below = folder.path().join("file/data");
    let log = refused(&below);
    assert!(log.starts_with(&format!("registry: cannot make the folder {}: ", below.display())), "{log}");
}

#[test]
fn a_full_volume_is_told_and_used_again_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    // A small volume of its own, seen by this process alone.
    let wrapper = folder.path().join("registry");
    let script = format!(
        "#!/bin/sh\nexec unshare --mount sh -c 'mount -t tmpfs -o size=512k tmpfs \"$DATA_DIR\" && exec {REGISTRY}'\n"
    );
    std::fs::write(&wrapper, script).unwrap();
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let mut registry = Service::start(&wrapper, [("DATA_DIR", data.to_str().unwrap())]);
    // What else is on the volume, seen from within its namespace.
    let within = format!("/proc/{}/root{}", registry.process().pid(), data.display());
    let within = Path::new(&within);
    std::fs::write(within.join("other"), vec![0; 300 << 10]).unwrap();

    let record = format!("{{\"text\":\"{}\"}}", "x".repeat(30_000));
    let mut kept = 0;
    let full = loop {
        match post(&registry, record.as_bytes()) {
            answer if answer.status == 200 => kept += 1,
            answer => break answer,
        }
        assert!(kept < 20, "the volume has no end");
    };
    assert_eq!(full.status, 507, "{}", full.text());
    assert!(full.text().starts_with("no room is left on the volume of "), "{}", full.text());
    assert_eq!(registry.get("/service").json().as_array().unwrap().len(), kept);
    assert_eq!(registry.metric("registry_refused_total{reason=\"full\""), Some(1.0));

    std::fs::remove_file(within.join("other")).unwrap();
    assert_eq!(post(&registry, record.as_bytes()).status, 200);
    assert_eq!(registry.get("/service").json().as_array().unwrap().len(), kept + 1);
}

#[test]
fn a_store_that_another_holds_is_told_within_its_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path());
    let other = rusqlite::Connection::open(folder.path().join("registry.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ready = registry.get("/readyz");
    assert_eq!((ready.status, ready.text()), (503, "store: no answer in 2 s\n"));
    let answer = post(&registry, b"{}");
    assert_eq!(answer.status, 503);
    assert!(answer.text().ends_with("registry.sqlite is held by another process for too long\n"), "{}", answer.text());
    // It can be read all the while.
    assert_eq!(registry.get("/service").text(), "[]\n");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(post(&registry, b"{\"id\":\"a\"}").status, 200);
    assert_eq!(registry.get("/service").text(), "[{\"id\":\"a\"}]\n");
}
