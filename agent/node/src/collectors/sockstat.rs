//! Sockets in use by protocol, from `/proc/net/sockstat` and `/proc/net/sockstat6`.

use agent_exposition::{Kind, Page};
use agent_procfs::sockstat::{self, Protocol, Sockstat as File};

use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "sockstat",
    help: "Sockets in use by protocol.",
    default_on: true,
    flags: &[],
    build: |context| {
        let files =
            ["net/sockstat", "net/sockstat6"].map(|path| Source::new(context.root.proc(path)).with_short_lines());
        Ok(Box::new(Sockstat { files, page_size: rustix::param::page_size() as f64 }))
    },
};

struct Sockstat {
    files: [Source; 2],
    /// The kernel counts buffers in pages.
    page_size: f64,
}

impl Collector for Sockstat {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let mut outcome = Outcome::Nothing;
        for file in &mut self.files {
            // A kernel without that version of IP does not have the file.
            match file.parse_lossy(|bytes| Ok(sockstat::parse(bytes))) {
                Ok(File { used, protocols }) => {
                    outcome = Outcome::Collected;
                    if let Some(used) = used {
                        page.single("node_sockstat_sockets_used", "Sockets in use.", Kind::Gauge, used as f64);
                    }
                    protocols.iter().for_each(|protocol| add(page, protocol, self.page_size));
                }
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(outcome)
    }
}

fn add(page: &mut Page, protocol: &Protocol, page_size: f64) {
    let name = protocol.name;
    let mem_bytes = protocol.mem.map(|pages| pages as f64 * page_size);
    let values = [
        ("inuse", "sockets in use", protocol.inuse.map(|n| n as f64)),
        ("orphan", "sockets that no process holds", protocol.orphan.map(|n| n as f64)),
        ("tw", "sockets in time-wait", protocol.tw.map(|n| n as f64)),
        ("alloc", "sockets allocated", protocol.alloc.map(|n| n as f64)),
        ("mem", "pages of buffers", protocol.mem.map(|n| n as f64)),
        ("mem_bytes", "bytes of buffers", mem_bytes),
        ("memory", "bytes of fragments", protocol.memory.map(|n| n as f64)),
    ];
    for (key, meaning, value) in values {
        if let Some(value) = value {
            page.single(format!("node_sockstat_{name}_{key}"), format!("{name}: {meaning}."), Kind::Gauge, value);
        }
    }
}
