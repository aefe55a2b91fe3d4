//! The sets of metrics that `--disable_metrics` and `--enable_metrics` name.

/// One set of metrics, under cAdvisor's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Set {
    /// CPU time and throttling.
    Cpu,
    /// Load averages and task states.
    CpuLoad,
    /// CPU time by CPU where the kernel tells it.
    PerCpu,
    /// Memory use and reclaim.
    Memory,
    /// Pages by NUMA node.
    MemoryNuma,
    /// Huge pages.
    Hugetlb,
    /// The cpuset's settings.
    Cpuset,
    /// Interfaces' counters.
    Network,
    /// Space and inodes of file systems.
    Disk,
    /// Block I/O.
    DiskIo,
    /// Processes and threads: what the kernel counts anyway.
    Process,
    /// Of the set `process` what must be looked up in /proc process by process: open files, sockets, limits. On only
    /// where the set is named.
    ProcessFiles,
    /// TCP sockets by state.
    Tcp,
    /// Counters of TCP by network namespace.
    AdvancedTcp,
    /// UDP sockets.
    Udp,
    /// Time in the scheduler.
    Sched,
    /// Memory in use lately.
    ReferencedMemory,
    /// Caches, cores and NUMA nodes of the machine.
    CpuTopology,
    /// Last-level cache and memory bandwidth as the processor counts them.
    Resctrl,
    /// Out-of-memory kills.
    OomEvent,
    /// Pressure stall information.
    Pressure,
    /// Events of CPUs and kernel, where a file names some.
    PerfEvent,
}

const ALL: &[(Set, &str, bool)] = &[
    (Set::Cpu, "cpu", true),
    (Set::CpuLoad, "cpuLoad", true),
    (Set::PerCpu, "percpu", true),
    (Set::Memory, "memory", true),
    (Set::MemoryNuma, "memory_numa", false),
    (Set::Hugetlb, "hugetlb", false),
    (Set::Cpuset, "cpuset", false),
    (Set::Network, "network", true),
    (Set::Disk, "disk", true),
    (Set::DiskIo, "diskIO", true),
    (Set::Process, "process", true),
    (Set::ProcessFiles, "process", false),
    (Set::Tcp, "tcp", false),
    (Set::AdvancedTcp, "advtcp", false),
    (Set::Udp, "udp", false),
    (Set::Sched, "sched", false),
    (Set::ReferencedMemory, "referenced_memory", false),
    (Set::CpuTopology, "cpu_topology", false),
    (Set::Resctrl, "resctrl", false),
    (Set::OomEvent, "oom_event", true),
    (Set::Pressure, "pressure", true),
    (Set::PerfEvent, "perf_event", true),
];

/// Names that cAdvisor knows and that stand for nothing here; they are accepted and have no effect.
const WITHOUT_EFFECT: &[&str] = &["app"];

/// On here and off in cAdvisor.
const OFF_IN_CADVISOR: &[Set] = &[Set::Process];

/// A choice of sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sets(u32);

/// A name that is no set's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown set of metrics {name:?}, known are {known}")]
pub struct UnknownSet {
    /// The name as typed.
    pub name: String,
    /// The names there are, separated by commas.
    pub known: String,
}

impl Default for Sets {
    fn default() -> Self {
        ALL.iter().filter(|(_, _, on)| *on).fold(Self(0), |sets, (set, _, _)| sets.with(*set))
    }
}

impl Sets {
    /// From the flags' lists, names separated by commas. What `enable` names is on and nothing else, as in
    /// cAdvisor; without it, `disable` takes its names away from the default choice. In cAdvisor a `disable`
    /// list replaces the built-in one, so that leaving out one set turns on all the costly ones: not here.
    ///
    /// # Errors
    /// [`UnknownSet`] for a name that neither this agent nor cAdvisor has.
    pub fn from_flags(disable: &str, enable: &str) -> Result<Self, UnknownSet> {
        let enabled = parse(enable)?;
        let disabled = parse(disable)?;
        Ok(if enable.trim().is_empty() { Self(Self::default().0 & !disabled.0) } else { enabled })
    }

    /// As cAdvisor takes the flags: a list of sets to leave out, even an empty one, takes the place of its own list of
    /// the costly ones, which are then all on.
    ///
    /// # Errors
    /// [`UnknownSet`] for a name that neither this agent nor cAdvisor has.
    pub fn as_cadvisor(disable: Option<&str>, enable: &str) -> Result<Self, UnknownSet> {
        let enabled = parse(enable)?;
        let disabled = disable.map(parse).transpose()?;
        if !enable.trim().is_empty() {
            return Ok(enabled);
        }
        Ok(match disabled {
            Some(disabled) => Self(Self::all().0 & !disabled.0),
            None => OFF_IN_CADVISOR.iter().fold(Self::default(), |sets, set| sets.without(*set)),
        })
    }

