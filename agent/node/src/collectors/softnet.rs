//! Packets that CPUs took from network devices, from `/proc/net/softnet_stat`.

use agent_exposition::{Kind, Page};
use agent_procfs::softnet;

use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "softnet",
    help: "Packets that CPUs took from network devices.",
    default_on: true,
    flags: &[],
    build: |context| {
        Ok(Box::new(Softnet { file: Source::new(context.root.proc("net/softnet_stat")).with_short_lines() }))
    },
};

struct Softnet {
    file: Source,
}

impl Collector for Softnet {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let cpus = self.file.parse_lossy(|bytes| Ok(softnet::parse(bytes)))?;
        let mut counter = |name, help| page.family(name, help, Kind::Counter);
        let families = [
            counter("node_softnet_cpu_collision_total", "Collisions on the lock for sending."),
            counter("node_softnet_dropped_total", "Packets dropped because the backlog was full."),
            counter("node_softnet_flow_limit_count_total", "Packets dropped because one flow had too many."),
            counter("node_softnet_processed_total", "Packets taken."),
            counter("node_softnet_received_rps_total", "How often another CPU handed packets over."),
            counter("node_softnet_times_squeezed_total", "How often there was more to do than time to do it."),
            page.family("node_softnet_backlog_len", "Packets in the backlog.", Kind::Gauge),
        ];
        for cpu in &cpus {
            let values = [
                cpu.cpu_collision,
                Some(cpu.dropped),
                cpu.flow_limit_count,
                Some(cpu.processed),
                cpu.received_rps,
                Some(cpu.times_squeezed),
                cpu.backlog_len,
            ];
            let number = cpu.cpu.to_string();
            for (family, value) in families.into_iter().zip(values) {
                if let Some(value) = value {
                    page.sample(family, &[("cpu", &number)], value as f64);
                }
            }
        }
        Ok(if cpus.is_empty() { Outcome::Nothing } else { Outcome::Collected })
    }
}
