//! CPU, interrupts, tasks, memory, load, pressure and open files.

#![no_main]

use agent_procfs::{
    buddyinfo, controllers, file_nr, interrupts, loadavg, meminfo, numa, pid_details, pid_stat, pressure,
};
use agent_procfs::{schedstat, slabinfo, stat, swaps, vmstat, vulnerability, zoneinfo};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(stat) = stat::parse(bytes) {
        // Every column of every CPU can be asked for.
        for cpu in &stat.value.cpus {
            assert!(cpu.times.columns().len() <= stat::MODES);
            let _ = cpu.times.ticks(stat::Mode::GuestNice);
        }
    }
    if let Ok(fields) = meminfo::parse(bytes) {
        assert!(!fields.value.is_empty());
    }
    let _ = (vmstat::parse(bytes), schedstat::parse(bytes));
    let _ = file_nr::parse(bytes);
    if let Ok(table) = interrupts::parse(bytes) {
        for source in &table.value.sources {
            assert_eq!(table.value.counts(source).len(), table.value.cpus.len());
        }
    }
    let _ = (pid_details::parse(bytes), pid_details::user_of(bytes));
    if let Ok(task) = pid_stat::parse(bytes) {
        assert!(task.state.is_ascii_alphabetic());
    }
    let _ = (buddyinfo::parse(bytes), controllers::parse(bytes), swaps::parse(bytes), vulnerability::parse(bytes));
    let _ = (numa::meminfo(bytes), numa::numastat(bytes), slabinfo::parse(bytes), zoneinfo::parse(bytes));
    if let Ok(load) = loadavg::parse(bytes) {
        assert!(load.averages.iter().all(|average| average.is_finite()));
    }
    if let Ok(pressure) = pressure::parse(bytes) {
        assert!(pressure.some.is_some() || pressure.full.is_some());
    }
});
