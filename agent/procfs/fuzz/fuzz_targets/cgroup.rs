//! Files of cgroups, and what is read of a task.

#![no_main]

use agent_procfs::cgroup::{self, CpuStat, MemoryEvents, MemoryStat};
use agent_procfs::process;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = (cgroup::number(bytes), cgroup::limit(bytes), cgroup::bandwidth(bytes), cgroup::cpuacct_stat(bytes));
    assert!(cgroup::pairs(bytes).count() <= bytes.len());
    let _ = (CpuStat::parse(bytes), MemoryEvents::parse(bytes), MemoryStat::parse_v1(bytes));
    let stat = MemoryStat::parse_v2(bytes);
    assert_eq!(stat.faults, stat.total_faults);
    assert!(cgroup::cpuacct_usage_percpu(bytes).count() <= bytes.len());
    assert!(cgroup::io_stat(bytes).count() + cgroup::blkio(bytes).count() <= bytes.len());
    assert!(cgroup::pids(bytes).all(|pid| pid != 0));
    let _ = (cgroup::task_is_runnable(bytes), cgroup::net_namespace(bytes));
    assert!(cgroup::numa_stat(bytes).map(|stat| stat.nodes().count()).sum::<usize>() <= bytes.len());
    let _ = (process::soft_open_files(bytes), process::scheduled(bytes), process::referenced(bytes));
});
