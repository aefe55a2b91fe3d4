//! What this machine has done as a server of NFS, from `/proc/net/rpc/nfsd`.

use agent_exposition::{Kind, Page};
use agent_procfs::counter_lines;

use super::nfs::{add_counters, requests};
use crate::nfs_methods::{SERVER_4, VERSION_2, VERSION_3};
use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "nfsd",
    help: "What this machine has done as a server of NFS.",
    default_on: true,
    flags: &[],
    build: |context| Ok(Box::new(Nfsd { file: Source::new(context.root.proc("net/rpc/nfsd")) })),
};

struct Nfsd {
    file: Source,
}

/// Line, place, family and help.
const COUNTERS: &[(&str, usize, &str, &str)] = &[
    ("rc", 0, "node_nfsd_reply_cache_hits_total", "Calls answered from the cache of replies."),
    ("rc", 1, "node_nfsd_reply_cache_misses_total", "Calls whose reply was put into the cache."),
    ("rc", 2, "node_nfsd_reply_cache_nocache_total", "Calls whose reply need not be kept."),
    ("fh", 0, "node_nfsd_file_handles_stale_total", "Calls with a handle of a file that is gone."),
    ("io", 0, "node_nfsd_disk_bytes_read_total", "Bytes read for clients."),
    ("io", 1, "node_nfsd_disk_bytes_written_total", "Bytes written for clients."),
    ("net", 3, "node_nfsd_connections_total", "TCP connections taken."),
    ("rpc", 0, "node_nfsd_server_rpcs_total", "Calls taken."),
];

/// Errors of calls, by their place in the line `rpc`.
const ERRORS: [(usize, &str); 3] = [(2, "fmt"), (3, "auth"), (4, "cInt")];

/// Line, version and the methods of the line's counters.
const VERSIONS: [(&str, &str, &[&str]); 3] =
    [("proc2", "2", VERSION_2), ("proc3", "3", VERSION_3), ("proc4ops", "4", SERVER_4)];

impl Collector for Nfsd {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let lines = match self.file.parse_lossy(|bytes| Ok(counter_lines::parse(bytes))) {
            Ok(lines) => lines,
            Err(error) if error.is_not_found() => return Ok(Outcome::Nothing),
            Err(error) => return Err(error.into()),
        };
        let find = |line| counter_lines::find(&lines, line);
        add_counters(page, &lines, COUNTERS);
        if let Some(threads) = find("th").first() {
            page.single("node_nfsd_server_threads", "Threads of the server.", Kind::Gauge, *threads as f64);
        }
        // The kernel has no read-ahead cache of its own for NFS since 5.4.
        if let [size, .., not_found] = find("ra") {
            let help = "Size of the read-ahead cache, in blocks.";
            page.single("node_nfsd_read_ahead_cache_size_blocks", help, Kind::Gauge, *size as f64);
            let help = "Reads not found in the read-ahead cache.";
            page.single("node_nfsd_read_ahead_cache_not_found_total", help, Kind::Counter, *not_found as f64);
        }
        let family = page.family("node_nfsd_packets_total", "Packets, by protocol.", Kind::Counter);
        for (protocol, count) in ["udp", "tcp"].iter().zip(find("net").iter().skip(1)) {
            page.sample(family, &[("proto", protocol)], *count as f64);
        }
        let family = page.family("node_nfsd_rpc_errors_total", "Calls refused, by reason.", Kind::Counter);
        for (place, error) in ERRORS {
            if let Some(count) = find("rpc").get(place) {
                page.sample(family, &[("error", error)], *count as f64);
            }
        }
        let help = "Calls taken, by version and method.";
        let family = page.family("node_nfsd_requests_total", help, Kind::Counter);
        for (line, version, methods) in VERSIONS {
            // node_exporter leaves out the calls that do nothing, of servers alone.
            for (method, count) in requests(&lines, line, methods).filter(|(method, _)| *method != "Null") {
                page.sample(family, &[("method", method), ("proto", version)], count as f64);
            }
        }
        // Since 6.6, in a line of its own.
        if let Some(count) = find("wdeleg_getattr").first() {
            page.sample(family, &[("method", "WdelegGetattr"), ("proto", "4")], *count as f64);
        }
        Ok(Outcome::Collected)
    }
}
