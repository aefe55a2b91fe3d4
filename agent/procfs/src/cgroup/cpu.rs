//! `cpu.stat` of both versions, `cpuacct.*` and `cpu.max`.

use super::{Limit, limit, pairs};
use crate::scan;

/// `cpu.stat`. Version 1 has only the throttling part, in nanoseconds; version 2 counts in microseconds. Times
/// are nanoseconds here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuStat {
    /// CPU time used (v2).
    pub usage: Option<u64>,
    /// Of it in user mode (v2).
    pub user: Option<u64>,
    /// Of it in the kernel (v2).
    pub system: Option<u64>,
    /// Periods that the bandwidth limit was enforced in.
    pub periods: Option<u64>,
    /// Of them those in which the group had to wait.
    pub throttled_periods: Option<u64>,
    /// For how long it had to wait, all CPUs added.
    pub throttled: Option<u64>,
    /// Periods in which saved-up time was used.
    pub burst_periods: Option<u64>,
    /// How much of it.
    pub burst: Option<u64>,
}

impl CpuStat {
    /// Either version's file.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut stat = Self::default();
        for (key, value) in pairs(bytes) {
            let micros = || value.checked_mul(1000);
            match key {
                b"usage_usec" => stat.usage = micros(),
                b"user_usec" => stat.user = micros(),
                b"system_usec" => stat.system = micros(),
                b"nr_periods" => stat.periods = Some(value),
                b"nr_throttled" => stat.throttled_periods = Some(value),
                b"throttled_usec" => stat.throttled = micros(),
                b"throttled_time" => stat.throttled = Some(value),
                b"nr_bursts" => stat.burst_periods = Some(value),
                b"burst_usec" => stat.burst = micros(),
                b"burst_time" => stat.burst = Some(value),
                _ => {}
            }
        }
        stat
    }
}

/// `cpuacct.stat`: time in user mode and in the kernel, in ticks of a hundredth of a second.
pub fn cpuacct_stat(bytes: &[u8]) -> (Option<u64>, Option<u64>) {
    pairs(bytes).fold((None, None), |(user, system), (key, value)| match key {
        b"user" => (Some(value), system),
        b"system" => (user, Some(value)),
        _ => (user, system),
    })
}

/// `cpuacct.usage_percpu`: nanoseconds by CPU, CPU 0 first. A word that is no number ends the list, since the
/// CPUs behind it could no longer be told apart.
pub fn cpuacct_usage_percpu(bytes: &[u8]) -> impl Iterator<Item = u64> {
    scan::fields(bytes).map_while(scan::number)
}

/// `cpu.max` of version 2: the quota (none is "max") and the period, microseconds.
pub fn bandwidth(bytes: &[u8]) -> Option<(Limit, u64)> {
    let mut words = scan::fields(bytes);
    Some((limit(words.next()?)?, scan::number(words.next()?)?))
}

/// The CPU shares of version 1 (2 to 262144) that runtimes mean by a weight of version 2 (1 to 10000): the
/// inverse of their own conversion, which loses some.
pub fn shares_of_weight(weight: u64) -> u64 {
    2 + weight.clamp(1, 10_000).saturating_sub(1) * 262_142 / 9_999
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2() {
        let text = b"usage_usec 25499216\nuser_usec 25000000\nsystem_usec 499216\nnice_usec 0\n\
            core_sched.force_idle_usec 0\nnr_periods 7\nnr_throttled 3\nthrottled_usec 1500\nnr_bursts 1\nburst_usec 20\n";
        let want = CpuStat {
            usage: Some(25_499_216_000),
            user: Some(25_000_000_000),
            system: Some(499_216_000),
            periods: Some(7),
            throttled_periods: Some(3),
            throttled: Some(1_500_000),
            burst_periods: Some(1),
            burst: Some(20_000),
        };
        assert_eq!(CpuStat::parse(text), want);
    }

    #[test]
    fn version_1() {
        let text = b"nr_periods 7\nnr_throttled 3\nthrottled_time 1500\n";
        let want =
            CpuStat { periods: Some(7), throttled_periods: Some(3), throttled: Some(1500), ..CpuStat::default() };
        assert_eq!(CpuStat::parse(text), want);
    }

    #[test]
    fn ticks() {
        assert_eq!(cpuacct_stat(b"user 2547\nsystem 12\n"), (Some(2547), Some(12)));
        assert_eq!(cpuacct_stat(b"user 2547\n"), (Some(2547), None));
        assert_eq!(cpuacct_stat(b""), (None, None));
    }

    #[track_caller]
    fn check_percpu(input: &str, want: &[u64]) {
        assert_eq!(cpuacct_usage_percpu(input.as_bytes()).collect::<Vec<_>>(), want, "{input:?}");
    }

    #[test]
    fn percpu() {
        check_percpu("16469391 25467128135 \n", &[16_469_391, 25_467_128_135]);
        check_percpu("5\n", &[5]);
        check_percpu("", &[]);
        check_percpu("1 x 3", &[1]);
    }

    #[test]
    fn max() {
        assert_eq!(bandwidth(b"max 100000\n"), Some((Limit::None, 100_000)));
        assert_eq!(bandwidth(b"50000 100000\n"), Some((Limit::At(50_000), 100_000)));
        assert_eq!(bandwidth(b"50000\n"), None);
    }

    #[test]
    fn shares() {
        assert_eq!(shares_of_weight(1), 2);
        assert_eq!(shares_of_weight(100), 2597);
        assert_eq!(shares_of_weight(10_000), 262_144);
        assert_eq!(shares_of_weight(0), 2);
        assert_eq!(shares_of_weight(u64::MAX), 262_144);
    }
}
