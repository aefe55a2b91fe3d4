//! What CPUs and kernel count: `perf_event_open(2)`, from `linux/perf_event.h`.
//!
//! It is no file, so it is here beside [`Root`](crate::Root) for both sides of the agent: nothing else counts this.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::ioctl::{NoArg, Opcode, ioctl};

/// What to count: `PERF_TYPE_*`, and numbers whose meaning depends on that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Event {
    /// `PERF_TYPE_*`, or the number of a unit as `/sys/bus/event_source/devices/UNIT/type` has it.
    pub kind: u32,
    /// Which event.
    pub config: u64,
    /// More of it, for units that need more.
    pub config1: u64,
    /// And more.
    pub config2: u64,
}

/// `PERF_TYPE_HARDWARE`: what every CPU counts.
pub const HARDWARE: u32 = 0;
/// `PERF_TYPE_SOFTWARE`: what the kernel counts.
pub const SOFTWARE: u32 = 1;
/// `PERF_TYPE_TRACEPOINT`: passings of a place in the kernel.
pub const TRACEPOINTS: u32 = 2;
/// `PERF_TYPE_HW_CACHE`: what every CPU counts of its caches.
pub const CACHES: u32 = 3;

impl Event {
    /// One that needs no more than its number.
    pub const fn new(kind: u32, config: u64) -> Self {
        Self { kind, config, config1: 0, config2: 0 }
    }
}

/// The number of a cache's event (`PERF_COUNT_HW_CACHE_*`): which cache, 0 read, 1 write or 2 prefetch, 0 access or 1
/// miss.
pub const fn cache(which: u64, operation: u64, result: u64) -> u64 {
    which | operation << 8 | result << 16
}

/// Whose events count.
#[derive(Clone, Copy, Debug)]
pub enum Tasks<'a> {
    /// All tasks'.
    All,
    /// Those of tasks in a cgroup and in the cgroups below, by its directory in the hierarchy of `perf_event`.
    Of(BorrowedFd<'a>),
}

/// `struct perf_event_attr` as far as it is used (`PERF_ATTR_SIZE_VER1`); what has come since then is 0 for a structure
/// of this size.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_type: u32,
    config1: u64,
    config2: u64,
}

/// `PERF_FORMAT_TOTAL_TIME_ENABLED`, `…_RUNNING` and `PERF_FORMAT_GROUP`.
const GROUP_WITH_TIMES: u64 = 1 | 2 | 8;
/// The bit `disabled` of the flags.
const DISABLED: u64 = 1;
/// `PERF_EVENT_IOC_ENABLE`.
const ENABLE: Opcode = 0x2400;

