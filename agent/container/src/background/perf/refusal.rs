//! Why something is not counted, and what would help.

use std::io;

use rustix::io::Errno;

use crate::background::tally::Named;

/// Why something is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    /// Too many files.
    Limit,
    /// Not allowed.
    Rights,
    /// Not there.
    Unsupported,
    /// The kernel says something else.
    Other,
}

impl Named for Reason {
    const ALL: &'static [(Self, &'static str)] =
        &[(Self::Limit, "limit"), (Self::Rights, "rights"), (Self::Unsupported, "unsupported"), (Self::Other, "other")];
}

impl Reason {
    pub(super) fn of(error: &io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::MFILE | Errno::NFILE) => Self::Limit,
            Some(Errno::PERM | Errno::ACCESS) => Self::Rights,
            Some(Errno::NOENT | Errno::NODEV | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Self::Unsupported,
            _ => Self::Other,
        }
    }
}

/// What would be right.
pub(super) fn advice(error: &io::Error) -> &'static str {
    match (Reason::of(error), error.raw_os_error().map(Errno::from_raw_os_error)) {
        (Reason::Rights, Some(Errno::PERM)) => {
            "a seccomp filter or a locked-down kernel forbids perf_event_open: allow it with SystemCallFilter= in a \
             systemd unit, with --cap-add=PERFMON or --security-opt seccomp=PROFILE in Docker"
        }
        (Reason::Rights, _) => {
            "give the agent CAP_PERFMON (CAP_SYS_ADMIN before Linux 5.8), or set kernel.perf_event_paranoid to 0 or less"
        }
        (Reason::Unsupported, _) => {
            "the CPUs, or the virtual machine, do not count it, or not together with the others of its group"
        }
        (Reason::Limit, _) => "allow the agent more open files (LimitNOFILE=), or name fewer events",
        (Reason::Other, _) => "leave the event out of --perf_events_config",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_an_advice() {
        #[track_caller]
        fn check(errno: Errno, reason: Reason, advised: &str) {
            let error = errno.into();
            assert_eq!(Reason::of(&error), reason);
            assert!(advice(&error).contains(advised), "{}", advice(&error));
        }
        check(Errno::ACCESS, Reason::Rights, "kernel.perf_event_paranoid");
        check(Errno::PERM, Reason::Rights, "seccomp");
        check(Errno::NOENT, Reason::Unsupported, "virtual machine");
        check(Errno::OPNOTSUPP, Reason::Unsupported, "virtual machine");
        check(Errno::MFILE, Reason::Limit, "LimitNOFILE");
        check(Errno::IO, Reason::Other, "leave the event out");
    }
}
