//! Why a container has no monitoring group of its own, and what would help.

use std::io;

use rustix::io::Errno;

use crate::background::tally::Named;

/// Why a container has no group of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    /// The processor has no more numbers to count under.
    Limit,
    /// Not allowed.
    Rights,
    /// Nothing is mounted, or the processor does not count.
    Unavailable,
    Other,
}

impl Named for Reason {
    const ALL: &'static [(Self, &'static str)] =
        &[(Self::Limit, "limit"), (Self::Rights, "rights"), (Self::Unavailable, "unavailable"), (Self::Other, "other")];
}

impl Reason {
    pub(super) fn of(error: &io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOSPC | Errno::BUSY) => Self::Limit,
            Some(Errno::PERM | Errno::ACCESS | Errno::ROFS) => Self::Rights,
            _ => Self::Other,
        }
    }

    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Limit => "the processor counts for no more groups at once; remove other monitoring groups",
            Self::Rights => {
                "run the agent as root with /sys/fs/resctrl writable, in Docker --volume=/sys/fs/resctrl:/sys/fs/resctrl"
            }
            Self::Unavailable => {
                "mount it (mount -t resctrl resctrl /sys/fs/resctrl) on a processor that monitors cache or memory \
                 bandwidth, or leave out --container.resctrl-groups"
            }
            Self::Other => "look at /sys/fs/resctrl/info/last_cmd_status",
        }
    }
}
