//! `ps`: the processes of a cgroup and those below.
//!
//! It tells what cAdvisor tells: users, times, sizes and the name of the program, never its arguments.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agent_procfs::{Root, cgroup, pid_details};
use time::OffsetDateTime;
use time::macros::format_description;

use super::json::Json;
use crate::collect::Collection;
use crate::stats::pids;

/// More processes than these are left out.
const MOST: usize = 10_000;
/// Of a process's descriptors no more are counted.
const MOST_DESCRIPTORS: usize = 100_000;
const TICKS: f64 = 100.0;

/// What all processes are measured by.
struct Measures<'a> {
    root: &'a Root,
    memory: Option<u64>,
    boot: Option<u64>,
    page: u64,
    now: f64,
    users: BTreeMap<u64, String>,
}

/// The processes of a cgroup and of those below it, in the order of their numbers, each with its cgroup's path.
pub(super) struct Processes {
    found: Vec<(u32, Arc<str>)>,
    memory: Option<u64>,
    boot: Option<u64>,
}

impl Processes {
    /// Those of the cgroup at a path.
    pub(super) fn find(collection: &mut Collection, path: &str) -> Self {
        let prefix = path.trim_end_matches('/');
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        for key in collection.tree.keys().to_vec() {
            let Some(cgroup) = collection.tree.get_mut(key) else { continue };
            let rest = cgroup.path.strip_prefix(prefix);
            if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
                continue;
            }
            let path = cgroup.path.clone();
            let file = pids::file(&collection.layout);
            let Some(text) = collection.desk.read(&collection.layout, cgroup, file) else { continue };
            found.extend(cgroup::pids(text).filter(|pid| seen.insert(*pid)).map(|pid| (pid, path.clone())));
        }
        found.sort_unstable();
        found.truncate(MOST);
        let memory = collection.machine.read().memory_total;
        Self { found, memory, boot: collection.machine.boot_time() }
    }

    /// What they do; it may take long.
    pub(super) fn tell(self, root: &Root, now: SystemTime) -> String {
        let measures = Measures {
            root,
            memory: self.memory,
            boot: self.boot,
            page: rustix::param::page_size() as u64,
            now: now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            users: users(root),
        };
        let mut json = Json::default();
        json.list();
        let (mut stat, mut status) = (Vec::new(), Vec::new());
        for (pid, path) in self.found {
            if root.read_into(&root.proc(format!("{pid}/stat")), &mut stat).is_err() {
                continue;
            }
            let Ok(details) = pid_details::parse(&stat) else { continue };
            let user = root.read_into(&root.proc(format!("{pid}/status")), &mut status).ok();
            let user = user.and_then(|()| pid_details::user_of(&status));
            measures.put(&mut json, pid, user, &details, &path);
        }
        json.end_list();
        json.finish()
    }
}

impl Measures<'_> {
    fn put(&self, json: &mut Json, pid: u32, user: Option<u64>, details: &pid_details::Details<'_>, path: &str) {
        let used = details.cpu_ticks as f64 / TICKS;
        let began = self.boot.map(|boot| boot as f64 + details.start_ticks as f64 / TICKS);
        let resident = details.resident_pages.saturating_mul(self.page);
        json.object();
        if let Some(user) = user {
            let name = self.users.get(&user).cloned().unwrap_or_else(|| user.to_string());
            json.text("user", &name);
        }
        json.number("pid", Some(pid.into()));
        json.number("parent_pid", Some(details.parent));
        if let Some(began) = began {
            json.text("start_time", &start_time(began, self.now));
            let age = (self.now - began).max(0.01);
            json.tenths("percent_cpu", used / age * 100.0);
        }
        if let Some(memory) = self.memory.filter(|memory| *memory > 0) {
            json.tenths("percent_mem", resident as f64 / memory as f64 * 100.0);
        }
        json.number("rss", Some(resident));
        json.number("virtual_size", Some(details.virtual_bytes));
        json.text("status", details.state.encode_utf8(&mut [0; 4]));
        json.text("running_time", &running_time(used as u64));
        json.text("cgroup_path", path);
        json.text("cmd", &String::from_utf8_lossy(details.name));
        json.number("fd_count", descriptors(self.root, pid));
        json.number("psr", details.cpu);
        json.end_object();
    }
}

/// How many files it has open; nothing where that may not be seen.
fn descriptors(root: &Root, pid: u32) -> Option<u64> {
    let entries = std::fs::read_dir(root.proc(format!("{pid}/fd"))).ok()?;
    Some(entries.take(MOST_DESCRIPTORS).count() as u64)
}

/// `15:04` today and `Jan02` before, in UTC, as `ps` has it.
fn start_time(began: f64, now: f64) -> String {
    let moment = |seconds: f64| {
        let since = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        OffsetDateTime::from(UNIX_EPOCH + since)
    };
    let (began, now) = (moment(began), moment(now));
    let text = match began.date() == now.date() {
        true => began.format(format_description!("[hour]:[minute]")),
        false => began.format(format_description!("[month repr:short][day]")),
    };
    text.unwrap_or_default()
}

/// `[DAYS-]HH:MM:SS`.
fn running_time(seconds: u64) -> String {
    let days = match seconds / 86_400 {
        0 => String::new(),
        days => format!("{days}-"),
    };
    format!("{days}{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

/// Names of the machine's users.
fn users(root: &Root) -> BTreeMap<u64, String> {
    let text = std::fs::read(root.rootfs.join("etc/passwd")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((fields.nth(1)?.parse().ok()?, name))
    };
    text.lines().filter_map(user).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(running_time(3_661), "01:01:01");
        assert_eq!(running_time(2 * 86_400 + 59), "2-00:00:59");
        assert_eq!(start_time(1_700_000_000.0, 1_700_000_100.0), "22:13");
        assert_eq!(start_time(1_700_000_000.0, 1_700_100_000.0), "Nov14");
    }
}
