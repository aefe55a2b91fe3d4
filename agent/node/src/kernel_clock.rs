//! What the kernel says about the clock it disciplines: `adjtimex(2)`.

use std::io;

/// The kernel's `struct timex`, and whether the clock is synchronised.
pub(crate) struct KernelClock {
    pub(crate) timex: libc::timex,
    pub(crate) is_synchronised: bool,
}

impl KernelClock {
    /// Asks the kernel; changes nothing, and needs no right.
    ///
    /// # Errors
    /// What the kernel says, such as that a sandbox forbids it.
    #[expect(unsafe_code, reason = "no crate that we have wraps adjtimex(2), and nothing else says this")]
    pub(crate) fn read() -> io::Result<Self> {
        // SAFETY: `timex` consists of integers, for which zero is a value.
        let mut timex: libc::timex = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is to a `timex` of our own. With no bits in `modes` the kernel only fills it in.
        let state = unsafe { libc::adjtimex(&raw mut timex) };
        if state < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { timex, is_synchronised: state != libc::TIME_ERROR })
    }
}
