//! Dumps from the kernel over one netlink socket that stays open.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use agent_procfs::rtnetlink::{self, Message};
use rustix::net::{self, AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, sockopt};

use crate::CollectError;

/// A connection to one of the kernel's subsystems: rtnetlink, unless it is built for another.
#[derive(Debug, Default)]
pub(crate) struct Netlink {
    /// No protocol is protocol 0, and that is `NETLINK_ROUTE`.
    protocol: Option<Protocol>,
    socket: Option<OwnedFd>,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// For `sock_diag`, which knows the sockets.
    pub(crate) fn sock_diag() -> Self {
        Self { protocol: Some(netlink::SOCK_DIAG), ..Self::default() }
    }

    /// For the families of generic netlink, such as that of wireless devices.
    pub(crate) fn generic() -> Self {
        Self { protocol: Some(netlink::GENERIC), ..Self::default() }
    }

    /// Asks for all devices, addresses or neighbours and hands each message to `take`.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub(crate) fn dump(
        &mut self,
        kind: u16,
        deadline: Instant,
        mut take: impl FnMut(Message),
    ) -> Result<(), CollectError> {
        self.ask(
            |sequence| rtnetlink::dump_request(kind, sequence),
            deadline,
            |datagram, sequence| {
                for message in rtnetlink::messages(datagram, sequence) {
                    match message {
                        Message::Done => return Ok(true),
                        Message::Refused(errno) => return Err(errno),
                        message => take(message),
                    }
                }
                Ok(false)
            },
        )
    }

    /// Sends a request, made from its sequence number, and hands each datagram of the answer to `take` with that
    /// number, until it says that the answer is complete, or that the kernel refused with an `errno`.
    ///
    /// # Errors
    /// [`CollectError::Netlink`] when the kernel does not answer by the deadline or refuses; the next request then
    /// begins with a new socket.
    pub(crate) fn ask(
        &mut self,
        request: impl FnOnce(u32) -> Vec<u8>,
        deadline: Instant,
        mut take: impl FnMut(&[u8], u32) -> Result<bool, i32>,
    ) -> Result<(), CollectError> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => open(self.protocol).map_err(CollectError::Netlink)?,
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.buffer.resize(64 << 10, 0);
        let sequence = self.sequence;
        exchange(&socket, &request(sequence), deadline, &mut self.buffer, |datagram| {
            take(datagram, sequence).map_err(io::Error::from_raw_os_error)
        })
        .map_err(CollectError::Netlink)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_device_and_its_address() {
        let mut netlink = Netlink::default();
        let deadline = Instant::now() + Duration::from_secs(5);
        let (mut loopback, mut has_address) = (None, false);
        netlink
            .dump(rtnetlink::GET_LINK, deadline, |message| {
                if let Message::Link(link) = message
                    && link.name == "lo"
                {
                    loopback = Some(link.index);
                }
            })
            .unwrap();
        netlink
            .dump(rtnetlink::GET_ADDRESS, deadline, |message| {
                if let Message::Address(address) = message
                    && Some(address.index) == loopback
                {
                    has_address |= address.address.is_loopback();
                }
            })
            .unwrap();
        assert!(has_address);
    }

    #[test]
    fn a_refusal_is_an_error_and_the_next_dump_works() {
        let mut netlink = Netlink::default();
        let deadline = Instant::now() + Duration::from_secs(5);
        assert!(matches!(netlink.dump(9999, deadline, |_| ()), Err(CollectError::Netlink(_))));
        netlink.dump(rtnetlink::GET_LINK, deadline, |_| ()).unwrap();
    }
}
