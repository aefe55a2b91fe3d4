//! Counters of the CPUs and of the kernel: `perf_event_open(2)`, from `linux/perf_event.h`.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// What to count: `PERF_TYPE_*`, and a number whose meaning depends on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) kind: u32,
    pub(crate) config: u64,
}

/// A counter of one CPU, over all tasks. It counts from when it is opened until it is dropped.
#[derive(Debug)]
pub(crate) struct Counter(OwnedFd);

/// `struct perf_event_attr` as it was first; what has come since then is 0 for a structure of this size.
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
    breakpoint_address: u64,
}

impl Counter {
    /// # Errors
    /// What the kernel says: that there is no such counter (`ENOENT`, `EOPNOTSUPP`), no such CPU (`ENODEV`), or no right
    /// to count (`EACCES`, `EPERM`: `kernel.perf_event_paranoid`, `CAP_PERFMON`).
    #[expect(unsafe_code, reason = "no crate that we have wraps perf_event_open(2), and nothing else counts this")]
    pub(crate) fn open(event: Event, cpu: u32) -> io::Result<Self> {
        const ALL_TASKS: libc::pid_t = -1;
        const NO_GROUP: libc::c_int = -1;
        const CLOSE_ON_EXEC: libc::c_ulong = 8;
        let size = u32::try_from(size_of::<Attributes>()).unwrap_or_default();
        let attributes = Attributes { kind: event.kind, size, config: event.config, ..Attributes::default() };
        let cpu = libc::c_int::try_from(cpu).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
        // SAFETY: the kernel reads the structure, whose size it is told, and keeps no pointer to it.
        let descriptor = unsafe {
            let attributes = &raw const attributes;
            libc::syscall(libc::SYS_perf_event_open, attributes, ALL_TASKS, cpu, NO_GROUP, CLOSE_ON_EXEC)
        };
        let descriptor = libc::c_int::try_from(descriptor).unwrap_or(-1);
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made it, and nobody else has it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    /// How much it has counted.
    ///
    /// # Errors
    /// What the kernel says, such as that the CPU is gone.
    pub(crate) fn read(&self) -> io::Result<u64> {
        let mut value = [0; 8];
        match rustix::io::read(&self.0, &mut value)? {
            8 => Ok(u64::from_ne_bytes(value)),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_switches_are_counted() {
        const CONTEXT_SWITCHES: Event = Event { kind: 1, config: 3 };
        let counter = match Counter::open(CONTEXT_SWITCHES, 0) {
            Ok(counter) => counter,
            // Not everyone may count.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return,
            Err(error) => panic!("{error}"),
        };
        let before = counter.read().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while counter.read().unwrap() == before {
            assert!(std::time::Instant::now() < deadline);
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_cpu_that_is_not_there() {
        assert!(Counter::open(Event { kind: 1, config: 3 }, u32::MAX).is_err());
        assert!(Counter::open(Event { kind: 1, config: 3 }, 100_000).is_err());
    }
}
