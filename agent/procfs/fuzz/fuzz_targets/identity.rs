//! What the CPUs and the distribution are.

#![no_main]

use agent_procfs::{cpu_list, cpuinfo, os_release};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for cpu in cpuinfo::parse(bytes) {
        cpu.flags().count();
    }
    if let Ok(cpus) = cpu_list::parse(bytes) {
        assert!(cpus.len() <= 1 << 16);
    }
    let _ = os_release::parse(bytes).get("NAME");
});
