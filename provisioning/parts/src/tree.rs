//! A process and all that descend from it, read from `/proc`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// What `/proc/PID/stat` says: the parent, and whether it still runs (not merely waits to be reaped).
fn stat(pid: i32) -> Option<(i32, bool)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold anything, brackets too.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    Some((fields.next()?.parse().ok()?, !matches!(state, "Z" | "X")))
}

/// The process and its descendants, each after its parent.
pub fn family(pid: u32) -> Vec<i32> {
    let names = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name());
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for pid in names.filter_map(|name| name.to_str()?.parse().ok()) {
        if let Some((parent, true)) = stat(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = vec![i32::try_from(pid).unwrap()];
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        found.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    found
}

/// Sends a signal to each that is still there.
pub fn signal(pids: &[i32], signal: Signal) {
    for pid in pids.iter().filter_map(|&pid| Pid::from_raw(pid)) {
        let _ = kill_process(pid, signal);
    }
}

/// kill -9 of the process and of all that it started, and waits for their end; the caller reaps the first.
pub fn kill(pid: u32) {
    // One that stands still starts nobody while we look.
    let first = i32::try_from(pid).unwrap();
    signal(&[first], Signal::STOP);
    let family = family(pid);
    signal(&family, Signal::KILL);
    let deadline = Instant::now() + Duration::from_secs(30);
    while family.iter().any(|&pid| stat(pid).is_some_and(|(_, runs)| runs)) {
        assert!(Instant::now() < deadline, "processes {family:?} outlive kill -9");
        std::thread::sleep(Duration::from_millis(2));
    }
}
