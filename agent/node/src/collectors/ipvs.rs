//! The kernel's load balancer, from `/proc/net/ip_vs_stats` and `/proc/net/ip_vs`.

use std::collections::BTreeMap;

use agent_exposition::{Kind, Page};
use agent_procfs::ip_vs::{self, Backend, Service, Totals};

use crate::source::Source;
use crate::{BuildError, CollectError, Collector, Context, FlagSpec, Outcome, Spec};

/// Registration.
pub const SPEC: Spec =
    Spec { name: "ipvs", help: "The kernel's load balancer.", default_on: true, flags: &[LABELS], build };

const LABELS: FlagSpec = FlagSpec::value(
    "collector.ipvs.backend-labels",
    "Labels of backends, between commas. Backends that do not differ in them are added up.",
)
.or("local_address,local_port,remote_address,remote_port,proto,local_mark");

/// All labels there are, sorted.
const ALL: [&str; 6] = ["local_address", "local_mark", "local_port", "proto", "remote_address", "remote_port"];

fn build(context: &Context) -> Result<Box<dyn Collector>, BuildError> {
    let value = context.flags.value(&LABELS).unwrap_or_default();
    let wanted: Vec<_> = value.split(',').map(str::trim).filter(|label| !label.is_empty()).collect();
    if let Some(unknown) = wanted.iter().find(|label| !ALL.contains(label)) {
        return Err(BuildError {
            flag: LABELS.name.to_owned(),
            value: value.to_owned(),
            reason: format!("{unknown} is none of {}", ALL.join(", ")),
        });
    }
    Ok(Box::new(Ipvs {
        labels: ALL.map(|label| wanted.contains(&label)),
        totals: Source::new(context.root.proc("net/ip_vs_stats")),
        backends: Source::new(context.root.proc("net/ip_vs")),
    }))
}

struct Ipvs {
    /// Which of all labels backends get.
    labels: [bool; 6],
    totals: Source,
    backends: Source,
}

/// Connections that are open and that were closed lately, and weights, by the values of all labels.
type Sums = BTreeMap<[String; 6], [u64; 3]>;

impl Collector for Ipvs {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        match self.totals.parse(ip_vs::totals) {
            Ok(totals) => add_totals(page, &totals),
            Err(error) if error.is_not_found() => return Ok(Outcome::Nothing),
            Err(error) => return Err(error.into()),
        }
        let mut sums = Sums::new();
        for backend in self.backends.parse_lossy(|bytes| Ok(ip_vs::backends(bytes)))? {
            let sum = sums.entry(values(&backend, &self.labels)).or_default();
            let counts = [backend.active, backend.inactive, backend.weight];
            sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum = sum.saturating_add(count));
        }
        self.add_backends(page, &sums);
        Ok(Outcome::Collected)
    }
}

impl Ipvs {
    fn add_backends(&self, page: &mut Page, sums: &Sums) {
        let families = [
            ("node_ipvs_backend_connections_active", "Connections of the backend that are open."),
            ("node_ipvs_backend_connections_inactive", "Connections of the backend that were closed lately."),
            ("node_ipvs_backend_weight", "How much of the connections the backend is to get."),
        ];
        let families = families.map(|(name, help)| page.family(name, help, Kind::Gauge));
        for (values, counts) in sums {
            let labels = ALL.iter().zip(values).zip(self.labels).filter(|(_, is_wanted)| *is_wanted);
            let labels: Vec<_> = labels.map(|((label, value), _)| (*label, value.as_str())).collect();
            for (family, count) in families.iter().zip(counts) {
                page.sample(*family, &labels, *count as f64);
            }
        }
    }
}

/// The values of all labels; empty for those that are not wanted.
fn values(backend: &Backend, wanted: &[bool; 6]) -> [String; 6] {
    let (address, mark, port) = match backend.service {
        Service::Address(address, port) => (address.to_string(), String::new(), port),
        Service::Mark(mark) => (String::new(), mark.to_owned(), 0),
    };
    let proto = backend.protocol.to_owned();
    let mut values = [address, mark, port.to_string(), proto, backend.address.to_string(), backend.port.to_string()];
    values.iter_mut().zip(wanted).filter(|(_, is_wanted)| !**is_wanted).for_each(|(value, _)| value.clear());
    values
}

fn add_totals(page: &mut Page, totals: &Totals) {
    let mut counter = |name, help, value: u64| page.single(name, help, Kind::Counter, value as f64);
    counter("node_ipvs_connections_total", "Connections.", totals.connections);
    counter("node_ipvs_incoming_packets_total", "Packets from clients.", totals.incoming_packets);
    counter("node_ipvs_outgoing_packets_total", "Packets to clients.", totals.outgoing_packets);
    counter("node_ipvs_incoming_bytes_total", "Bytes from clients.", totals.incoming_bytes);
    counter("node_ipvs_outgoing_bytes_total", "Bytes to clients.", totals.outgoing_bytes);
}
