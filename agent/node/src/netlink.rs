//! Dumps from the kernel over a netlink socket that stays open.

use std::time::Instant;

use agent_procfs::netlink::Connection;
use agent_procfs::rtnetlink::{self, Message};

use crate::CollectError;

/// A connection to one of the kernel's subsystems, whose errors are a collector's.
#[derive(Debug, Default)]
pub(crate) struct Netlink(Connection);

impl Netlink {
    /// See [`Connection::sock_diag`].
    pub(crate) fn sock_diag() -> Self {
        Self(Connection::sock_diag())
    }

    /// See [`Connection::generic`].
    pub(crate) fn generic() -> Self {
        Self(Connection::generic())
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

    /// See [`Connection::ask`].
    ///
    /// # Errors
    /// [`CollectError::Netlink`] when the kernel does not answer by the deadline or refuses.
    pub(crate) fn ask(
        &mut self,
        request: impl FnOnce(u32) -> Vec<u8>,
        deadline: Instant,
        take: impl FnMut(&[u8], u32) -> Result<bool, i32>,
    ) -> Result<(), CollectError> {
        self.0.ask(request, deadline, take).map_err(CollectError::Netlink)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
