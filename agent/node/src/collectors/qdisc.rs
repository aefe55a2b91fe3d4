//! Queueing disciplines of network devices, from rtnetlink.

use agent_exposition::{FamilyId, Kind, Page};
use agent_procfs::qdisc::{self, Qdisc as Discipline};

use crate::pattern::{Filter, FilterFlags};
use crate::shared::{self, LinkQuestion};
use crate::{CollectError, Collector, FlagSpec, Outcome, Scrape, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "qdisc",
    help: "Queueing disciplines of network devices.",
    default_on: false,
    flags: &[INCLUDE, EXCLUDE, OLD_INCLUDE, OLD_EXCLUDE],
    build: |context| {
        let names = FilterFlags {
            include: &INCLUDE,
            exclude: &EXCLUDE,
            old_include: Some(&OLD_INCLUDE),
            old_exclude: Some(&OLD_EXCLUDE),
        };
        let filter = Filter::build(&context.flags, &names)?;
        Ok(Box::new(Qdisc { filter, question: LinkQuestion::new(&context.links) }))
    },
};

const INCLUDE: FlagSpec = FlagSpec::value(
    "collector.qdisc.device-include",
    "Devices to report: a regular expression. Not beside device-exclude.",
);
const EXCLUDE: FlagSpec = FlagSpec::value(
    "collector.qdisc.device-exclude",
    "Devices to leave out: a regular expression. Not beside device-include.",
);
const OLD_INCLUDE: FlagSpec =
    FlagSpec::value("collector.qdisk.device-include", "Older spelling of collector.qdisc.device-include.").hidden();
const OLD_EXCLUDE: FlagSpec =
    FlagSpec::value("collector.qdisk.device-exclude", "Older spelling of collector.qdisc.device-exclude.").hidden();

struct Qdisc {
    filter: Filter,
    question: LinkQuestion,
}

impl Collector for Qdisc {
    fn begin(&mut self, scrape: Scrape) {
        self.question.begin(scrape);
    }

    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let (links, disciplines) =
            self.question.ask(qdisc::request, |datagram, sequence, take| qdisc::answer(datagram, sequence, take))?;
        let devices = shared::names(&links);
        let families = families(page);
        for discipline in disciplines.iter().filter(|discipline| discipline.is_root) {
            if let Some(device) = devices.get(&discipline.device).filter(|device| self.filter.allows(device)) {
                add(page, &families, device, discipline);
            }
        }
        Ok(if page.sample_count() == 0 { Outcome::Nothing } else { Outcome::Collected })
    }
}

fn families(page: &mut Page) -> [FamilyId; 7] {
    let mut family = |name, help, kind| page.family(name, help, kind);
    [
        family("node_qdisc_bytes_total", "Bytes sent.", Kind::Counter),
        family("node_qdisc_packets_total", "Packets sent.", Kind::Counter),
        family("node_qdisc_drops_total", "Packets dropped.", Kind::Counter),
        family("node_qdisc_requeues_total", "How often packets were put back into the queue.", Kind::Counter),
        family("node_qdisc_overlimits_total", "How often the limit was exceeded.", Kind::Counter),
        family("node_qdisc_current_queue_length", "Packets in the queue.", Kind::Gauge),
        family("node_qdisc_backlog", "Bytes in the queue.", Kind::Gauge),
    ]
}

fn add(page: &mut Page, families: &[FamilyId; 7], device: &str, discipline: &Discipline) {
    let queue = discipline.queue;
    let values = [
        discipline.sent.map(|(bytes, _)| bytes),
        discipline.sent.map(|(_, packets)| packets),
        queue.map(|queue| u64::from(queue.drops)),
        queue.map(|queue| u64::from(queue.requeues)),
        queue.map(|queue| u64::from(queue.overlimits)),
        queue.map(|queue| u64::from(queue.length)),
        queue.map(|queue| u64::from(queue.backlog)),
    ];
    for (family, value) in families.iter().zip(values) {
        if let Some(value) = value {
            page.sample(*family, &[("device", device), ("kind", &discipline.kind)], value as f64);
        }
    }
}
