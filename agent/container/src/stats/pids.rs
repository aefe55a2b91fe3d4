//! Processes and threads: `cgroup.procs` and `pids.*`.

use agent_exposition::SharedId;
use agent_procfs::cgroup::{self, Limit};
use agent_procfs::{Root, process};

use super::Reading;
use crate::catalogue::Metric;
use crate::cgroups::{Cgroup, Controller, Desk, File, Layout, Records, Version};
use crate::sheet::Sheet;

/// The tasks and their limit; the processes are counted over the whole tree by the caller.
pub(crate) fn collect(reading: &mut Reading<'_, '_>) {
    let current = match reading.layout.version(Controller::Pids) {
        Some(Version::V1) => File::V1PidsCurrent,
        Some(Version::V2) => File::V2PidsCurrent,
        None => return,
    };
    let threads = reading.number(current);
    reading.put_some(Metric::Threads, threads);
    let most = reading.limits().tasks;
    reading.put_some(Metric::ThreadsMax, most);
}

/// The soft limit of open files of a container's first process.
pub(crate) fn put_limits(pid: u32, labels: SharedId, root: &Root, desk: &mut Desk, sheet: &mut Sheet<'_>) {
    let text = desk.read_path(&root.proc(format!("{pid}/limits")), Records::Short);
    let Some(limit) = text.and_then(process::soft_open_files) else { return };
    let value = match limit {
        Limit::At(files) => files as f64,
        Limit::None => -1.0,
    };
    sheet.put(Metric::Ulimits, labels, &[("ulimit", "max_open_files")], value);
}

/// The processes of a cgroup itself, without those of the cgroups below.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Processes {
    pub(crate) count: u64,
    /// The one with the lowest id.
    pub(crate) first: Option<u32>,
    /// Whether the one that was asked for is among them.
    pub(crate) has_wanted: bool,
}

/// The file with the processes of a cgroup.
pub(crate) fn file(layout: &Layout) -> File {
    if layout.v1(Controller::Pids).is_some() {
        File::V1PidsProcs
    } else if layout.v1(Controller::Cpu).is_some() {
        File::V1CpuProcs
    } else {
        File::V2Procs
    }
}

/// Counts the processes, and looks for one of them. Nothing where they cannot be told.
pub(crate) fn processes(
    layout: &Layout,
    desk: &mut Desk,
    cgroup: &mut Cgroup,
    wanted: Option<u32>,
) -> Option<Processes> {
    if layout.hides_processes {
        return None;
    }
    let text = desk.read(layout, cgroup, file(layout))?;
    Some(cgroup::pids(text).fold(Processes::default(), |processes, pid| Processes {
        count: processes.count + 1,
        first: Some(processes.first.map_or(pid, |first| first.min(pid))),
        has_wanted: processes.has_wanted || Some(pid) == wanted,
    }))
}
