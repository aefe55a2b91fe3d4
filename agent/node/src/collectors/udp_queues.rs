//! Bytes that wait in UDP sockets, from `/proc/net/udp` and `/proc/net/udp6`.

use agent_exposition::{Kind, Page};
use agent_procfs::udp;

use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "udp_queues",
    help: "Bytes that wait in UDP sockets.",
    default_on: true,
    flags: &[],
    build: |context| {
        // A line has some 130 bytes with addresses of IPv4, and 180 with those of IPv6.
        let file = |path| Source::new(context.root.proc(path)).with_short_lines();
        Ok(Box::new(UdpQueues { files: [("v4", file("net/udp")), ("v6", file("net/udp6"))] }))
    },
};

struct UdpQueues {
    files: [(&'static str, Source); 2],
}

impl Collector for UdpQueues {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let mut outcome = Outcome::Nothing;
        let family = page.family("node_udp_queues", "Bytes that wait in UDP sockets.", Kind::Gauge);
        for (version, file) in &mut self.files {
            // A kernel without that version of IP does not have the file.
            let queues = match file.parse_lossy(|bytes| Ok(udp::queues(bytes))) {
                Ok(queues) => queues,
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error.into()),
            };
            outcome = Outcome::Collected;
            page.sample(family, &[("ip", version), ("queue", "rx")], queues.receive as f64);
            page.sample(family, &[("ip", version), ("queue", "tx")], queues.transmit as f64);
        }
        Ok(outcome)
    }
}
