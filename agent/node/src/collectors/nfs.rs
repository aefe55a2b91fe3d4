//! What this machine has done as a client of NFS, from `/proc/net/rpc/nfs`.

use agent_exposition::{Kind, Page};
use agent_procfs::counter_lines::{self, Counters};

use crate::nfs_methods::{CLIENT_4, VERSION_2, VERSION_3};
use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "nfs",
    help: "What this machine has done as a client of NFS.",
    default_on: true,
    flags: &[],
    build: |context| Ok(Box::new(Nfs { file: Source::new(context.root.proc("net/rpc/nfs")) })),
};

struct Nfs {
    file: Source,
}

/// Line, place, family and help.
const COUNTERS: &[(&str, usize, &str, &str)] = &[
    ("net", 3, "node_nfs_connections_total", "TCP connections made."),
    ("rpc", 0, "node_nfs_rpcs_total", "Calls made."),
    ("rpc", 1, "node_nfs_rpc_retransmissions_total", "Calls made again for want of an answer."),
    ("rpc", 2, "node_nfs_rpc_authentication_refreshes_total", "Credentials made anew."),
];

/// Line, version and the methods of the line's counters.
const VERSIONS: [(&str, &str, &[&str]); 3] =
    [("proc2", "2", VERSION_2), ("proc3", "3", VERSION_3), ("proc4", "4", CLIENT_4)];

impl Collector for Nfs {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let lines = match self.file.parse_lossy(|bytes| Ok(counter_lines::parse(bytes))) {
            Ok(lines) => lines,
            Err(error) if error.is_not_found() => return Ok(Outcome::Nothing),
            Err(error) => return Err(error.into()),
        };
        add_counters(page, &lines, COUNTERS);
        let family = page.family("node_nfs_packets_total", "Packets, by protocol.", Kind::Counter);
        for (protocol, count) in ["udp", "tcp"].iter().zip(counter_lines::find(&lines, "net").iter().skip(1)) {
            page.sample(family, &[("protocol", protocol)], *count as f64);
        }
        let help = "Calls made, by version and method.";
        let family = page.family("node_nfs_requests_total", help, Kind::Counter);
        for (line, version, methods) in VERSIONS {
            for (method, count) in requests(&lines, line, methods) {
                page.sample(family, &[("method", method), ("proto", version)], count as f64);
            }
        }
        Ok(Outcome::Collected)
    }
}

/// Adds families without labels: line, place, name and help.
pub(super) fn add_counters(
    page: &mut Page,
    lines: &[Counters],
    counters: &[(&str, usize, &'static str, &'static str)],
) {
    for (line, place, name, help) in counters {
        if let Some(value) = counter_lines::find(lines, line).get(*place) {
            page.single(*name, *help, Kind::Counter, *value as f64);
        }
    }
}

/// How often each method was called. The line begins with the number of its counters.
pub(super) fn requests<'a>(
    lines: &'a [Counters],
    line: &str,
    methods: &[&'a str],
) -> impl Iterator<Item = (&'a str, u64)> {
    let counts = counter_lines::find(lines, line).iter().skip(1).copied();
    methods.iter().copied().zip(counts).filter(|(method, _)| !method.is_empty()).collect::<Vec<_>>().into_iter()
}
