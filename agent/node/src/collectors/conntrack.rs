//! Connection tracking, from `/proc/sys/net/netfilter` and `/proc/net/stat/nf_conntrack`.

use agent_exposition::{Kind, Page};
use agent_procfs::{conntrack, scan};

use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "conntrack",
    help: "Connections that the firewall tracks.",
    default_on: true,
    flags: &[],
    build: |context| {
        let file = |path| Source::new(context.root.proc(path)).with_short_lines();
        Ok(Box::new(Conntrack {
            count: file("sys/net/netfilter/nf_conntrack_count"),
            limit: file("sys/net/netfilter/nf_conntrack_max"),
            statistics: file("net/stat/nf_conntrack"),
        }))
    },
};

struct Conntrack {
    count: Source,
    limit: Source,
    statistics: Source,
}

impl Collector for Conntrack {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let count = match self.count.parse(scan::single) {
            Ok(count) => count,
            // Nothing is tracked as long as no rule wants it.
            Err(error) if error.is_not_found() => return Ok(Outcome::Nothing),
            Err(error) => return Err(error.into()),
        };
        page.single("node_nf_conntrack_entries", "Connections tracked.", Kind::Gauge, count as f64);
        let limit = self.limit.parse(scan::single)?;
        let help = "Most connections that can be tracked.";
        page.single("node_nf_conntrack_entries_limit", help, Kind::Gauge, limit as f64);
        match self.statistics.parse_lossy(|bytes| Ok(conntrack::parse(bytes))) {
            Ok(columns) => add(page, &columns),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Outcome::Collected)
    }
}

/// They only grow, but node_exporter has always called them gauges.
fn add(page: &mut Page, columns: &[(&str, u64)]) {
    let families = [
        ("drop", "node_nf_conntrack_stat_drop", "Packets dropped because tracking failed."),
        ("early_drop", "node_nf_conntrack_stat_early_drop", "Connections forgotten to make room."),
        ("found", "node_nf_conntrack_stat_found", "Connections looked up and found."),
        ("ignore", "node_nf_conntrack_stat_ignore", "Packets that were tracked already."),
        ("insert", "node_nf_conntrack_stat_insert", "Connections added."),
        ("insert_failed", "node_nf_conntrack_stat_insert_failed", "Connections that could not be added."),
        ("invalid", "node_nf_conntrack_stat_invalid", "Packets that cannot be tracked."),
        ("search_restart", "node_nf_conntrack_stat_search_restart", "Look-ups begun again because the table grew."),
    ];
    for (column, name, help) in families {
        if let Some((_, value)) = columns.iter().find(|(known, _)| *known == column) {
            page.single(name, help, Kind::Gauge, *value as f64);
        }
    }
}
