//! The registry of node collectors: one file each, one `mod` line and one entry.

use crate::Spec;

mod arp;
mod bcache;
mod bcachefs;
mod bonding;
mod btrfs;
mod conntrack;
mod cpu;
mod cpufreq;
mod diskstats;
mod dmi;
mod dmmultipath;
mod edac;
mod entropy;
mod fibrechannel;
mod filefd;
mod filesystem;
mod hwmon;
mod infiniband;
mod ipvs;
mod kernel_hung;
mod loadavg;
mod mdadm;
mod meminfo;
mod netclass;
mod netdev;
mod netstat;
mod nfs;
mod nfsd;
mod nvme;
mod os;
mod powersupplyclass;
mod pressure;
mod rapl;
mod schedstat;
mod selinux;
mod sockstat;
mod softnet;
mod stat;
mod tapestats;
mod textfile;
mod thermal_zone;
mod time;
mod timex;
mod udp_queues;
mod uname;
mod vmstat;
mod watchdog;
mod xfs;
mod zfs;

/// Every collector there is, in alphabetical order.
pub const COLLECTORS: &[&Spec] = &[
    &arp::SPEC,
    &bcache::SPEC,
    &bcachefs::SPEC,
    &bonding::SPEC,
    &btrfs::SPEC,
    &conntrack::SPEC,
    &cpu::SPEC,
    &cpufreq::SPEC,
    &diskstats::SPEC,
    &dmi::SPEC,
    &dmmultipath::SPEC,
    &edac::SPEC,
    &entropy::SPEC,
    &fibrechannel::SPEC,
    &filefd::SPEC,
    &filesystem::SPEC,
    &hwmon::SPEC,
    &infiniband::SPEC,
    &ipvs::SPEC,
    &kernel_hung::SPEC,
    &loadavg::SPEC,
    &mdadm::SPEC,
    &meminfo::SPEC,
    &netclass::SPEC,
    &netdev::SPEC,
    &netstat::SPEC,
    &nfs::SPEC,
    &nfsd::SPEC,
    &nvme::SPEC,
    &os::SPEC,
    &powersupplyclass::SPEC,
    &pressure::SPEC,
    &rapl::SPEC,
    &schedstat::SPEC,
    &selinux::SPEC,
    &sockstat::SPEC,
    &softnet::SPEC,
    &stat::SPEC,
    &tapestats::SPEC,
    &textfile::SPEC,
    &thermal_zone::SPEC,
    &time::SPEC,
    &timex::SPEC,
    &udp_queues::SPEC,
    &uname::SPEC,
    &vmstat::SPEC,
    &watchdog::SPEC,
    &xfs::SPEC,
    &zfs::SPEC,
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
                assert!(flag.name.starts_with(&format!("collector.{prefix}.")), "{}", flag.name);
                assert!(flag.help.ends_with('.'), "{}", flag.name);
                assert!(seen.insert(flag.name), "{}", flag.name);
            }
        }
    }
}
