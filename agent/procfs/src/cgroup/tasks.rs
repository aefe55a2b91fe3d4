//! Lists of processes and tasks, and what is read of one.

use crate::scan;

/// The ids of `cgroup.procs`, `cgroup.threads` and `tasks`, one a line. 0 stands for a process outside the
/// reader's PID namespace and is passed over.
pub fn pids(bytes: &[u8]) -> impl Iterator<Item = u32> {
    scan::lines(bytes).filter_map(|(_, line)| u32::try_from(scan::number(line)?).ok()).filter(|id| *id != 0)
}

/// From `/proc/TID/stat`: the letter of the task's state, such as `R`, `S`, `D`, `T`. `None` when the file is not of
/// that form.
pub fn task_state(stat: &[u8]) -> Option<u8> {
    // The name, in brackets, may hold anything, brackets too: the state follows the last one.
    let (_, after) = stat.split_at_checked(memchr::memrchr(b')', stat)?)?;
    after.get(2).copied()
}

/// From `/proc/TID/stat`: whether the task runs or waits for a CPU. `None` when the file is not of that form.
pub fn task_is_runnable(stat: &[u8]) -> Option<bool> {
    task_state(stat).map(|state| state == b'R')
}

/// From the target of `/proc/PID/ns/net`, `net:[4026531840]`: which namespace it is.
pub fn net_namespace(link: &[u8]) -> Option<u64> {
    link.strip_prefix(b"net:[")?.strip_suffix(b"]").and_then(scan::number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        assert_eq!(pids(b"1\n0\n4194304\nx\n").collect::<Vec<_>>(), [1, 4_194_304]);
        assert_eq!(pids(b"").count(), 0);
    }

    #[track_caller]
    fn check_state(stat: &str, want: Option<bool>) {
        assert_eq!(task_is_runnable(stat.as_bytes()), want, "{stat:?}");
    }

    #[test]
    fn states() {
        check_state("14823 (sh) R 14802 14823 14823 0 -1", Some(true));
        check_state("1 (systemd) S 0 1 1", Some(false));
        check_state("9 (a) R (b) S 1 1", Some(false));
        check_state("9 (disk) D 1", Some(false));
        check_state("9 (short)", None);
        check_state("", None);
    }

    #[test]
    fn namespaces() {
        assert_eq!(net_namespace(b"net:[4026531840]"), Some(4_026_531_840));
        assert_eq!(net_namespace(b"mnt:[4026531840]"), None);
        assert_eq!(net_namespace(b"net:[]"), None);
    }
}
