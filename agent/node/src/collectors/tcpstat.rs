//! TCP sockets by state, from the kernel's `sock_diag` or `/proc/net/tcp` and `/proc/net/tcp6`.

use std::path::PathBuf;
use std::time::Instant;

use agent_exposition::{Kind, Page};
use agent_procfs::Lossy;
use agent_procfs::tcp::{self, STATES, Sockets};

use crate::netlink::Netlink;
use crate::source::Source;
use crate::{CollectError, Collector, FlagSpec, Outcome, Scrape, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "tcpstat",
    help: "TCP sockets by state.",
    default_on: false,
    flags: &[NETLINK],
    build: |context| {
        let paths = ["net/tcp", "net/tcp6"].map(|path| context.root.proc(path));
        Ok(Box::new(Tcpstat {
            netlink: context.flags.is_on(&NETLINK).then(Netlink::sock_diag),
            files: paths.map(|path| (path.clone(), Source::new(path))),
            scrape: None,
        }))
    },
};

const NETLINK: FlagSpec =
    FlagSpec::switch("collector.tcpstat.netlink", true, "Ask over netlink instead of reading /proc/net/tcp.").hidden();

struct Tcpstat {
    /// `None` when it is not to be used, or has turned out not to be there.
    netlink: Option<Netlink>,
    /// For IPv4 and IPv6, as [`tcp::FAMILIES`].
    files: [(PathBuf, Source); 2],
    scrape: Option<Scrape>,
}

impl Collector for Tcpstat {
    fn begin(&mut self, scrape: Scrape) {
        self.scrape = Some(scrape);
    }

    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let deadline = self.scrape.unwrap_or_else(Scrape::untold).deadline;
        let Some(sockets) = self.sockets(deadline)? else { return Ok(Outcome::Nothing) };
        let family = page.family(
            "node_tcp_connection_states",
            "TCP sockets by state; rx_queued_bytes and tx_queued_bytes are bytes that wait in them.",
            Kind::Gauge,
        );
        for (number, state) in STATES {
            let count = sockets.in_state(number);
            if count > 0 {
                page.sample(family, &[("state", state)], count as f64);
            }
        }
        page.sample(family, &[("state", "rx_queued_bytes")], sockets.receive as f64);
        page.sample(family, &[("state", "tx_queued_bytes")], sockets.transmit as f64);
        Ok(Outcome::Collected)
    }
}

impl Tcpstat {
    /// `None` when the kernel has no TCP.
    fn sockets(&mut self, deadline: Instant) -> Result<Option<Sockets>, CollectError> {
        let Self { netlink, files, .. } = self;
        if let Some(connection) = netlink {
            match ask(connection, files, deadline) {
                Ok(sockets) => return Ok(Some(sockets)),
                // A kernel without `tcp_diag`, or a sandbox that forbids the socket, still has the files.
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    tracing::warn!(%error, cause, "reading /proc/net/tcp instead, from now on");
                    *netlink = None;
                }
            }
        }
        read(files)
    }
}

fn ask(netlink: &mut Netlink, files: &[(PathBuf, Source)], deadline: Instant) -> Result<Sockets, CollectError> {
    let mut sockets = Sockets::default();
    for (family, (path, _)) in tcp::FAMILIES.into_iter().zip(files) {
        // A kernel without that version of IP does not have the file, and does not answer for it.
        if path.exists() {
            netlink.ask(
                |sequence| tcp::diag_request(family, sequence),
                deadline,
                |datagram, sequence| tcp::diag_answer(datagram, sequence, &mut sockets),
            )?;
        }
    }
    Ok(sockets)
}

fn read(files: &mut [(PathBuf, Source)]) -> Result<Option<Sockets>, CollectError> {
    let mut all = None;
    for (_, file) in files {
        let before: Sockets = all.unwrap_or_default();
        match file.parse_lossy(|bytes| Ok::<Lossy<Sockets>, _>(tcp::parse(bytes, before))) {
            Ok(sockets) => all = Some(sockets),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_connection_shows_over_netlink_and_in_the_files() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _other = listener.accept().unwrap();
        std::io::Write::write_all(&mut &one, b"unread").unwrap();
        let mut files = ["net/tcp", "net/tcp6"].map(|path| {
            let path = PathBuf::from("/proc").join(path);
            (path.clone(), Source::new(path))
        });
        let deadline = Instant::now() + Duration::from_secs(10);
        let (asked, read) =
            (ask(&mut Netlink::sock_diag(), &files, deadline).unwrap(), read(&mut files).unwrap().unwrap());
        for sockets in [asked, read] {
            assert!(sockets.in_state(1) >= 2 && sockets.in_state(10) >= 1, "{sockets:?}");
            assert!(sockets.receive >= 6, "{sockets:?}");
        }
    }
}