#[expect(unsafe_code, reason = "no crate that we have wraps perf_event_open(2), and nothing else counts this")]
fn open(
    event: Event,
    (read_format, flags): (u64, u64),
    cpu: u32,
    tasks: Tasks<'_>,
    leader: Option<BorrowedFd<'_>>,
) -> io::Result<OwnedFd> {
    const OF_CGROUP: libc::c_ulong = 4;
    const CLOSE_ON_EXEC: libc::c_ulong = 8;
    let size = u32::try_from(size_of::<Attributes>()).unwrap_or_default();
    let Event { kind, config, config1, config2 } = event;
    let attributes = Attributes { kind, size, config, read_format, flags, config1, config2, ..Attributes::default() };
    let cpu = libc::c_int::try_from(cpu).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    let (whose, of) = match tasks {
        Tasks::All => (-1, 0),
        Tasks::Of(cgroup) => (cgroup.as_raw_fd(), OF_CGROUP),
    };
    let leader = leader.map_or(-1, |leader| leader.as_raw_fd());
    // SAFETY: the kernel reads the structure, whose size it is told, and keeps no pointer to it. The descriptors are
    // borrowed, so they are open.
    let descriptor = unsafe {
        let attributes = &raw const attributes;
        libc::syscall(libc::SYS_perf_event_open, attributes, whose, cpu, leader, CLOSE_ON_EXEC | of)
    };
    let descriptor = libc::c_int::try_from(descriptor).unwrap_or(-1);
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// A counter of one CPU, over all tasks. It counts from when it is opened until it is dropped.
#[derive(Debug)]
pub struct Counter(OwnedFd);

impl Counter {
    /// # Errors
    /// What the kernel says: that there is no such counter (`ENOENT`, `EOPNOTSUPP`), no such CPU (`ENODEV`), or no right
    /// to count (`EACCES`, `EPERM`: `kernel.perf_event_paranoid`, `CAP_PERFMON`).
    pub fn open(event: Event, cpu: u32) -> io::Result<Self> {
        open(event, (0, 0), cpu, Tasks::All, None).map(Self)
    }

    /// How much it has counted.
    ///
    /// # Errors
    /// What the kernel says, such as that the CPU is gone.
    pub fn read(&self) -> io::Result<u64> {
        let mut value = [0; 8];
        match rustix::io::read(&self.0, &mut value)? {
            8 => Ok(u64::from_ne_bytes(value)),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Events of one CPU that are always counted at the same time, from when they are opened until they are dropped.
#[derive(Debug)]
pub struct Group {
    leader: OwnedFd,
    /// Kept open, since they count as long as they are.
    _others: Vec<OwnedFd>,
    events: usize,
}

/// An event of a [`Group`] could not be opened.
#[derive(Debug)]
pub struct Refused {
    /// Which of the group's.
    pub at: usize,
    /// Why; see [`Counter::open`]. `EINVAL` too where the events cannot be counted together.
    pub error: io::Error,
}

/// For how long a [`Group`] was wanted and for how long it was counted, in nanoseconds: less where events take turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// While its tasks were on the CPU.
    pub enabled: u64,
    /// Of that.
    pub running: u64,
}

impl Group {
    /// Begins to count.
    ///
    /// # Errors
    /// [`Refused`] with the first event that the kernel does not take.
    pub fn open(events: &[Event], cpu: u32, tasks: Tasks<'_>) -> Result<Self, Refused> {
        let refused = |at| move |error| Refused { at, error };
        let [first, others @ ..] = events else {
            return Err(Refused { at: 0, error: io::ErrorKind::InvalidInput.into() });
        };
        // The first one stands still until all are there.
        let leader = open(*first, (GROUP_WITH_TIMES, DISABLED), cpu, tasks, None).map_err(refused(0))?;
        let mut opened = Vec::with_capacity(others.len());
        for (at, event) in others.iter().enumerate() {
            let other = open(*event, (GROUP_WITH_TIMES, 0), cpu, tasks, Some(leader.as_fd()));
            opened.push(other.map_err(refused(at + 1))?);
        }
        enable(&leader).map_err(refused(0))?;
        Ok(Self { leader, _others: opened, events: events.len() })
    }

    /// How much each event has counted, in the order in which they were given, and for how long.
    ///
    /// # Errors
    /// What the kernel says. It tells nothing (`UnexpectedEof`) of a group that can never be counted together, or no more.
    pub fn read(&self, values: &mut Vec<u64>) -> io::Result<Times> {
        const NUMBER: usize = size_of::<u64>();
        let mut bytes = [0; NUMBER * (3 + MOST_IN_GROUP)];
        let length = rustix::io::read(&self.leader, &mut bytes)?;
        let mut numbers = bytes.get(..length).unwrap_or_default().as_chunks::<NUMBER>().0.iter();
        let mut next = || numbers.next().copied().map(u64::from_ne_bytes).ok_or(io::ErrorKind::UnexpectedEof);
        let (_count, enabled, running) = (next()?, next()?, next()?);
        values.clear();
        for _ in 0..self.events {
            values.push(next()?);
        }
        Ok(Times { enabled, running })
    }
}

/// Events of a group at most; no CPU counts so many at once.
pub const MOST_IN_GROUP: usize = 32;

#[expect(unsafe_code, reason = "no crate that we have wraps this ioctl")]
fn enable(leader: &OwnedFd) -> io::Result<()> {
    // SAFETY: the call takes no pointer.
    unsafe { ioctl(leader, NoArg::<ENABLE>::new()) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const CONTEXT_SWITCHES: Event = Event::new(SOFTWARE, 3);
    const CPU_CLOCK: Event = Event::new(SOFTWARE, 0);

    /// Not everyone may count.
    fn allowed<T>(opened: io::Result<T>) -> Option<T> {
        match opened {
            Ok(opened) => Some(opened),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn context_switches_are_counted() {
        let Some(counter) = allowed(Counter::open(CONTEXT_SWITCHES, 0)) else { return };
        let before = counter.read().unwrap();
        for attempt in 0.. {
            if counter.read().unwrap() > before {
                break;
            }
            assert!(attempt < 20_000);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_group_is_read_at_once_and_in_order() {
        let group = Group::open(&[CPU_CLOCK, CONTEXT_SWITCHES], 0, Tasks::All);
        let Some(group) = allowed(group.map_err(|refused| refused.error)) else { return };
        let mut values = Vec::new();
        for attempt in 0.. {
            let times = group.read(&mut values).unwrap();
            let &[clock, switches] = values.as_slice() else { panic!("{values:?}") };
            // The clock is that of the CPU: so it shows which of the two it is, and that nothing took turns.
            if switches > 0 && clock > 1_000_000 {
                assert!(switches < clock / 100, "{values:?}");
                assert!(times.running == times.enabled && times.enabled > 0, "{times:?}");
                break;
            }
            assert!(attempt < 20_000);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn what_is_not_there() {
        assert!(Counter::open(CONTEXT_SWITCHES, u32::MAX).is_err());
        assert!(Counter::open(CONTEXT_SWITCHES, 100_000).is_err());
        assert_eq!(Group::open(&[], 0, Tasks::All).unwrap_err().at, 0);
        let no_such_kind = Event::new(0x7fff_fff0, 0);
        let refused = Group::open(&[CONTEXT_SWITCHES, no_such_kind], 0, Tasks::All).unwrap_err();
        if refused.error.kind() != io::ErrorKind::PermissionDenied {
            assert_eq!(refused.at, 1, "{}", refused.error);
        }
    }
}
