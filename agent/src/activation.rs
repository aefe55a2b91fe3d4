//! Socket activation: the sockets that systemd opened and passed, as sd_listen_fds(3) describes.

use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use atalaia_agent::{Listener, Sockets};
use rustix::io::FdFlags;

/// The number of the first one.
const FIRST: RawFd = 3;
/// The name (`FileDescriptorName=`) of a socket for the container page. All others are for the node page.
const CONTAINERS: &str = "containers";

/// What was passed, with its names.
pub struct Passed(Vec<(OwnedFd, String)>);

/// Takes what was passed to this process. Only to be called first of all, when nothing else can have been opened.
///
/// # Errors
/// With one line when nothing was.
#[expect(unsafe_code, reason = "the only way to own what another process opened")]
pub fn take() -> Result<Passed, String> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let (pid, count) = (variable("LISTEN_PID"), variable("LISTEN_FDS"));
    let own = std::process::id().to_string();
    if count.is_empty() {
        let how = "start it by a systemd .socket unit, or leave the flag out";
        return Err(format!("--web.systemd-socket: no socket was passed (LISTEN_FDS is not set): {how}"));
    }
    if pid != own {
        return Err(format!("--web.systemd-socket: the sockets were passed to process {pid:?}, and this is {own}"));
    }
    let count = count.parse().ok().filter(|count| (1..=1024).contains(count));
    let count: RawFd = count.ok_or_else(|| {
        format!("--web.systemd-socket: LISTEN_FDS={}: a number from 1 on is needed", variable("LISTEN_FDS"))
    })?;
    let names = variable("LISTEN_FDNAMES");
    let mut names = names.split(':');
    let mut passed = Vec::new();
    for number in FIRST..FIRST + count {
        // SAFETY: nothing in this process has opened anything yet, so whatever has this number was inherited, nobody
        // else here holds it, and `fcntl` says whether there is such a thing. It is owned once: this runs once.
        let socket = unsafe {
            let is_open = rustix::io::fcntl_setfd(BorrowedFd::borrow_raw(number), FdFlags::CLOEXEC);
            is_open.ok().map(|()| OwnedFd::from_raw_fd(number))
        };
        let socket = socket.ok_or_else(|| format!("--web.systemd-socket: there is no descriptor {number}"))?;
        passed.push((socket, names.next().unwrap_or_default().to_owned()));
    }
    Ok(Passed(passed))
}

impl Passed {
    /// As listeners, by the pages that they are for. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// With one line that names the socket that is none, or not of the right kind.
    pub fn into_sockets(self) -> Result<Sockets, String> {
        let mut sockets = Sockets::default();
        for ((socket, name), number) in self.0.into_iter().zip(FIRST..) {
            let listener = Listener::from_descriptor(socket)
                .map_err(|error| format!("--web.systemd-socket: cannot use descriptor {number} ({name}): {error}"))?;
            if name == CONTAINERS { &mut sockets.containers } else { &mut sockets.node }.push(listener);
        }
        Ok(sockets)
    }
}
