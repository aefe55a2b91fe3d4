//! Three registries on one folder, killed under load: what was answered is there once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, RwLock};

use provisioning_parts::{Service, eventually, send};

const REGISTRY: &str = env!("CARGO_BIN_EXE_registry");
const REPLICAS: usize = 3;
const WRITERS: usize = 6;
const KILLS: usize = 9;

#[test]
fn nothing_that_was_answered_is_lost_or_doubled_through_kills() {
    let folder = tempfile::tempdir().unwrap();
    let start = || Service::start(REGISTRY, [("DATA_DIR", folder.path().to_str().unwrap())]);
    // All three find an empty folder.
    let replicas: Vec<RwLock<Service>> = std::thread::scope(|scope| {
        let starting: Vec<_> = (0..REPLICAS).map(|_| scope.spawn(start)).collect();
        starting.into_iter().map(|starting| RwLock::new(starting.join().unwrap())).collect()
    });
    let addresses: Vec<String> = replicas.iter().map(|replica| replica.read().unwrap().address.clone()).collect();
    let ended = AtomicBool::new(false);
    let answered = Mutex::new(Vec::new());
    let stored = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (addresses, ended, answered, stored) = (&addresses, &ended, &answered, &stored);
            scope.spawn(move || {
                for number in 0.. {
                    if ended.load(Ordering::Relaxed) {
                        return;
                    }
                    let id = format!("{writer}-{number}");
                    let body = format!("{{\"id\":\"{id}\",\"text\":\"{}\"}}", "x".repeat(number * 37 % 5000));
                    let replica = &addresses[(writer + number) % REPLICAS];
                    // One that was killed meanwhile gives no answer, and none may be relied on.
                    if send("POST", replica, "/service", &[], body.as_bytes()).is_ok_and(|answer| answer.status == 200)
                    {
                        answered.lock().unwrap().push(id);
                        stored.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        for kill in 0..KILLS {
            let before = stored.load(Ordering::Relaxed);
            eventually(20, "records are stored", || match stored.load(Ordering::Relaxed) {
                now if now > before + 100 => Ok(()),
                now => Err(now.to_string()),
            });
            let mut replica = replicas[kill % REPLICAS].write().unwrap();
            replica.kill();
            replica.restart();
        }
        ended.store(true, Ordering::Relaxed);
    });

    let answered = answered.into_inner().unwrap();
    let lists: Vec<_> = replicas.iter().map(|replica| replica.read().unwrap().get("/service").json()).collect();
    assert!(lists.iter().all(|list| list == &lists[0]), "replicas tell different records");
    let mut times = BTreeMap::<&str, usize>::new();
    for record in lists[0].as_array().unwrap() {
        *times.entry(record["id"].as_str().unwrap()).or_default() += 1;
    }
    for id in &answered {
        assert_eq!(times.get(id.as_str()), Some(&1), "{id} of {} answered", answered.len());
    }
    assert!(times.values().all(|times| *times == 1), "a record is there more than once");
    let file = rusqlite::Connection::open(folder.path().join("registry.sqlite")).unwrap();
    let check: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}
