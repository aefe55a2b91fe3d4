//! A netlink socket that stays open from one question to the next.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::net::{self, AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, sockopt};

/// A connection to one of the kernel's subsystems: rtnetlink, unless it is built for another. It is opened by the first
/// question, and belongs to the network namespace in which the thread is then.
#[derive(Debug, Default)]
pub struct Connection {
    /// No protocol is protocol 0, and that is `NETLINK_ROUTE`.
    protocol: Option<Protocol>,
    socket: Option<OwnedFd>,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Connection {
    /// To `sock_diag`, which knows the sockets.
    pub fn sock_diag() -> Self {
        Self { protocol: Some(netlink::SOCK_DIAG), ..Self::default() }
    }

    /// To the families of generic netlink, such as that of wireless devices.
    pub fn generic() -> Self {
        Self { protocol: Some(netlink::GENERIC), ..Self::default() }
    }

    /// Closes the socket: the next question opens one in the namespace in which the thread is by then.
    pub fn close(&mut self) {
        self.socket = None;
    }

    /// Sends a request, made from its sequence number, and hands each datagram of the answer to `take` with that
    /// number, until it says that the answer is complete, or that the kernel refused with an `errno`.
    ///
    /// # Errors
    /// When the kernel does not answer by the deadline or refuses; the next request then begins with a new socket.
    pub fn ask(
        &mut self,
        request: impl FnOnce(u32) -> Vec<u8>,
        deadline: Instant,
        mut take: impl FnMut(&[u8], u32) -> Result<bool, i32>,
    ) -> io::Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => open(self.protocol)?,
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.buffer.resize(64 << 10, 0);
        let sequence = self.sequence;
        exchange(&socket, &request(sequence), deadline, &mut self.buffer, |datagram| {
            take(datagram, sequence).map_err(io::Error::from_raw_os_error)
        })?;
        self.socket = Some(socket);
        Ok(())
    }
}

fn open(protocol: Option<Protocol>) -> io::Result<OwnedFd> {
    Ok(net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?)
}

/// Sends the request and reads datagrams until `take` says that the answer is complete.
fn exchange(
    socket: &OwnedFd,
    request: &[u8],
    deadline: Instant,
    buffer: &mut [u8],
    mut take: impl FnMut(&[u8]) -> io::Result<bool>,
) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    sockopt::set_socket_timeout(socket, sockopt::Timeout::Recv, Some(left))?;
    net::send(socket, request, SendFlags::empty())?;
    loop {
        let (_, length) = match net::recv(socket, &mut *buffer, RecvFlags::TRUNC) {
            Ok(read) => read,
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        };
        let Some(datagram) = buffer.get(..length) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "answer is larger than 64 KiB"));
        };
        if take(datagram)? {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}
