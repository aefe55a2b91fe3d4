//! The files of cgroup v1 and v2, and what is read of a task beside them. Pressure files are
//! [`pressure`](crate::pressure)'s, `/proc/PID/net/dev` is [`netdev`](crate::netdev)'s.
//!
//! Every parser takes the file's bytes and keeps what it understands: a line of unknown or broken form is passed
//! over, a value that is not there is `None` and never 0. So a new kernel's new line, or a file cut short because
//! its cgroup is being removed, costs no more than itself.

mod cpu;
mod io;
mod memory;
mod numa;
mod tasks;

pub use cpu::{CpuStat, bandwidth, cpuacct_stat, cpuacct_usage_percpu, shares_of_weight};
pub use io::{BlkioEntry, DeviceNumber, IoStat, blkio, io_stat};
pub use memory::{MemoryEvents, MemoryStat};
pub use numa::{NumaStat, numa_stat};
pub use tasks::{net_namespace, pids, task_is_runnable, task_state};

use crate::scan;

/// A single number, as most cgroup files hold it: `4096\n`.
pub fn number(bytes: &[u8]) -> Option<u64> {
    scan::number(bytes.trim_ascii())
}

/// A limit: a number, or "max" (v2) or "-1" (v1), which is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// There is no limit.
    None,
    /// In the unit of the file.
    At(u64),
}

/// A limit as a cgroup file holds it.
pub fn limit(bytes: &[u8]) -> Option<Limit> {
    match bytes.trim_ascii() {
        b"max" | b"-1" => Some(Limit::None),
        value => scan::number(value).map(Limit::At),
    }
}

/// The lines `key value` of a flat keyed file such as `memory.stat`, `cpu.stat` or `memory.oom_control`.
pub fn pairs(bytes: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    scan::lines(bytes).filter_map(|(_, line)| {
        let (key, value) = scan::cut(line, b' ')?;
        Some((key, scan::number(value.trim_ascii())?))
    })
}

/// The value of one key of a flat keyed file.
pub fn value_of(bytes: &[u8], key: &[u8]) -> Option<u64> {
    pairs(bytes).find(|(k, _)| *k == key).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_number(input: &str, want: Option<u64>) {
        assert_eq!(number(input.as_bytes()), want, "{input:?}");
    }

    #[test]
    fn numbers() {
        check_number("4096\n", Some(4096));
        check_number("0", Some(0));
        check_number(" 7 \n", Some(7));
        check_number("18446744073709551615\n", Some(u64::MAX));
        check_number("18446744073709551616\n", None);
        check_number("", None);
        check_number("\n", None);
        check_number("-1\n", None);
        check_number("1 2\n", None);
        check_number("max\n", None);
    }

    #[track_caller]
    fn check_limit(input: &str, want: Option<Limit>) {
        assert_eq!(limit(input.as_bytes()), want, "{input:?}");
    }

    #[test]
    fn limits() {
        check_limit("max\n", Some(Limit::None));
        check_limit("-1\n", Some(Limit::None));
        check_limit("1048576\n", Some(Limit::At(1_048_576)));
        check_limit("0\n", Some(Limit::At(0)));
        check_limit("", None);
        check_limit("maximum\n", None);
    }

    #[test]
    fn keys() {
        let text = b"low 0\nhigh x\noom_kill 3\nlast 4";
        assert_eq!(value_of(text, b"oom_kill"), Some(3));
        assert_eq!(value_of(text, b"oom"), None, "a key is no prefix");
        assert_eq!(value_of(text, b"high"), None);
        assert_eq!(value_of(text, b"last"), Some(4), "the last line needs no end");
        assert_eq!(pairs(b"\n\nb  2\nc\n").collect::<Vec<_>>(), [(&b"b"[..], 2)]);
    }

    proptest::proptest! {
        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            every_parser(&bytes);
        }

        #[test]
        fn no_likely_input_panics(text in "([a-z_]{1,12}|[0-9]{1,24}|max|-1|:|=|,| |\n|Total|Read|some|full|eth0|\\(|\\)){0,80}") {
            every_parser(text.as_bytes());
        }
    }

    fn every_parser(bytes: &[u8]) {
        let _ = (number(bytes), limit(bytes), pairs(bytes).count());
        let _ = (CpuStat::parse(bytes), cpuacct_stat(bytes), cpuacct_usage_percpu(bytes).count(), bandwidth(bytes));
        let _ = (MemoryStat::parse_v1(bytes), MemoryStat::parse_v2(bytes), MemoryEvents::parse(bytes));
        let _ = (blkio(bytes).count(), io_stat(bytes).count());
        let _ = (pids(bytes).count(), task_is_runnable(bytes), net_namespace(bytes));
        let _ = numa_stat(bytes).map(|stat| stat.nodes().count()).sum::<usize>();
    }
}
