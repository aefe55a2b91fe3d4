//! What `/proc/PID` and `/proc/TID` tell besides `stat`: limits, time in the scheduler, memory in use lately.

use crate::cgroup::Limit;
use crate::scan;

/// From `/proc/PID/limits`: the soft limit of open files.
pub fn soft_open_files(bytes: &[u8]) -> Option<Limit> {
    let (_, line) = scan::lines(bytes).find(|(_, line)| line.starts_with(b"Max open files "))?;
    match scan::fields(line).nth(3)? {
        b"unlimited" => Some(Limit::None),
        field => scan::number(field).map(Limit::At),
    }
}

/// What the scheduler counted for one task since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scheduled {
    /// Nanoseconds on a CPU.
    pub running_ns: u64,
    /// Nanoseconds of waiting for a CPU.
    pub waiting_ns: u64,
    /// How often it was given a CPU.
    pub periods: u64,
}

/// From `/proc/TID/schedstat`.
pub fn scheduled(bytes: &[u8]) -> Option<Scheduled> {
    let mut numbers = scan::fields(bytes).map(scan::number);
    let mut number = || numbers.next().flatten();
    Some(Scheduled { running_ns: number()?, waiting_ns: number()?, periods: number()? })
}

/// From `/proc/PID/smaps` or `/proc/PID/smaps_rollup`: bytes of pages that were touched since the marks were cleared
/// last. `None` where no mapping tells, as for kernel threads.
pub fn referenced(bytes: &[u8]) -> Option<u64> {
    let told = scan::lines(bytes).filter_map(|(_, line)| {
        let mut fields = scan::fields(line.strip_prefix(b"Referenced:")?);
        let kib = fields.next().and_then(scan::number)?;
        if fields.next() == Some(b"kB") { kib.checked_mul(1024) } else { None }
    });
    told.fold(None, |sum, bytes| Some(bytes.saturating_add(sum.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units     \n\
        Max cpu time              unlimited            unlimited            seconds   \n\
        Max open files            SOFT                20000                files     \n";

    #[track_caller]
    fn check_limit(soft: &str, want: Option<Limit>) {
        assert_eq!(soft_open_files(LIMITS.replace("SOFT", soft).as_bytes()), want, "{soft}");
    }

    #[test]
    fn limits_of_open_files() {
        check_limit("1024", Some(Limit::At(1024)));
        check_limit("unlimited", Some(Limit::None));
        check_limit("many", None);
        check_limit("-1", None);
        assert_eq!(soft_open_files(b"Max open files"), None);
        assert_eq!(soft_open_files(b""), None);
    }

    #[test]
    fn times_in_the_scheduler() {
        let want = Scheduled { running_ns: 7, waiting_ns: 72878, periods: 1 };
        assert_eq!(scheduled(b"7 72878 1\n"), Some(want));
        assert_eq!(scheduled(b"7 72878\n"), None);
        assert_eq!(scheduled(b"7 x 1\n"), None);
        assert_eq!(scheduled(b""), None);
    }

    #[test]
    fn referenced_memory_is_added_up() {
        let text = b"55d0-55d1 r--p 00000000 fe:00 12 /bin/cat\nRss:   8 kB\nReferenced:            4 kB\n\
            7f00-7f01 rw-p 00000000 00:00 0 \nReferenced:   12 kB\nAnonymous: 1 kB\nReferenced: x kB\nReferenced: 1 MB\n";
        assert_eq!(referenced(text), Some(16384));
        assert_eq!(referenced(b"Rss: 8 kB\n"), None);
        assert_eq!(referenced(b"Referenced: 0 kB\n"), Some(0));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = (soft_open_files(&bytes), scheduled(&bytes), referenced(&bytes));
        }

        #[test]
        fn no_likely_input_panics(text in "(Referenced:|Max open files|[0-9]{1,24}|kB|unlimited| |\n){0,60}") {
            let _ = (soft_open_files(text.as_bytes()), scheduled(text.as_bytes()), referenced(text.as_bytes()));
        }
    }
}
