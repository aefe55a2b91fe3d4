//! What is wrong in cAdvisor's figures, and right here unless `--compat=cadvisor` asks for the same faults.

/// One fault of cAdvisor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Quirk {
    /// Samples bear the time of the scrape.
    Timestamps,
    /// Every cgroup has every label that any has.
    LabelUnion,
    /// `--disable_metrics` takes the place of the list of costly sets.
    DisableReplaces,
    /// `container_fs_*_seconds_total` of `/proc/diskstats` are a millionth.
    DiskSeconds,
    /// Containers show the counters of the host's device that holds their layer.
    DiskOfHost,
    /// NVMe, MMC and RAID devices are left out.
    DiskNames,
    /// The load is in thousandths, and 0 without `--enable_load_reader` or on version 2.
    LoadThousandths,
    /// What only version 1 told cAdvisor is 0 on version 2.
    ZeroesOnV2,
    /// What only version 2 has is 0 on version 1.
    ZeroesOnV1,
    /// The two queues of UDP sockets stand for one another.
    UdpQueuesSwapped,
    /// Only the first task of each process counts for the scheduler's figures.
    SchedOfLeaders,
    /// The swap limit of version 1 is that of memory and swap together.
    SwapWithMemory,
    /// The reservation of version 2 is `memory.min`.
    ReservationIsMin,
    /// A container's inodes are those in use by its layer, and none are free.
    InodesOfLayer,
    /// Kills are forgotten with the cgroup.
    KillsForgotten,
    /// Equal core numbers of several sockets are one core.
    CoresBySocketLost,
    /// The version of Docker is empty.
    NoDockerVersion,
    /// Containers on the host's network, or on another container's, show the interfaces as their own.
    SharedNetwork,
    /// Counters are typed as gauges.
    CountersAsGauges,
    /// The time of start is that of creation.
    StartIsCreation,
    /// Processes and open files are those of the cgroup itself, without the cgroups below.
    OwnProcesses,
    /// Every cgroup has a state of health, -1 without a check.
    HealthOfAll,
    /// The machine has no non-volatile memory, no books and no drawers, in figures.
    MachineZeroes,
}

/// What is told of a quirk.
#[derive(Clone, Copy, Debug)]
pub struct QuirkRow {
    /// Which.
    pub quirk: Quirk,
    /// Its name in the documentation.
    pub name: &'static str,
}

const fn row(quirk: Quirk, name: &'static str) -> QuirkRow {
    QuirkRow { quirk, name }
}

/// All of them, in the order of [`Quirk`].
pub const QUIRKS: &[QuirkRow] = &[
    row(Quirk::Timestamps, "timestamps"),
    row(Quirk::LabelUnion, "label-union"),
    row(Quirk::DisableReplaces, "disable-replaces"),
    row(Quirk::DiskSeconds, "disk-seconds"),
    row(Quirk::DiskOfHost, "disk-of-host"),
    row(Quirk::DiskNames, "disk-names"),
    row(Quirk::LoadThousandths, "load-thousandths"),
    row(Quirk::ZeroesOnV2, "zeroes-on-v2"),
    row(Quirk::ZeroesOnV1, "zeroes-on-v1"),
    row(Quirk::UdpQueuesSwapped, "udp-queues-swapped"),
    row(Quirk::SchedOfLeaders, "sched-of-leaders"),
    row(Quirk::SwapWithMemory, "swap-with-memory"),
    row(Quirk::ReservationIsMin, "reservation-is-min"),
    row(Quirk::InodesOfLayer, "inodes-of-layer"),
    row(Quirk::KillsForgotten, "kills-forgotten"),
    row(Quirk::CoresBySocketLost, "cores-by-socket-lost"),
    row(Quirk::NoDockerVersion, "no-docker-version"),
    row(Quirk::SharedNetwork, "shared-network"),
    row(Quirk::CountersAsGauges, "counters-as-gauges"),
    row(Quirk::StartIsCreation, "start-is-creation"),
    row(Quirk::OwnProcesses, "own-processes"),
    row(Quirk::HealthOfAll, "health-of-all"),
    row(Quirk::MachineZeroes, "machine-zeroes"),
];

/// Which faults of cAdvisor's are reproduced; none by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compat(u32);

impl Compat {
    /// All of them: `--compat=cadvisor`.
    pub fn cadvisor() -> Self {
        QUIRKS.iter().fold(Self::default(), |compat, row| compat.with(row.quirk))
    }

    /// These and one more.
    #[must_use]
    pub fn with(self, quirk: Quirk) -> Self {
        Self(self.0 | 1 << quirk as u8)
    }

    /// Whether a fault is reproduced.
    pub fn has(self, quirk: Quirk) -> bool {
        self.0 & 1 << quirk as u8 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_quirks() {
        for (at, row) in QUIRKS.iter().enumerate() {
            assert_eq!(row.quirk as usize, at, "{}", row.name);
        }
        assert_eq!(Quirk::MachineZeroes as usize + 1, QUIRKS.len());
        assert!(QUIRKS.iter().all(|row| Compat::cadvisor().has(row.quirk) && !Compat::default().has(row.quirk)));
    }

    #[test]
    fn the_readme_tells_of_each() {
        let readme = include_str!("../README.md");
        for row in QUIRKS {
            assert!(readme.contains(&format!("| `{}` |", row.name)), "{} is not in the table", row.name);
        }
    }
}
