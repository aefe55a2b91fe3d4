//! Lists of processes and tasks, and what is read of one.

use super::{decimal, lines, words};

/// The ids of `cgroup.procs`, `cgroup.threads` and `tasks`, one a line. 0 stands for a process outside the
/// reader's PID namespace and is passed over.
pub fn pids(bytes: &[u8]) -> impl Iterator<Item = u32> {
    lines(bytes).filter_map(decimal).filter_map(|id| u32::try_from(id).ok()).filter(|id| *id != 0)
}

/// From `/proc/TID/stat`: whether the task runs or waits for a CPU. `None` when the file is not of that form.
pub fn task_is_runnable(stat: &[u8]) -> Option<bool> {
    // The name, in brackets, may hold anything, brackets too: the state follows the last one.
    let (_, after) = stat.split_at_checked(memchr::memrchr(b')', stat)?)?;
    Some(after.get(2)? == &b'R')
}

/// From the target of `/proc/PID/ns/net`, `net:[4026531840]`: which namespace it is.
pub fn net_namespace(link: &[u8]) -> Option<u64> {
    link.strip_prefix(b"net:[")?.strip_suffix(b"]").and_then(decimal)
}

/// From `/proc/PID/mountinfo`: a super option of the process's root file system, such as the `upperdir` of an
/// overlay. The last mount on `/` counts, it lies on top.
pub fn mount_option_of_root<'a>(mountinfo: &'a [u8], option: &[u8]) -> Option<&'a [u8]> {
    let root = lines(mountinfo).filter(|line| words(line).nth(4) == Some(b"/")).last()?;
    let options = words(root).skip_while(|word| *word != b"-").nth(3)?;
    options.split(|b| *b == b',').find_map(|pair| pair.strip_prefix(option)?.strip_prefix(b"="))
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

    #[test]
    fn overlay() {
        let text = b"22 27 0:21 / /proc rw - proc proc rw\n\
            72 48 0:39 / / rw,relatime master:2 - overlay overlay rw,lowerdir=/l/A:/l/B,upperdir=/var/x/diff,workdir=/w\n";
        assert_eq!(mount_option_of_root(text, b"upperdir"), Some(&b"/var/x/diff"[..]));
        assert_eq!(mount_option_of_root(text, b"upper"), None);
        assert_eq!(mount_option_of_root(b"27 1 254:0 / / rw - ext4 /dev/vda rw\n", b"upperdir"), None);
        assert_eq!(mount_option_of_root(b"27 1 254:0 / /\n", b"upperdir"), None);
    }
}
