//! `/proc/net/softnet_stat`: packets that each CPU took from the network devices.

use crate::scan::{self, Lossy};

/// One CPU. What this kernel does not print is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Softnet {
    /// Its number. Before 5.10 the kernel does not say, and lines count the CPUs that are online.
    pub cpu: u64,
    /// Packets taken.
    pub processed: u64,
    /// Packets dropped because the backlog was full.
    pub dropped: u64,
    /// How often there was more to do than time to do it.
    pub times_squeezed: u64,
    /// Collisions on the lock for sending.
    pub cpu_collision: Option<u64>,
    /// How often another CPU handed packets over (RPS).
    pub received_rps: Option<u64>,
    /// Packets dropped because one flow had too many.
    pub flow_limit_count: Option<u64>,
    /// Packets in the backlog now (5.10 and later).
    pub backlog_len: Option<u64>,
}

/// Reads the file; lines are independent of each other.
pub fn parse(bytes: &[u8]) -> Lossy<Vec<Softnet>> {
    let mut position = 0;
    Lossy::of_lines(bytes, "expected at least three hexadecimal numbers", |line| {
        let columns: Vec<u64> = scan::fields(line).map(scan::hex).collect::<Option<_>>()?;
        let column = |index: usize| columns.get(index).copied();
        let cpu = column(12).unwrap_or(position);
        position += 1;
        Some(Softnet {
            cpu,
            processed: column(0)?,
            dropped: column(1)?,
            times_squeezed: column(2)?,
            cpu_collision: column(8),
            received_rps: column(9),
            flow_limit_count: column(10),
            backlog_len: column(11),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_and_old_kernels() {
        let new = "0001d1b1 0000000a 0000000b 0 0 0 0 0 00000001 00000002 00000003 00000004 00000007 0 0";
        let old = "0001d1b1 00000000 00000001 0 0 0 0 0 00000001";
        let got = parse(format!("{old}\n{old}\n{new}\n").as_bytes()).value;
        assert_eq!(got.iter().map(|s| s.cpu).collect::<Vec<_>>(), [0, 1, 7]);
        assert_eq!((got[0].processed, got[0].cpu_collision, got[0].received_rps), (0x1d1b1, Some(1), None));
        assert_eq!((got[2].dropped, got[2].flow_limit_count, got[2].backlog_len), (10, Some(3), Some(4)));
    }

    #[test]
    fn a_bad_line_costs_itself() {
        let got = parse(b"1 2 3\n1 2\n1 2 x\n4 5 6\n");
        assert_eq!((got.value.len(), got.bad_lines, got.first_bad.unwrap().line), (2, 2, 2));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
