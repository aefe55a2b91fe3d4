//! The registry of node collectors: one file each, one `mod` line and one entry.

use crate::Spec;

mod arp;
mod bcache;
mod bcachefs;
mod bonding;
mod btrfs;
mod buddyinfo;
mod cgroups;
mod conntrack;
mod cpu;
mod cpu_vulnerabilities;
mod cpufreq;
mod diskstats;
mod dmi;
mod dmmultipath;
mod drm;
mod edac;
mod entropy;
mod ethtool;
mod fibrechannel;
mod filefd;
mod filesystem;
mod hwmon;
mod infiniband;
mod interrupts;
mod ipvs;
mod kernel_hung;
mod ksmd;
mod lnstat;
mod loadavg;
mod logind;
mod mdadm;
mod meminfo;
mod meminfo_numa;
mod mountstats;
mod netclass;
mod netdev;
mod netstat;
mod network_route;
mod nfs;
mod nfsd;
mod nvidia;
mod nvme;
mod os;
mod pcidevice;
mod perf;
mod powersupplyclass;
mod pressure;
mod processes;
mod qdisc;
mod rapl;
mod schedstat;
mod selinux;
mod slabinfo;
mod sockstat;
mod softirqs;
mod softnet;
mod stat;
mod swap;
mod sysctl;
mod systemd;
mod tapestats;
mod tcpstat;
mod textfile;
mod thermal_zone;
mod time;
mod timex;
mod udp_queues;
mod uname;
mod vmstat;
mod watchdog;
mod wifi;
mod xfrm;
mod xfs;
mod zfs;
mod zoneinfo;

pub(crate) use nvidia::library as nvidia_library;

/// Every collector there is, in alphabetical order.
pub const COLLECTORS: &[&Spec] = &[
    &arp::SPEC,
    &bcache::SPEC,
    &bcachefs::SPEC,
    &bonding::SPEC,
    &btrfs::SPEC,
    &buddyinfo::SPEC,
    &cgroups::SPEC,
    &conntrack::SPEC,
    &cpu::SPEC,
    &cpu_vulnerabilities::SPEC,
    &cpufreq::SPEC,
    &diskstats::SPEC,
    &dmi::SPEC,
    &dmmultipath::SPEC,
    &drm::SPEC,
    &edac::SPEC,
    &entropy::SPEC,
    &ethtool::SPEC,
    &fibrechannel::SPEC,
    &filefd::SPEC,
    &filesystem::SPEC,
    &hwmon::SPEC,
    &infiniband::SPEC,
    &interrupts::SPEC,
    &ipvs::SPEC,
    &kernel_hung::SPEC,
    &ksmd::SPEC,
    &lnstat::SPEC,
    &loadavg::SPEC,
    &logind::SPEC,
    &mdadm::SPEC,
    &meminfo::SPEC,
    &meminfo_numa::SPEC,
    &mountstats::SPEC,
    &netclass::SPEC,
    &netdev::SPEC,
    &netstat::SPEC,
    &network_route::SPEC,
    &nfs::SPEC,
    &nfsd::SPEC,
    &nvidia::SPEC,
    &nvme::SPEC,
    &os::SPEC,
    &pcidevice::SPEC,
    &perf::SPEC,
    &powersupplyclass::SPEC,
    &pressure::SPEC,
    &processes::SPEC,
    &qdisc::SPEC,
    &rapl::SPEC,
    &schedstat::SPEC,
    &selinux::SPEC,
    &slabinfo::SPEC,
    &sockstat::SPEC,
    &softirqs::SPEC,
    &softnet::SPEC,
    &stat::SPEC,
    &swap::SPEC,
    &sysctl::SPEC,
    &systemd::SPEC,
    &tapestats::SPEC,
    &tcpstat::SPEC,
    &textfile::SPEC,
    &thermal_zone::SPEC,
    &time::SPEC,
    &timex::SPEC,
    &udp_queues::SPEC,
    &uname::SPEC,
    &vmstat::SPEC,
    &watchdog::SPEC,
    &wifi::SPEC,
    &xfrm::SPEC,
    &xfs::SPEC,
    &zfs::SPEC,
    &zoneinfo::SPEC,
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Collectors whose flags node_exporter names otherwise.
    const OTHER_PREFIXES: &[(&str, &str)] = &[("powersupplyclass", "powersupply")];

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
                let prefix = OTHER_PREFIXES.iter().find(|(name, _)| *name == spec.name).map_or(spec.name, |(_, p)| p);
                // Older spellings may differ.
                let is_named = flag.name.starts_with(&format!("collector.{prefix}."));
                assert!(is_named || flag.hidden, "{}", flag.name);
                assert!(flag.help.ends_with('.'), "{}", flag.name);
                assert!(seen.insert(flag.name), "{}", flag.name);
            }
        }
    }
}
