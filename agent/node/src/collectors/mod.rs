//! The registry of node collectors: one file each, one `mod` line and one entry.

use crate::Spec;

mod buddyinfo;
mod cgroups;
mod conntrack;
mod cpu;
mod cpu_vulnerabilities;
mod diskstats;
mod drm;
mod entropy;
mod filefd;
mod filesystem;
mod interrupts;
mod kernel_hung;
mod ksmd;
mod lnstat;
mod loadavg;
mod logind;
mod meminfo;
mod meminfo_numa;
mod mountstats;
mod netdev;
mod netstat;
mod network_route;
mod os;
mod pressure;
mod processes;
mod qdisc;
mod schedstat;
mod slabinfo;
mod sockstat;
mod softirqs;
mod softnet;
mod stat;
mod swap;
mod sysctl;
mod systemd;
mod tcpstat;
mod textfile;
mod time;
mod udp_queues;
mod uname;
mod vmstat;
mod xfrm;
mod zoneinfo;

/// Every collector there is, in alphabetical order.
pub const COLLECTORS: &[&Spec] = &[
    &buddyinfo::SPEC,
    &cgroups::SPEC,
    &conntrack::SPEC,
    &cpu::SPEC,
    &cpu_vulnerabilities::SPEC,
    &diskstats::SPEC,
    &drm::SPEC,
    &entropy::SPEC,
    &filefd::SPEC,
    &filesystem::SPEC,
    &interrupts::SPEC,
    &kernel_hung::SPEC,
    &ksmd::SPEC,
    &lnstat::SPEC,
    &loadavg::SPEC,
    &logind::SPEC,
    &meminfo::SPEC,
    &meminfo_numa::SPEC,
    &mountstats::SPEC,
    &netdev::SPEC,
    &netstat::SPEC,
    &network_route::SPEC,
    &os::SPEC,
    &pressure::SPEC,
    &processes::SPEC,
    &qdisc::SPEC,
    &schedstat::SPEC,
    &slabinfo::SPEC,
    &sockstat::SPEC,
    &softirqs::SPEC,
    &softnet::SPEC,
    &stat::SPEC,
    &swap::SPEC,
    &sysctl::SPEC,
    &systemd::SPEC,
    &tcpstat::SPEC,
    &textfile::SPEC,
    &time::SPEC,
    &udp_queues::SPEC,
    &uname::SPEC,
    &vmstat::SPEC,
    &xfrm::SPEC,
    &zoneinfo::SPEC,
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_file_is_registered() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/collectors");
        let mut files: Vec<_> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .filter(|name| name != "mod")
            .collect();
        files.sort_unstable();
        assert_eq!(COLLECTORS.iter().map(|spec| spec.name).collect::<Vec<_>>(), files);
    }

    #[test]
    fn flags_are_named_after_their_collector_and_differ() {
        let mut seen = HashSet::new();
        for spec in COLLECTORS {
            assert!(spec.help.ends_with('.'), "{}", spec.name);
            for flag in spec.flags {
                // Older spellings may differ.
                let is_named = flag.name.starts_with(&format!("collector.{}.", spec.name));
                assert!(is_named || flag.hidden, "{}", flag.name);
                assert!(flag.help.ends_with('.'), "{}", flag.name);
                assert!(seen.insert(flag.name), "{}", flag.name);
            }
        }
    }
}
