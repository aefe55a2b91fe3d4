//! `/validate/`: what this machine lets the agent see, in lines for people.

use std::fmt::Write as _;
use std::fs;

use agent_procfs::controllers;

use crate::cgroups::{Controller, Version};
use crate::collect::Collection;
use crate::config::Config;
use crate::runtimes::View;
use crate::stats::network::namespace_of;

struct Report(String);

impl Report {
    fn put(&mut self, good: bool, what: &str, found: &str, else_lost: &str) {
        let mark = if good { "ok     " } else { "missing" };
        let _ = write!(self.0, "{mark}  {what}: {found}");
        if !good && !else_lost.is_empty() {
            let _ = write!(self.0, "\n         {else_lost}");
        }
        self.0.push('\n');
    }
}

/// The report.
pub(super) fn validate(collection: &mut Collection, config: &Config, view: &View) -> String {
    let mut report = Report(format!("atalaia-agent {} looks at this machine\n\n", config.version));
    let told = collection.machine.told();
    report.put(!told.kernel.is_empty(), "kernel", &told.kernel, "/proc cannot be read: is --path.procfs right?");
    report.put(!told.os.is_empty(), "system", &told.os, "no os-release: is --path.rootfs right?");
    cgroups(&mut report, collection, config);
    runtimes(&mut report, view);
    rights(&mut report, config);
    let (containers, cgroups) = collection.counts();
    let _ = write!(report.0, "\n{containers} containers, {cgroups} cgroups\n");
    report.0
}

fn cgroups(report: &mut Report, collection: &Collection, config: &Config) {
    let layout = &collection.layout;
    let version = match (layout.v2(), layout.hierarchies.len()) {
        (None, 0) => "none",
        (Some(_), 1) => "version 2",
        (None, _) => "version 1",
        (Some(_), _) => "version 1, with version 2 beside it",
    };
    let place = config.cgroup_root();
    let lost = "nothing is known of containers: mount the machine's /sys, or name it with --path.sysfs";
    report.put(version != "none", "cgroups", &format!("{version} at {}", place.display()), lost);
    let unified = fs::read_to_string(place.join("cgroup.controllers")).unwrap_or_default();
    let mounted = |name: &str| unified.split_whitespace().any(|word| word == name);
    let enabled = fs::read(config.root.proc("cgroups")).unwrap_or_default();
    let enabled = controllers::parse(&enabled).value;
    let all = [
        ("cpu", Controller::Cpu, "cpu", "no CPU limits and throttling"),
        ("cpuacct", Controller::Cpuacct, "cpu", "no CPU time"),
        ("memory", Controller::Memory, "memory", "no memory: boot with cgroup_enable=memory"),
        ("blkio", Controller::Blkio, "io", "no block I/O"),
        ("pids", Controller::Pids, "pids", "no threads"),
        ("cpuset", Controller::Cpuset, "cpuset", "no CPU sets"),
        ("hugetlb", Controller::Hugetlb, "hugetlb", "no huge pages"),
    ];
    for (name, controller, of_v2, lost) in all {
        let version = layout.version(controller);
        // The root of version 2 counts CPU time without any controller.
        let here = match version {
            Some(Version::V1) => true,
            Some(Version::V2) => mounted(of_v2) || controller == Controller::Cpuacct,
            None => false,
        };
        let off = enabled.iter().any(|known| known.name == name && !known.enabled);
        let found = match (version, here) {
            (Some(Version::V1), true) => "version 1",
            (Some(Version::V2), true) => "version 2",
            _ if off => "switched off in the kernel",
            _ => "not mounted",
        };
        report.put(here, &format!("controller {name}"), found, lost);
    }
    let psi = config.root.proc("pressure/cpu").exists();
    report.put(psi, "pressure", if psi { "counted" } else { "not counted" }, "boot with psi=1");
}

fn runtimes(report: &mut Report, view: &View) {
    // Most machines lack most runtimes.
    let posts = view.posts().into_iter().filter(|post| !post.is_optional || !post.telling().is_untouched());
    let mut any = false;
    for post in posts {
        any = true;
        let version = post.version();
        let is_connected = post.telling().connected;
        let found = match (is_connected, version) {
            (true, Some(version)) => format!("{version} answers"),
            (true, None) => "answers".to_owned(),
            (false, _) => "does not answer".to_owned(),
        };
        let what = format!("runtime {}", post.name);
        report.put(is_connected, &what, &found, "its containers have no names, images and labels");
    }
    if !any {
        report.put(true, "runtimes", "none is here, or none is asked", "");
    }
}

fn rights(report: &mut Report, config: &Config) {
    let can = namespace_of(&config.root, "1").is_some();
    let found = if can { "seen" } else { "not seen" };
    let lost = "shared networks may count twice: run as root, or with CAP_SYS_PTRACE";
    report.put(can, "namespaces of other processes", found, lost);
    let sees_all = fs::read_dir(config.root.proc("1/fd")).is_ok();
    let found = if sees_all { "seen" } else { "not seen" };
    report.put(sees_all, "descriptors of other processes", found, "ps has no fd_count for them");
}