    /// No set at all.
    pub fn none() -> Self {
        Self(0)
    }

    /// All sets.
    pub fn all() -> Self {
        ALL.iter().fold(Self(0), |sets, (set, _, _)| sets.with(*set))
    }

    /// This choice and one set more.
    #[must_use]
    pub fn with(self, set: Set) -> Self {
        Self(self.0 | 1 << set as u8)
    }

    /// This choice without one set.
    #[must_use]
    pub fn without(self, set: Set) -> Self {
        Self(self.0 & !(1 << set as u8))
    }

    /// Whether a set is on.
    pub fn has(self, set: Set) -> bool {
        self.0 & 1 << set as u8 != 0
    }
}

fn parse(list: &str) -> Result<Sets, UnknownSet> {
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.filter(|name| !WITHOUT_EFFECT.contains(name)).try_fold(Sets::none(), |sets, name| {
        let named = ALL.iter().filter(|(_, known, _)| *known == name);
        match named.fold(Sets::none(), |named, (set, _, _)| named.with(*set)) {
            Sets(0) => Err(UnknownSet { name: name.to_owned(), known: known() }),
            named => Ok(Sets(sets.0 | named.0)),
        }
    })
}

fn known() -> String {
    let mut names: Vec<_> = ALL.iter().map(|(_, name, _)| *name).chain(WITHOUT_EFFECT.iter().copied()).collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(disable: &str, enable: &str, want: Result<Sets, &str>) {
        assert_eq!(Sets::from_flags(disable, enable).map_err(|e| e.name), want.map_err(str::to_owned));
    }

    #[test]
    fn flags() {
        check("", "", Ok(Sets::default()));
        check("disk, percpu", "", Ok(Sets::default().without(Set::Disk).without(Set::PerCpu)));
        check("disk", "cpu,memory", Ok(Sets::none().with(Set::Cpu).with(Set::Memory)));
        check("referenced_memory,tcp", "", Ok(Sets::default()));
        check("", "tcp", Ok(Sets::none().with(Set::Tcp)));
        check("", "app", Ok(Sets::none()));
        check("", "app,perf_event", Ok(Sets::none().with(Set::PerfEvent)));
        check("process", "", Ok(Sets::default().without(Set::Process)));
        check("", "process", Ok(Sets::none().with(Set::Process).with(Set::ProcessFiles)));
        check("dsk", "", Err("dsk"));
        check("", "CPU", Err("CPU"));
        check("disk,,", " ", Ok(Sets::default().without(Set::Disk)));
    }

    #[track_caller]
    fn check_cadvisor(disable: Option<&str>, enable: &str, want: Sets) {
        assert_eq!(Sets::as_cadvisor(disable, enable), Ok(want), "{disable:?} {enable:?}");
    }

    #[test]
    fn flags_as_cadvisor_takes_them() {
        check_cadvisor(None, "", Sets::default().without(Set::Process));
        check_cadvisor(Some(""), "", Sets::all());
        check_cadvisor(Some("disk"), "", Sets::all().without(Set::Disk));
        check_cadvisor(Some("disk"), "cpu", Sets::none().with(Set::Cpu));
        assert!(Sets::as_cadvisor(Some("dsk"), "").is_err());
    }

    #[test]
    fn every_set_of_cadvisor_is_known() {
        let theirs = "advtcp, app, cpu, cpuLoad, cpu_topology, cpuset, disk, diskIO, hugetlb, memory, memory_numa, \
                      network, oom_event, percpu, perf_event, pressure, process, referenced_memory, resctrl, sched, \
                      tcp, udp";
        assert_eq!(known(), theirs);
        assert!(
            ALL.iter().enumerate().all(|(at, (set, _, _))| ALL.iter().skip(at + 1).all(|(other, _, _)| set != other))
        );
    }

    #[test]
    fn costly_sets_are_off_unless_asked_for() {
        assert!(!Sets::default().has(Set::MemoryNuma));
        assert!(Sets::from_flags("disk", "").is_ok_and(|sets| !sets.has(Set::Hugetlb)));
        assert!(Sets::all().has(Set::Hugetlb));
    }
}
