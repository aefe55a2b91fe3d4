//! PostgreSQL starts, dies, and comes back with what it had committed.
#![allow(clippy::unwrap_used)]

use std::net::TcpStream;
use std::time::{Duration, Instant};

use provisioning_parts::Postgres;

#[test]
fn it_keeps_its_data_through_kill_and_restart() {
    let mut postgres = Postgres::start();
    assert!(postgres.query("CREATE TABLE t (a int, b text)").is_empty());
    postgres.query("INSERT INTO t VALUES (1, 'one, two'), (2, NULL)");
    let rows = [["1".to_owned(), "one, two".to_owned()], ["2".to_owned(), String::new()]];
    assert_eq!(postgres.query("SELECT * FROM t ORDER BY a"), rows);

    postgres.kill();
    let refused = TcpStream::connect(("127.0.0.1", postgres.port)).is_err();
    assert!(refused && postgres.try_query("SELECT 1").is_err());
    postgres.restart();
    assert_eq!(postgres.query("SELECT * FROM t ORDER BY a"), rows);

    postgres.terminate();
    postgres.restart();
    assert_eq!(postgres.query("SELECT count(*) FROM t"), [["2"]]);
}

#[test]
fn kill_reaches_a_session_at_work_and_stop_makes_it_hang() {
    let mut postgres = Postgres::start();
    std::thread::scope(|scope| {
        let session = scope.spawn(|| postgres.try_query("SELECT pg_sleep(1)"));
        std::thread::sleep(Duration::from_millis(100));
        postgres.stop();
        let begun = Instant::now();
        std::thread::sleep(Duration::from_millis(1500));
        assert!(!session.is_finished(), "a stopped server answered");
        postgres.cont();
        assert!(session.join().unwrap().is_ok() && begun.elapsed() < Duration::from_secs(15));
    });
    let url = postgres.url();
    std::thread::scope(|scope| {
        let psql = scope.spawn(move || {
            std::process::Command::new("psql").args(["-X", "-c", "SELECT pg_sleep(600)", &url]).output().unwrap()
        });
        let busy = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%sleep(600)%' AND pid <> pg_backend_pid()";
        provisioning_parts::eventually(20, "the session is at work", || {
            (postgres.query(busy) == [["1"]]).then_some(()).ok_or_else(String::new)
        });
        postgres.kill();
        assert!(!psql.join().unwrap().status.success());
    });
}

#[test]
fn a_wrong_password_is_refused() {
    let postgres = Postgres::start();
    let url = postgres.url().replace("a-tests-own", "another");
    let output = std::process::Command::new("psql").args(["-X", "-c", "SELECT 1", &url]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("password authentication failed"), "{output:?}");
}
